"""Progress of a command where stderr is no terminal: a line every few seconds, from a thread of its own.

The work in progress updates `GAUGE`; the thread prints it. At a terminal bars are shown instead.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

EVERY_S = 3.0
"""Interval between lines."""

LONG_S = 600.0
"""Running time after which the longer interval is used, as logs are kept."""

LONG_EVERY_S = 30.0
"""Interval between lines of a long command."""


class Gauge:
    """The current stage of the work, and how much of it is done. One thread updates it, any thread may read it.

    Attributes:
        program: name of the command whose work it is.
    """

    def __init__(self) -> None:
        """Begin with no stage."""
        self.program = "patchedge"
        self._stages: list[_Stage] = []

    @contextmanager
    def stage(self, what: str, total: int | None = None, unit: str = "") -> Iterator[_Stage]:
        """Name the stage of the work in the block.

        Args:
            what: its name, in a few words.
            total: number of pieces of work, if known.
            unit: name of the pieces, in the plural.
        """
        stage = _Stage(what, total, unit)
        self._stages.append(stage)
        try:
            yield stage
        finally:
            self._stages.remove(stage)

    def __str__(self) -> str:
        """Return the stage and its progress in a few words; empty if there is none."""
        stages = self._stages[-1:]  # a copy: it may end meanwhile
        return str(stages[0]) if stages else ""


class _Stage:
    """A stage of the work."""

    def __init__(self, what: str, total: int | None, unit: str) -> None:
        self.what = what
        self._total, self._unit = total, unit
        self._done = 0

    def update(self, pieces: int = 1) -> None:
        """Count finished pieces."""
        self._done += pieces

    def __str__(self) -> str:
        """Return name and progress in a few words."""
        if not self._unit or self._total == 1:
            return self.what
        of = f" of {self._total}" if self._total else ""
        return f"{self.what}, {self._done}{of} {self._unit}"


GAUGE = Gauge()
"""The gauge of this process."""


@contextmanager
def ticking(command: str, *, at_terminal: bool = False) -> Iterator[None]:
    """Print to stderr every few seconds that a command is still running, how far it is, and for how long it has run.

    Args:
        command: its name, as the line begins.
        at_terminal: also at a terminal, in one line that is overwritten; by default nothing is printed there.
    """
    terminal = sys.stderr.isatty()
    if terminal and not at_terminal:
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_tick, args=(command, over, terminal), name="ticking", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        if terminal:
            print(file=sys.stderr)


def _tick(command: str, over: threading.Event, terminal: bool) -> None:  # noqa: FBT001 - one caller
    began_s = time.monotonic()
    passed_s = 0.0
    while not over.wait(EVERY_S if passed_s < LONG_S else LONG_EVERY_S):
        passed_s = time.monotonic() - began_s
        line = f"{command}: {str(GAUGE) or 'working'}, {passed_s:.0f} s"
        try:
            print(f"\r{line}" if terminal else line, end="" if terminal else "\n", file=sys.stderr, flush=True)
        except (OSError, ValueError):  # stderr is closed
            return
