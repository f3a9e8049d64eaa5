"""What a fit on a cluster takes: time, memory and traffic by pictures, patches, entries and workers.

docs/explain/cost-of-fit.md derives the formulas. Here they are, and a simulation of the selection block by block.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from runtime.learning.bank.coreset import offered

PARTS = 4
"""Parts of each worker (`export.cluster.spread`)."""

FLOAT, DOUBLE, ROW = 4, 8, 8
OF_A_POINT = 60
"""Bytes of a point while entries are selected, beside its coordinates (`runtime.learning.memory_needed`)."""


@dataclass(frozen=True, slots=True)
class Work:
    """Sizes of a fit: pictures, patches of a picture, dimensions, entries, and share that is learnt from."""

    pictures: int
    patches: int
    dimension: int
    projected: int
    entries: int
    learnt: float = 0.75

    @property
    def candidates(self) -> int:
        """Number of patches that entries are chosen among."""
        return round(self.pictures * self.learnt) * self.patches

    @property
    def point_bytes(self) -> int:
        """Bytes of a point and its row on the wire."""
        return FLOAT * self.projected + ROW


@dataclass(frozen=True, slots=True)
class Rates:
    """Seconds of one thread for each unit of work, measured.

    Attributes:
        picture: decode and embed a picture.
        project: project a patch, for each pair of dimensions.
        compare: compare a point with a new entry, for each coordinate, and all that goes with it: find the farthest.
        decide: compare two candidates in one place, for each coordinate.
        index: build the index, for each entry and doubling of the bank.
        table: compare two entries of the bank, for each coordinate of a feature.
    """

    picture: float = 0.0
    project: float = 0.0
    compare: float = 0.0
    decide: float = 0.0
    index: float = 0.0
    table: float = 0.0


@dataclass(frozen=True, slots=True)
class Law:
    """How the block rule behaves on some features, measured.

    Attributes:
        log_scale, by_candidates, by_points, by_count: a block chooses e^log_scale M^by_candidates N^by_points
            count^by_count entries, of M candidates and N points, beside `count` entries.
        compared: share of all pairs of a point and an entry that are compared.
    """

    log_scale: float
    by_candidates: float
    by_points: float
    by_count: float
    compared: float

    def entries(self, candidates: int, points: int, count: int) -> int:
        """Return the entries that a block chooses, when there are `count` already."""
        power = self.log_scale + self.by_candidates * math.log(candidates) + self.by_points * math.log(points)
        return max(1, int(min(math.exp(power + self.by_count * math.log(count)), candidates)))


@dataclass(frozen=True, slots=True)
class Machines:
    """Workers and network.

    Attributes:
        workers, threads: number of workers, and threads of each.
        efficiency: share of all threads that a parallel step uses.
        bytes_s: of the network card of each machine.
        message_s: that the scheduler takes for each task, one after the other.
        spread: a worker is slower by this share, of one standard deviation, in each step.
        pause: one step of this share takes `pause_s` longer (another program, the garbage collector).
        cap: largest number of candidates that are decided on in one place; 0: all that are offered.
        offered: points that each part offers; 0: as the product does.
    """

    workers: int = 1
    threads: int = 1
    efficiency: float = 1.0
    bytes_s: float = 1.25e9
    message_s: float = 0.0
    spread: float = 0.0
    pause: float = 0.0
    pause_s: float = 0.05
    cap: int = 0
    offered: int = 0

    @property
    def parts(self) -> int:
        """Number of parts; all is one part where there is one worker and no network."""
        return 1 if self.message_s == 0 and self.workers == 1 else PARTS * self.workers

    @property
    def of_a_part(self) -> int:
        """Points that a part offers."""
        return self.offered or offered(self.parts)


@dataclass(slots=True)
class Cost:
    """What a selection took: seconds in all and by what, bytes to and from workers, bytes of memory, blocks."""

    seconds: float = 0.0
    workers_s: float = 0.0
    network_s: float = 0.0
    decide_s: float = 0.0
    waiting_s: float = 0.0
    sent: float = 0.0
    received: float = 0.0
    blocks: int = 0


def update_s(work: Work, rates: Rates, law: Law, points: float, new: int, threads: float) -> float:
    """Return the seconds that a worker of `points` points takes for a block of new entries, and for its next offer."""
    return rates.compare * law.compared * points * new * work.projected / threads


def decide_s(work: Work, rates: Rates, candidates: int, threads: float) -> float:
    """Return the seconds that the decision about a block takes."""
    return rates.decide * candidates**2 * work.projected / threads


def bank_s(work: Work, rates: Rates, machines: Machines) -> float:
    """Return the seconds that index and table of neighbours take, in one place."""
    index = rates.index * work.entries * math.log2(work.entries)  # in one thread: another order is another index
    return index + rates.table * work.entries**2 * work.dimension / (machines.threads * machines.efficiency)


def blocks(work: Work, law: Law, machines: Machines) -> Iterator[tuple[int, int, int]]:
    """Yield count, candidates and new entries of each block."""
    offered = min(work.candidates, machines.parts * machines.of_a_part)
    decided = min(offered, machines.cap or offered)
    count = 1
    while count < work.entries:
        new = min(law.entries(decided, work.candidates, count), work.entries - count)
        yield count, decided, new
        count += new


def simulate(work: Work, rates: Rates, law: Law, machines: Machines, seed: int = 0) -> Cost:
    """Simulate the selection: in each block entries go out, workers update and offer, and one place decides.

    Messages leave one machine and reach it one after the other, as fast as its card allows. A block ends when the last
    worker's offer is there.
    """
    random, cost = np.random.default_rng(seed), Cost()
    threads = machines.threads * machines.efficiency
    points = work.candidates / machines.workers
    alone = machines.parts == 1
    offer = machines.parts / machines.workers * machines.of_a_part * (work.point_bytes + DOUBLE)
    for _, candidates, new in blocks(work, law, machines):
        deciding = decide_s(work, rates, candidates, threads)
        working = update_s(work, rates, law, points, new, threads)
        cost.decide_s += deciding
        cost.blocks += 1
        if alone:
            cost.workers_s += working
            cost.seconds += deciding + working
            continue
        entries = new * work.point_bytes
        leaves = (entries / machines.bytes_s + machines.message_s) * np.arange(1, machines.workers + 1)
        slow = np.exp(machines.spread * np.abs(random.standard_normal(machines.workers)))
        slow += (random.random(machines.workers) < machines.pause) * machines.pause_s / max(working, 1e-9)
        ready = leaves + working * slow
        end = 0.0
        for arrival in np.sort(ready):
            end = max(end, arrival) + offer / machines.bytes_s
        cost.workers_s += working
        cost.network_s += float(leaves[0]) + offer / machines.bytes_s
        cost.waiting_s += end - working - float(leaves[0]) - offer / machines.bytes_s
        cost.seconds += deciding + end
        cost.sent += machines.workers * entries
        cost.received += machines.workers * offer
    return cost


def embed_s(work: Work, rates: Rates, machines: Machines, seed: int = 0) -> float:
    """Simulate decoding and embedding: a worker that has nothing left takes a part that has not begun."""
    random = np.random.default_rng(seed)
    parts = PARTS * machines.workers
    each = work.pictures / parts * rates.picture / (machines.threads * machines.efficiency)
    free = [0.0] * machines.workers
    for _ in range(parts):
        start = heapq.heappop(free)
        heapq.heappush(free, start + machines.message_s + each * math.exp(machines.spread * abs(random.normal())))
    return max(free)


def project_s(work: Work, rates: Rates, machines: Machines) -> float:
    """Return the seconds of the projection."""
    pairs = work.candidates * work.dimension * work.projected
    return rates.project * pairs / (machines.workers * machines.threads * machines.efficiency)


def memory(work: Work, machines: Machines) -> float:
    """Return the bytes that a worker holds at the peak of the selection, features in a file apart."""
    points = work.candidates / machines.workers
    return points * (FLOAT * work.projected + OF_A_POINT) + work.entries * (FLOAT * work.projected + DOUBLE)


def features_bytes(work: Work, machines: Machines) -> float:
    """Return the bytes of the features of a worker, in memory or in a file."""
    return work.pictures * work.patches * work.dimension * FLOAT / machines.workers


def decide_bytes(work: Work, machines: Machines) -> float:
    """Return the bytes of the decision: two matrices of the candidates, and their points."""
    offered = min(work.candidates, machines.parts * machines.of_a_part)
    decided = min(offered, machines.cap or offered)
    return 2 * DOUBLE * decided**2 + offered * (FLOAT + DOUBLE) * work.projected
