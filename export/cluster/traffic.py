"""Bytes between the first process and the workers, by kind."""

from __future__ import annotations

import pickle
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from export.cluster.worker import WorkerDone, WorkerJob


class Traffic:
    """Counts what is sent: arguments and answers, and what is shared with every worker.

    Attributes:
        out, back: bytes from this process to workers and from them, by kind: the stage, change, question or shared
            object.
        tasks: number of questions to a worker, by kind.
        homes: addresses of the workers that have answered: on a busy machine one may have taken all pictures.
    """

    def __init__(self) -> None:
        """Begin at nothing."""
        self.out: Counter[str] = Counter()
        self.back: Counter[str] = Counter()
        self.tasks: Counter[str] = Counter()
        self.homes: set[str] = set()

    @property
    def sent(self) -> int:
        """Bytes to workers."""
        return self.out.total()

    @property
    def received(self) -> int:
        """Bytes from workers."""
        return self.back.total()

    def job(self, job: WorkerJob) -> None:
        """Count what is sent with a job."""
        whole = size_of(job)
        for kind, one in [("parts", job.parts), *((kind_of(one), one) for one in (*job.changes, job.question))]:
            self.out[kind] += (size := size_of(one))
            whole -= size
        self.out["envelope"] += whole
        self.tasks[kind_of(job.question)] += 1

    def done(self, question: Any, done: WorkerDone) -> None:
        """Count what came back."""
        self.back[kind_of(question)] += size_of(done)
        self.homes.add(done.address)


def size_of(value: Any) -> int:
    """Return the bytes of something that is sent, without a copy of its arrays."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    return len(head) + sum(one.raw().nbytes for one in buffers)


def kind_of(question: Any) -> str:
    """Return the name of the innermost question: that about features or a selection, not what brings it to them."""
    for name in ("inner", "question", "func"):
        question = getattr(question, name, question)
    return str(getattr(question, "__qualname__", type(question).__name__)).lstrip("_")
