"""An inference worker that takes memory until the kernel kills it; as a program, the runtime that it belongs to.

The program prints each loss of a worker as a line of JSON, and ends after two of them.
"""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
from typing import Any

from runtime.events import EngineLost
from runtime.inference.engine import Engine
from runtime.inference.protocol import ToWorker
from runtime.inference.worker_handle import WorkerProcess
from runtime.process.child import from_parent, module
from runtime.process.out_of_memory import Patience

LOSSES = 2
WAIT_S = 0.5
"""Before the second worker."""

_PIECE = 8 << 20
_PIECES = 400  # where there is no limit it must not take all that the machine has


def main() -> None:
    """Be the worker."""
    link = from_parent(sys.argv, ToWorker)
    taken = [bytearray(b"x") * _PIECE for _ in range(_PIECES)]
    link.hang_up()
    assert taken


def run() -> None:
    """Be the runtime."""
    events: queue.SimpleQueue[Any] = queue.SimpleQueue()
    engine = Engine(
        {"cam1": "never-loaded"},
        events.put,
        process=WorkerProcess(module("tests.support.fakes.hungry")),
        patience=Patience(WAIT_S),
    )
    engine.start()
    for _ in range(LOSSES):
        lost = events.get()
        assert isinstance(lost, EngineLost)
        print(json.dumps({"cause": lost.cause, "reason": lost.reason, "s": time.monotonic()}), flush=True)
    threading.Thread(target=engine.close).start()


if __name__ == "__main__":
    run()
