"""One learner: a process in the background, its progress, and how it ended."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import msgspec

from runtime.process.background import background
from runtime.process.child import LINE_BYTES, module
from runtime.process.out_of_memory import Child
from runtime.process.signals import signal_name

LEARNER = module("runtime.learning.grow.learner")
"""The command of the learner; the path of its job is appended."""

_LAST_LINES = 5
_MAX_LINE = 500  # characters of a line of the learner that are passed on


@dataclass(frozen=True, slots=True)
class LearnerLimits:
    """How a learner is started.

    Attributes:
        threads: of its libraries.
        memory_mb: limit of its memory, MiB.
        command: starts it; the path of its job is appended.
    """

    threads: int = 1
    memory_mb: int = 1024
    command: Sequence[str] = LEARNER


@dataclass(frozen=True, slots=True)
class Ending:
    """How a learner ended.

    Attributes:
        done: it has sealed a bundle.
        killed: a signal ended it, so that another try may succeed.
        reason: why it sealed none, one line.
    """

    done: bool
    killed: bool = False
    reason: str = ""


class Step(msgspec.Struct, frozen=True):
    """A line of progress."""

    stage: str = ""
    done: int = 0
    total: int = 0


_steps = msgspec.json.Decoder(Step)


class LearnerProcess:
    """A learner that was started. It is killed when the thread that made this object ends."""

    def __init__(self, job: str, limits: LearnerLimits) -> None:
        """Start it with the job at a path.

        Raises:
            OSError: it cannot be started.
        """
        command = background((*limits.command, job), memory_mb=limits.memory_mb, threads=limits.threads)
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._child = Child("learner", self._process)
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self._memory_mb = limits.memory_mb
        self._held = False

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def kill(self) -> None:
        """End it; any thread may call this, also after its end."""
        self._process.kill()

    def hold(self, *, held: bool) -> None:
        """Stop it, or let it go on; it may have ended."""
        if held != self._held:
            self._held = held
            self._process.send_signal(signal.SIGSTOP if held else signal.SIGCONT)

    def follow(self, tell: Callable[[Step], object]) -> Ending:
        """Pass on its progress until it ends, and say how it ended. It ends, and frees what it has."""
        assert self._process.stdout is not None  # noqa: S101 - for the type checker
        assert self._process.stderr is not None  # noqa: S101
        reader = threading.Thread(
            target=self._read_errors, args=(self._process.stderr,), name="learner's stderr", daemon=True
        )
        reader.start()
        try:
            with self._process.stdout as lines:
                while line := lines.readline(LINE_BYTES):
                    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):  # a library may print, too
                        tell(_steps.decode(line))
        except BaseException:
            self.kill()
            raise
        finally:
            self._process.wait()
            reader.join()
        return self._ending(self._process.returncode)

    def _read_errors(self, stream: BinaryIO) -> None:
        with stream:
            while line := stream.readline(LINE_BYTES):
                if text := line.decode(errors="replace").strip():
                    self._last.append(text[:_MAX_LINE])

    def _ending(self, code: int) -> Ending:
        if code == 0:
            return Ending(done=True)
        if code < 0:
            memory = self._child.killed_for_memory()
            return Ending(done=False, killed=True, reason=memory or f"killed by {signal_name(-code)}")
        last = self._last[-1] if self._last else f"the learner ended with exit code {code} and said nothing"
        if "memory" in last.lower():
            last = f"{last}; the learner may use {self._memory_mb} MiB: raise `learning.memory_mb`"
        return Ending(done=False, reason=last)
