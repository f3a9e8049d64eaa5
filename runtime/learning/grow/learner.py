"""The learner, a program: `python -m runtime.learning.grow.learner JOB.json` learns on as a job says.

It prints its progress as lines of JSON, `{"stage": "compare", "done": 3, "total": 20}`, and writes the new bundle, and
the result beside it. Exit code 0: the bundle is complete, though it may have problems; else one line is on stderr.
Killed at any instant, it leaves no bundle or a complete one; started again, it goes on from the features that it kept.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from edge_config.errors import PatchedgeError, UsageError
from edge_config.saving import is_full, not_written
from runtime.learning.grow.job import LearningJob, read_job, write_result
from runtime.process.memory_error import memory_named

EVERY_S = 0.5
"""Shortest interval between two lines of one stage."""

_MB = 1 << 20


def main(argv: Sequence[str] | None = None) -> int:
    """Do the job whose file is the only argument, and return the exit code."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        arguments = sys.argv[1:] if argv is None else argv
        if len(arguments) != 1:
            raise UsageError("the learner takes one argument, the file of a job")
        with memory_named():
            _learn(read_job(Path(arguments[0])))
    except PatchedgeError as error:
        print(f"learner: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        told = not_written(error.filename or "standard output", error) if is_full(error) else None
        print(f"learner: {told or error}", file=sys.stderr)
        return (told or PatchedgeError).exit_code
    return 0


def _learn(job: LearningJob) -> None:
    """Bound the memory before anything large is loaded, and learn."""
    if job.threads:  # OpenBLAS takes memory for each thread that it might ever use
        os.environ["OPENBLAS_NUM_THREADS"] = str(job.threads)
    if job.memory_mb:
        most = job.memory_mb * _MB
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    from runtime.learning.grow.learn_on import learn_on

    write_result(job.out, learn_on(job, _Lines()))


class _Lines:
    """Prints progress: the beginning of each stage, and then a line now and again."""

    def __init__(self) -> None:
        self._stage = ""
        self._printed_s = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Print a line of progress, unless the last one is new."""
        now_s = time.monotonic()
        if stage != self._stage or now_s - self._printed_s >= EVERY_S:
            self._stage, self._printed_s = stage, now_s
            print(msgspec.json.encode({"stage": stage, "done": done, "total": total}).decode(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
