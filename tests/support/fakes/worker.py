"""An inference worker whose first stage misbehaves where the blue of a picture's first pixel says so."""

from __future__ import annotations

import os
import signal
import sys
import threading
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from edge_config.bundle.files import Bundle
from runtime.inference import worker

HANG, CRASH, FAIL, SEEN, STARVE = range(1, 6)
SLOW = "slow"
"""In the name of a bundle: it is never loaded."""

_NEVER = threading.Event()


@dataclass(frozen=True)
class Marked:
    """That a frame cannot be judged, as `CameraFault`."""

    state: Literal["dark"] = "dark"
    reason: str = "marked"


def marked(picture: np.ndarray, mark: int) -> np.ndarray:
    """Return a copy of a picture that makes the worker misbehave."""
    copy = picture.copy()
    copy[0, 0, 0] = mark
    return copy


class _Inspect:
    """What stands in for `Inspect`: it measures nothing."""

    seen = None

    def __init__(self, bundle: Bundle) -> None:
        if SLOW in bundle.path.name:
            _NEVER.wait()

    def after(self, before: _Inspect) -> _Inspect:
        return before

    def __call__(self, picture: np.ndarray, _: int) -> Marked | None:
        action = _ACTIONS.get(int(picture[0, 0, 0]))
        return action and action()


def _crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)
    _NEVER.wait()


def _fail() -> None:
    raise ValueError("marked to fail")


def _starve() -> None:
    raise MemoryError


_ACTIONS = MappingProxyType({HANG: _NEVER.wait, CRASH: _crash, FAIL: _fail, SEEN: Marked, STARVE: _starve})


def bare() -> None:
    """Be a worker where ONNX Runtime is not installed."""
    sys.modules["onnxruntime"] = None  # type: ignore[assignment]
    worker.main()


def main() -> None:
    """Be a worker that misbehaves when it is told to."""
    worker.main(_Inspect)


if __name__ == "__main__":
    main()
