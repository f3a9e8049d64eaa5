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
from runtime.learning.pictures.images import Pictures
from runtime.learning.pictures.look import Look, look
from runtime.process.threads import limit_threads

FORGOTTEN_S = 3600
"""Parts of a run that nobody asked about for so long are dropped: the process that began it has died."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc
_REUSED_BYTES = 8 << 20  # the temporary arrays of a selection have up to 4 MB


@dataclass(frozen=True, slots=True, eq=False)
class WorkerJob:
    """A question about some parts.

    Attributes:
        run: name of the run of `fit`.
        parts: numbers of the pictures of each part, by the number of the part.
        digests: of the features that parts had before; none at first.
        first: how many changes were told before `changes`.
        changes: what was told since.
        question: `question(part, *shared)`.
        in_memory: bytes of a part beyond which it goes into a file.
        probe: what the first process computed; None accepts any.
    """

    run: str
    parts: dict[int, NDArray[np.int64]]
    digests: dict[int, str]
    first: int
    changes: tuple[Change, ...]
    question: Callable[..., Any]
    in_memory: int
    probe: KindProbe | None


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
        self.probed = False

    def close(self) -> None:
        self.parts.clear()
        self._folder.cleanup()


_LOCK = threading.Lock()  # one job at a time has all threads of the worker
_RUNS: dict[str, _Run] = {}


def work(job: WorkerJob, source: Sent | None, *shared: Sent) -> WorkerDone:
    """Answer a question about parts; with `source` they are made, where they are not here."""
    done = WorkerDone(get_worker().address)
    with _LOCK:
        run = _run(job.run)
        try:
            for number, numbers in job.parts.items():
                kept = run.parts.get(number)
                if source is not None and (kept is None or kept.changes < job.first):
                    kept = run.parts[number] = _embed(run, job, number, numbers, source.value, done)
                if kept is None or kept.changes < job.first:
                    done.behind.append(number)
                    continue
                for change in job.changes[kept.changes - job.first :]:
                    change(kept.part)
                    kept.changes += 1
                done.answers[number] = job.question(kept.part, *(one.value for one in shared))
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


def _embed(
    run: _Run, job: WorkerJob, number: int, numbers: NDArray[np.int64], source: Source, done: WorkerDone
) -> _Kept:
    if job.probe is not None and not run.probed:
        refuse_mix([job.probe, KindProbe.of(source.network, done.address)])
        run.probed = True
    run.place.in_memory = job.in_memory
    part = source.embed(numbers, run.place)
    done.digests[number] = digest = _digest(part)
    if job.digests.get(number, digest) != digest:
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


def probe(network: Sent) -> KindProbe:
    """Return what this worker computes."""
    with _LOCK:
        limit_threads(get_worker().state.nthreads, blas=1)
        return KindProbe.of(network.value, get_worker().address)


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
