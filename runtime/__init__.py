"""What a device runs: capture, preprocess, embed, search, score, decide, publish."""

import os

# Before it is loaded: ONNX Runtime would make an identifier of the device, and send events to its maker.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
