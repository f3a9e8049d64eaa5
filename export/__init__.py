"""Export: from normal pictures to a bundle. Everything after the graph goes through the runtime's own code."""

import os

# Before it is loaded: ONNX Runtime would make an identifier of the device, and send events to its maker.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
