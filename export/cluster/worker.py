"""What a worker does: it keeps parts of the pictures, and answers questions about them.

A part is a cache. Everything that it is follows from the pictures and from what was told since, so that a worker which
lacks it, or is behind, makes it again.
"""

from __future__ import annotations

import ctypes
import hashlib
import pickle
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from distributed import get_worker
from numpy.typing import NDArray

from edge_config.errors import PatchedgeError, UsageError
from export.cluster.probe import KindProbe, refuse_mix
from runtime.learning.bank.in_slices import Threads
from runtime.learning.parts.part import Change, PartOfPictures, PartPlace, Source
from runtime.learning.parts.portable import PortableNetwork
from runtime.learning.pictures.images import Pictures
from runtime.learning.pictures.look import Look, look
from runtime.process.threads import limit_threads

FORGOTTEN_S = 3600
"""Parts of a run that nobody asked about for so long are dropped: the process that began it has died."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc
_REUSED_BYTES = 8 << 20  # the temporary arrays of a selection have up to 4 MB


@dataclass(frozen=True, slots=True, eq=False)
class MadeOf:
    """What a part is made of, beside the network.

    Attributes:
        numbers: of its pictures, int64 [n].
        pictures: these, and no others.
        judged, copies: as of `Source`.
        digest: of the features that it had before; None at first.
        in_memory: bytes beyond which they go into a file.
        probe: what the first process computed; None accepts any.
    """

    numbers: NDArray[np.int64]
    pictures: Pictures
    judged: NDArray[np.bool_] | None
    copies: int
    digest: str | None
    in_memory: int
    probe: KindProbe | None


@dataclass(frozen=True, slots=True, eq=False)
class WorkerJob:
    """A question about some parts.

    Attributes:
        run: name of the run of `fit`.
        parts: numbers of the parts, and what each is made of; None: it is there already.
        first: how many changes were told before `changes`.
        changes: what was told since.
        question: `question(part, *shared)`.
    """

    run: str
    parts: dict[int, MadeOf | None]
    first: int
    changes: tuple[Change, ...]
    question: Callable[..., Any]


@dataclass(slots=True)
class WorkerDone:
    """What became of a job.

    Attributes:
        address: of the worker.
        answers: by the number of the part.
        behind: parts that are not here, or lack changes.
        digests: of the features of parts that were embedded.
        error: why it could not be done.
    """

    address: str
    answers: dict[int, Any] = field(default_factory=dict)
    behind: list[int] = field(default_factory=list)
    digests: dict[int, str] = field(default_factory=dict)
    error: PatchedgeError | None = None

    def join(self, question: Callable[..., Any]) -> None:
        """Put the answers of all parts into that of the first one, where the question says how; the others have None.

        Less is sent back: sums are as large for one part as for all.
        """
        together = getattr(question, "together", None)
        if together and len(self.answers) > 1:
            first, *others = self.answers
            self.answers = {first: together(list(self.answers.values())), **dict.fromkeys(others)}


@dataclass(slots=True)
class _Kept:
    """A part, and how many changes it has seen."""

    part: PartOfPictures
    changes: int = 0


class _Run:
    """What a worker keeps of a run."""

    def __init__(self) -> None:
        threads = get_worker().state.nthreads
        limit_threads(threads, blas=1)
        _keep_freed_memory()
        self._folder = tempfile.TemporaryDirectory(prefix="patchedge-parts-", dir=get_worker().local_directory)
        self.place = PartPlace(Path(self._folder.name), Threads(threads), shown=False)
        self.parts: dict[int, _Kept] = {}
        self.used = time.monotonic()
        self.kind: KindProbe | None = None

    def close(self) -> None:
        self.parts.clear()
        self._folder.cleanup()


_LOCK = threading.Lock()  # one job at a time has all threads of the worker
_RUNS: dict[str, _Run] = {}


def work(job: WorkerJob, network: Sent | None, *shared: Sent) -> WorkerDone:
    """Answer a question about parts; with a network they are made, where they are not here."""
    done = WorkerDone(get_worker().address)
    with _LOCK:
        run = _run(job.run)
        try:
            for number, made_of in job.parts.items():
                kept = run.parts.get(number)
                if made_of and network and (kept is None or kept.changes < job.first):
                    kept = run.parts[number] = _embed(run, made_of, network.value, done, number)
                if kept is None or kept.changes < job.first:
                    done.behind.append(number)
                    continue
                for change in job.changes[kept.changes - job.first :]:
                    change(kept.part)
                    kept.changes += 1
                done.answers[number] = job.question(kept.part, *(one.value for one in shared))
            done.join(job.question)
        except PatchedgeError as error:
            done.error = error
    return done


def _keep_freed_memory() -> None:
    """Reuse memory of some megabytes that was freed, as glibc does unless it is told otherwise.

    Dask sets MALLOC_TRIM_THRESHOLD_, which gives each such array back to the system at once: a selection makes them by
    the thousand, and took twice the time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # glibc
        mallopt(_M_MMAP_THRESHOLD, _REUSED_BYTES)
        mallopt(_M_TRIM_THRESHOLD, 2 * _REUSED_BYTES)


def _run(name: str) -> _Run:
    """Return what is kept of a run, and drop what nobody needs."""
    now = time.monotonic()
    for other in [one for one, run in _RUNS.items() if one != name and now - run.used > FORGOTTEN_S]:
        _RUNS.pop(other).close()
    if name not in _RUNS:
        _RUNS[name] = _Run()
    _RUNS[name].used = now
    return _RUNS[name]


def _embed(run: _Run, made_of: MadeOf, network: PortableNetwork, done: WorkerDone, number: int) -> _Kept:
    if made_of.probe is not None:
        run.kind = run.kind or KindProbe.of(network, done.address)
        refuse_mix([made_of.probe, run.kind])
    run.place.in_memory = made_of.in_memory
    part = Source(made_of.pictures, network, made_of.judged, made_of.copies).embed(made_of.numbers, run.place)
    done.digests[number] = digest = _digest(part)
    if made_of.digest not in (None, digest):
        raise UsageError(
            "a picture has changed since the work began, or this worker reads it otherwise",
            where=str(part.pictures.path),
            remedy="leave the pictures as they are while they are learnt from",
        )
    return _Kept(part)


def _digest(part: PartOfPictures) -> str:
    """Return what only parts with the same features have in common."""
    same = hashlib.blake2b()
    for number in part.numbers.tolist():
        same.update(np.ascontiguousarray(part.judged(number)).data)
    return same.hexdigest()


def look_at(pictures: Pictures) -> Look | PatchedgeError:
    """Look at some pictures, with all threads of the worker; return why that cannot be done."""
    with _LOCK:
        limit_threads(get_worker().state.nthreads, blas=1)
        try:
            return look((pictures, False))
        except PatchedgeError as error:
            return error


def forget(run: str) -> None:
    """Drop all parts of a run."""
    with _LOCK:
        if run in _RUNS:
            _RUNS.pop(run).close()


def probe(name: str, network: Sent) -> KindProbe:
    """Return what this worker computes, and remember it for a run."""
    with _LOCK:
        run = _run(name)
        run.kind = KindProbe.of(network.value, get_worker().address)
        return run.kind


class Sent:
    """Something large as it was sent: workers send it on to each other as it is."""

    def __init__(self, data: bytes) -> None:
        """Take it, pickled."""
        self._data = data

    @cached_property
    def value(self) -> Any:
        """What it is."""
        return pickle.loads(self._data)  # noqa: S301 - from the process that began the work

    def __getstate__(self) -> dict[str, Any]:
        """Return only what was sent."""
        return {"_data": self._data}


def same(data: bytes) -> Sent:
    """Return what was sent: as the result of a task it is sent again where a worker was lost."""
    return Sent(data)
