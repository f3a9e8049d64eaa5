"""The cost model of a fit on a cluster: its constants measured here, checked here, and simulated for 64 workers.

Usage: python -m tests.programs.bench.cluster_cost PICTURES [--learn] [--count N]

PICTURES is a folder of normal pictures. The block rule runs on the features of `--count` of them, in one process, split
into parts as on a cluster. `--learn` also learns from them, in one process and on two workers, and compares with the
model, which docs/explain/cost-of-fit.md derives.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from edge_config.bundle import files as bundles
from edge_config.bundle import network_file
from runtime.learning.bank.chosen import Chosen, Entries, Old, next_block
from runtime.learning.bank.grid import project, to_grid
from runtime.learning.bank.in_slices import workers as pool_of
from runtime.learning.bank.index import build_index, neighbour_table
from runtime.learning.network_file import DEFAULT
from runtime.learning.pictures.images import Pictures
from runtime.process.threads import limit_threads
from runtime.scoring.embed import Embed
from runtime.scoring.preprocess import Preprocess
from tests.programs.bench.cluster_model import (
    PARTS,
    Law,
    Machines,
    Rates,
    Work,
    bank_s,
    blocks,
    decide_bytes,
    embed_s,
    features_bytes,
    memory,
    project_s,
    simulate,
)
from tests.programs.bench.machine import machine

PROJECTED = 128
SIZES = ((1.0, 1, 512), (0.5, 1, 512), (0.25, 1, 512), (1.0, 1, 128), (1.0, 8, 128), (0.25, 8, 128), (1.0, 8, 512))
MANY = ((1.0, 64, 32), (1.0, 256, 13))
"""The same for the parts and offers of 16 and of 64 workers: the law is not fitted to them."""

"""Share of the points, parts, and offer of a part, that the law of the blocks is fitted to."""

CHECK = (0.7, 1, 512, 2)
"""The same of a selection that it is not fitted to, and how many times as many entries; the model predicts its time."""

SHARE = 0.03
"""Entries of the points."""

BANK = 4096
"""Entries of the bank whose index and table are timed."""

BIG = Work(pictures=62_500, patches=1600, dimension=176, projected=128, entries=100_000, learnt=1.0)
"""10^8 patches."""

HEAD = """
| cluster | embed | project | index, table | select | of it: workers | decision | network and waiting | blocks \
| sent | received | memory of a worker | features of a worker | memory of the decision |"""

NETWORK = {"bytes_s": 1.25e9, "message_s": 0.5e-3, "spread": 0.1, "pause": 0.01}
"""10 Gbit/s; 0.5 ms for each task, unless it is measured; workers differ by 10 %; one step in 100 takes 50 ms more."""


@dataclass
class Clock:
    """Processor seconds by step, and the units of work that they were for."""

    seconds: dict[str, float] = field(default_factory=dict)
    units: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, step: str, units: float) -> Iterator[None]:
        """Add the time of a block of code."""
        start = time.process_time()
        yield
        self.seconds[step] = self.seconds.get(step, 0.0) + time.process_time() - start
        self.units[step] = self.units.get(step, 0.0) + units

    def rate(self, step: str) -> float:
        """Return the seconds of a unit."""
        return self.seconds[step] / max(self.units[step], 1.0)


@dataclass
class Block:
    """One block: entries before it, candidates, and new entries."""

    count: int
    candidates: int
    new: int


def embedded(folder: Path, count: int, clock: Clock) -> tuple[NDArray[np.float32], int]:
    """Return the features of some pictures, float32 [patches of all, D], and the patches of one."""
    spec = network_file.read(DEFAULT).record.preprocessing
    preprocess, embed = Preprocess(spec), Embed(DEFAULT / bundles.MODEL, 1)
    found = []
    walk = iter(Pictures(folder, limit=count))
    for _ in range(count):
        with clock("picture", 1):
            found.append(embed(preprocess(next(walk)[1])))
    return np.concatenate(found), len(found[0])


def select(points: NDArray[np.float32], parts: int, most: int, size: int, clock: Clock) -> tuple[list[Block], float]:
    """Select by the product's own steps, over parts, and time each step; return blocks, and share of pairs compared."""
    total, dimension = points.shape
    places = np.array_split(np.random.default_rng(1).permutation(total), parts)
    old, done = Old(size, dimension), []
    with pool_of() as pool:
        chosen = [Chosen(points[rows := np.sort(some)], rows, old, pool) for some in places]
        for one in chosen:
            one.add(Entries(np.array([0]), points[:1]), most)
        count = 1
        while count < size:
            with clock("compare", 0):
                offers = [one.offer(most) for one in chosen]
            candidates = sum(len(one.rows) for one in offers)
            with clock("decide", candidates**2 * dimension):
                new = next_block(offers, size - count)
            done.append(Block(count, candidates, len(new.rows)))
            with clock("compare", 0):
                for one in chosen:
                    one.add(new, most)
            count += len(new.rows)
    pairs = sum(int(one._known.compared.sum()) for one in chosen)
    with clock("compare", pairs * dimension):
        pass
    return done, pairs / (total * size)


def law_of(runs: list[tuple[int, list[Block], float]]) -> Law:
    """Fit the law of the blocks to some selections: number of points, their blocks, and share of pairs compared."""
    rows, wanted = [], []
    for total, taken, _ in runs:
        for one in taken[:-1]:  # the last one ends where the bank is full
            rows.append((1.0, np.log(one.candidates), np.log(total), np.log(one.count)))
            wanted.append(np.log(one.new))
    powers = np.linalg.lstsq(np.array(rows), np.array(wanted), rcond=None)[0]
    return Law(*map(float, powers), float(np.median([compared for _, _, compared in runs])))


def measured(points: NDArray[np.float32], clock: Clock) -> tuple[Law, list[str]]:
    """Run the block rule in several sizes, and return its law and a table."""
    runs, lines = [], []
    for share, parts, most in SIZES:
        some = points[np.random.default_rng(2).permutation(len(points))[: round(len(points) * share)]]
        taken, compared = select(some, parts, most, round(SHARE * len(points)), clock)
        runs.append((len(some), taken, compared))
        new = float(np.mean([one.new for one in taken[len(taken) // 2 : -1]]))
        lines.append(f"| {len(some):,} | {parts} x {most} | {len(taken)} | {new:.0f} | {compared:.0%} |")
    return law_of(runs), lines


def of_many(points: NDArray[np.float32], law: Law) -> Iterator[str]:
    """Yield a line for each number of parts that a large cluster has: do they take as many entries as the law says?"""
    size = round(SHARE * len(points))
    for _, parts, most in MANY:
        found = len(select(points, parts, most, size, Clock())[0])
        work = Work(len(points), 1, 0, points.shape[1], size, learnt=1.0)
        said = len(list(blocks(work, law, Machines(workers=parts // PARTS, message_s=1, offered=most))))
        yield f"| {len(points):,} | {parts} x {most} | {found} blocks, predicted {said} |"


def bank(features: NDArray[np.float32], clock: Clock) -> None:
    """Time index and table of neighbours of some features."""
    some = features[np.random.default_rng(4).permutation(len(features))[:BANK]]
    with clock("index", len(some) * math.log2(len(some))):
        build_index(some)
    with clock("table", len(some) ** 2 * some.shape[1]):
        neighbour_table(some, 9)


def checked(points: NDArray[np.float32], law: Law, rates: Rates) -> str:
    """Predict a selection that the law was not fitted to, and measure it."""
    share, parts, most, times = CHECK
    some = points[np.random.default_rng(3).permutation(len(points))[: round(len(points) * share)]]
    size = round(times * SHARE * len(points))
    clock = Clock()
    taken, _ = select(some, parts, most, size, clock)
    work = Work(len(some), 1, 0, points.shape[1], size, learnt=1.0)
    found, cost = sum(clock.seconds.values()), simulate(work, rates, law, Machines())
    return (
        f"{size:,} of {len(some):,} points: {len(taken)} blocks and {found:.1f} s of a processor, "
        f"predicted {cost.blocks} and {cost.seconds:.1f} s"
    )


def simulated(rates: Rates, law: Law, network: dict[str, float]) -> Iterator[str]:
    """Yield a line for each cluster that the large fit is simulated on."""
    large = {"threads": 8, "efficiency": 0.8}
    ways: list[tuple[str, Machines]] = [
        (f"{count} workers", Machines(workers=count, **large, **network)) for count in (8, 16, 32, 64)
    ]
    ways += [("64, 1 Gbit/s", Machines(workers=64, **large, **{**network, "bytes_s": 1.25e8}))]
    ways += [
        (f"64, offer {one} a part", Machines(workers=64, offered=one, **large, **network)) for one in (4, 8, 16, 64)
    ]
    for name, machines in ways:
        cost = simulate(BIG, rates, law, machines)
        before = embed_s(BIG, rates, machines), project_s(BIG, rates, machines), bank_s(BIG, rates, machines)
        parts = cost.seconds, cost.workers_s, cost.decide_s, cost.network_s + cost.waiting_s
        sizes = cost.sent, cost.received, memory(BIG, machines), features_bytes(BIG, machines)
        cells = [*(f"{one:.0f} s" for one in (*before, *parts)), f"{cost.blocks:,}"]
        cells += [f"{one / 1e9:.1f} GB" for one in (*sizes, decide_bytes(BIG, machines))]
        yield f"| {name} | {' | '.join(cells)} |"


def main() -> int:
    """Measure, check and simulate, and print tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.programs.bench.cluster_cost")
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--learn", action="store_true", help="learn in one process and on two workers")
    args = parser.parse_args()
    limit_threads(1)
    print(machine(), f"load {os.getloadavg()[0]:.1f}", sep="\n")
    clock = Clock()
    features, patches = embedded(args.pictures, args.count, clock)
    with clock("project", features.size * PROJECTED), threadpool_limits(1):
        points = project(features, np.arange(len(features)), PROJECTED, np.random.default_rng(0))
    bank(features, clock)
    law, lines = measured(to_grid(points), clock)
    rates = Rates(**{name: clock.rate(name) for name in Rates.__dataclass_fields__ if name in clock.seconds})
    print(
        "\n| points | parts x offer | blocks | of the later half: entries of a block | pairs compared |",
        *lines,
        sep="\n",
    )
    print("", *of_many(to_grid(points.copy()), law), sep="\n")
    print(f"\n{law}\n{rates}\n{checked(to_grid(points.copy()), law, rates)}")
    network = dict(NETWORK)
    if args.learn:
        work = Work(args.count, patches, features.shape[1], PROJECTED, round(SHARE * len(features)))
        from tests.programs.bench.cluster_check import compare  # a cluster needs its extra

        dask, lines = compare(args.pictures, work, rates, law)
        print(f"\n{dask}", "| way | stage | measured | predicted | of it Dask |", *lines, sep="\n")
        network["message_s"] = dask.here_s
    print(HEAD, *simulated(rates, law, network), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
