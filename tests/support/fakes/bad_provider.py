"""The process that `warm` tries a provider in, where another provider than the CPU does what the environment says."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

from onnxruntime import get_available_providers

from edge_config.settings.sections import CPU
from runtime.scoring.embed import Embed
from runtime.tools import try_provider

DOES = "PATCHEDGE_TEST_PROVIDER"
"""Variable with the name of a function below."""

BAD = next(
    name for name in ("AzureExecutionProvider", "OpenVINOExecutionProvider") if name in get_available_providers()
)
"""Its provider: what is not the CPU in this wheel of ONNX Runtime, and works. Azure leaves everything to the CPU."""

_started: list[str] = []
_compute, _start = Embed.__call__, Embed.__init__


def crash(_: Any) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def abort(_: Any) -> None:
    os.abort()


def end(_: Any) -> None:
    os._exit(0)


def hang(_: Any) -> None:
    threading.Event().wait()


def compute_wrongly(features: Any) -> Any:
    return features * 1.5


def crash_beside_others(features: Any) -> Any:
    """Crash once the CPU provider has started in the same process."""
    if CPU.name in _started:
        crash(features)
    return features


def main() -> None:
    """Try providers, one of which is bad."""
    does = globals()[os.environ[DOES]]

    def start(self: Embed, *given: Any, **more: Any) -> None:
        _start(self, *given, **more)
        _started.append(self.provider)

    def compute(self: Embed, *given: Any) -> Any:
        features = _compute(self, *given)
        return does(features) if self.provider == BAD else features

    Embed.__init__, Embed.__call__ = start, compute  # type: ignore[method-assign]
    try_provider.main()
