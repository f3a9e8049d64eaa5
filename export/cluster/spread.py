"""Learning spread over the workers of a Dask cluster."""

from __future__ import annotations

import pickle
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_config.errors import PatchedgeError
from export.cluster.awaited import completed, dying, result_of
from export.cluster.connect import Cluster
from export.cluster.probe import KindProbe, refuse_mix
from export.cluster.traffic import Traffic, size_of
from runtime.learning.bank import features as bank
from runtime.learning.parts.part import Change, Source
from runtime.learning.pictures.images import Pictures
from runtime.learning.pictures.look import Look
from runtime.learning.progress import bar, say

if TYPE_CHECKING:
    from distributed import Future

    from export.cluster.worker import MadeOf, WorkerDone

R = TypeVar("R")

PARTS = 4
"""Parts for each worker: while pictures are embedded, a fast one takes some of a slow one."""

MIN_PICTURES = 2
"""Of a part."""

MAX_TRIES = 20
"""Times that a part is made again before the work is given up: its worker dies each time."""


class OnCluster:
    """Work on the workers of a cluster.

    Attributes:
        traffic: what was sent.
    """

    here = False

    def __init__(self, cluster: Cluster, order: Callable[[list[Any]], list[Any]] = list) -> None:
        """Take a cluster; `order` is the one in which parts are given out."""
        self.cluster = cluster
        self.traffic = Traffic()
        self.run = uuid.uuid4().hex
        self._order = order
        self._shared: dict[int, tuple[Any, Future[Any]]] = {}

    def close(self) -> None:
        """Have the workers forget the pictures."""
        from export.cluster.worker import forget

        self._shared.clear()
        self.cluster.client.run(forget, self.run, on_error="ignore")  # of one that just died

    def look(self, pictures: Pictures) -> list[tuple[int, Look]]:
        """Look at pieces of the pictures.

        Raises:
            UsageError: a picture cannot be read: the first one of those.
        """
        from export.cluster import worker

        count = self.cluster.workers if pictures.is_video else PARTS * self.cluster.workers
        pieces = [piece.tolist() for piece in np.array_split(np.arange(len(pictures)), count) if len(piece)]
        parts = [pictures.part(piece) for piece in pieces]
        self.traffic.out["look"] += size_of(parts)
        self.traffic.tasks["look"] += len(parts)
        futures = [self.cluster.client.submit(worker.look_at, part, pure=False) for part in parts]
        found: dict[Any, Look | PatchedgeError] = {}
        with bar("look at pictures", len(pictures), "picture") as moving:
            for future in completed(futures):
                found[future.key] = one = result_of(future)
                moving(0 if isinstance(one, PatchedgeError) else len(one.seen))
        looks: list[Look] = []
        for one in (found[future.key] for future in futures):
            if isinstance(one, PatchedgeError):
                raise one
            looks.append(one)
        self.traffic.back["look"] += size_of(looks)
        return list(zip([piece[0] for piece in pieces], looks, strict=True))

    def embed(self, source: Source, folder: Path) -> ClusterParts:  # noqa: ARG002 - workers have a folder of their own
        """Embed the pictures in parts.

        Raises:
            UsageError: the workers compute differently.
        """
        probe = self._probe(source)
        count = max(1, min(PARTS * self.cluster.workers, len(source.pictures) // MIN_PICTURES))
        if source.pictures.is_video:
            count = min(count, self.cluster.workers)  # each reads it from its beginning
        numbers = np.array_split(self._ordered(len(source.pictures)), count)
        parts = ClusterParts(self, source, [np.sort(some) for some in numbers], probe)
        parts.ask(_ready, what="embed pictures")
        return parts

    def share(self, value: Any) -> Future[Any]:
        """Send something large once to every worker that needs it."""
        from export.cluster.worker import same

        if id(value) not in self._shared:
            data = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
            self.traffic.out[type(value).__name__] += len(data) * self.cluster.workers
            self._shared[id(value)] = value, self.cluster.client.submit(same, data, pure=False)
        return self._shared[id(value)][1]

    def _ordered(self, count: int) -> NDArray[np.int64]:
        return np.array(self._order(list(range(count))), dtype=np.int64)

    def _probe(self, source: Source) -> KindProbe | None:
        from export.cluster import worker

        if self.cluster.mixed:
            say("workers of different kinds are accepted (--mixed): the id of the bundle may differ from run to run")
            return None
        network, own = self.share(source.network), KindProbe.of(source.network)
        futures = [
            self.cluster.client.submit(
                worker.probe, self.run, network, workers=[address], allow_other_workers=True, pure=False
            )
            for address in self.cluster.addresses
        ]
        self.traffic.tasks["probe"] += len(futures)
        refuse_mix([own, *(result_of(future) for future in futures)])
        return own


class ClusterParts:
    """All pictures and their features, in parts that lie on the workers.

    Attributes:
        homes: address of the worker that has a part, by its number.
    """

    def __init__(
        self, on: OnCluster, source: Source, numbers: list[NDArray[np.int64]], probe: KindProbe | None
    ) -> None:
        """Take the pictures of each part; they are embedded at the first question."""
        self._on = on
        self._source = source
        self._numbers = numbers
        self._probe = probe
        self._log: list[Change] = []
        self._told: dict[int, int] = {}  # changes that a part has seen, at its home
        self._digests: dict[int, str] = {}
        self.homes: dict[int, str] = {}
        per_worker = -(-len(numbers) // max(1, on.cluster.workers))
        self._in_memory = bank.MAX_IN_MEMORY // per_worker

    @property
    def count(self) -> int:
        """Number of parts."""
        return len(self._numbers)

    def tell(self, change: Change) -> None:
        """Change every part, before the next question."""
        self._log.append(change)

    def ask(self, question: Callable[..., R], *shared: Any, what: str = "") -> list[R]:
        """Return an answer of each part; parts whose worker was lost are made again.

        Raises:
            UnavailableError: workers die again and again, or are gone.
        """
        answers: dict[int, R] = {}
        total = sum(map(len, self._numbers))
        with bar(what, total, "picture") if what else _no_bar() as moving:
            for _ in range(MAX_TRIES):
                missing = [number for number in range(self.count) if number not in answers]
                if not missing:
                    in_order = [answers[number] for number in range(self.count)]
                    return [one for one in in_order if one is not None] if hasattr(question, "together") else in_order
                futures = [self._submit(job, question, shared) for job in self._grouped(missing, apart=bool(what))]
                for future in completed(futures):
                    done = result_of(future)
                    self._note(done, question)
                    answers |= done.answers
                    moving(sum(len(self._numbers[number]) for number in done.answers))
        raise dying()

    def _grouped(self, parts: list[int], *, apart: bool) -> Iterable[list[int]]:
        """Put parts together that have the same home; each by itself that has none, or where a stage is long."""
        groups: dict[Any, list[int]] = {}
        for number in parts:
            home = self.homes.get(number)
            groups.setdefault(number if apart or home is None else home, []).append(number)
        return groups.values()

    def _submit(self, parts: list[int], question: Callable[..., Any], shared: Sequence[Any]) -> Future[Any]:
        from export.cluster import worker

        home = self.homes.get(parts[0])
        first = 0 if home is None else min(self._told[number] for number in parts)
        job = worker.WorkerJob(
            run=self._on.run,
            parts={number: self._made_of(number) if home is None else None for number in parts},
            first=first,
            changes=tuple(self._log[first:]),
            question=question,
        )
        self._on.traffic.job(job)
        network = self._on.share(self._source.network) if home is None else None
        where = {} if home is None else {"workers": [home], "allow_other_workers": True}
        sent = [self._on.share(one) for one in shared]
        return self._on.cluster.client.submit(worker.work, job, network, *sent, pure=False, **where)

    def _made_of(self, number: int) -> MadeOf:
        from export.cluster.worker import MadeOf

        numbers, source = self._numbers[number], self._source
        pictures = source.pictures.part(numbers.tolist())
        digest = self._digests.get(number)
        return MadeOf(numbers, pictures, source.judged, source.copies, digest, self._in_memory, self._probe)

    def _note(self, done: WorkerDone, question: Callable[..., Any]) -> None:
        """Remember where parts are."""
        if done.error is not None:
            raise done.error
        self._on.traffic.done(question, done)
        self._digests |= done.digests
        for number in done.answers:
            self.homes[number], self._told[number] = done.address, len(self._log)
        for number in done.behind:
            self.homes.pop(number, None)


def _ready(part: Any) -> int:
    """Return the number of pictures of a part that was embedded."""
    return len(part.numbers)


@contextmanager
def _no_bar() -> Iterator[Callable[[int], object]]:
    yield lambda _: None
