"""What travels while a bundle is learnt on workers: measured by kind of message, beside what the model says.

    python -m tests.programs.bench.cluster_traffic PICTURES --entries 4800

It ends with 1 where a kind or the sum differs by more than `TOLERANCE`. In a network namespace of its own, the bytes of
the loopback interface are those of this cluster, with all that Dask, TCP and IP add:

    unshare --net sh -c 'ip link set lo up && exec python -m tests.programs.bench.cluster_traffic PICTURES'
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from export.cluster.connect import ClusterOptions, cluster_of
from export.cluster.spread import OnCluster
from export.cluster.traffic import Traffic
from runtime.learning.bank.index import M
from runtime.learning.learn import learn
from runtime.learning.learnt import LearntBundle
from runtime.learning.network_file import DEFAULT, FromFile
from runtime.learning.options import LearnOptions
from runtime.learning.stopwatch import Stopwatch
from runtime.process.threads import limit_threads
from tests.programs.bench.cluster_dask import OfDask, loopback, measure_dask
from tests.programs.bench.cluster_model import DOUBLE, FLOAT, ROW, Machines, Work
from tests.programs.bench.machine import machine

TOLERANCE = 0.1
"""Names of pictures differ in length, and links of the index in number; the frames that are tried are of any size."""

KINDS = {
    "PortableNetwork": "network",
    **dict.fromkeys(("look", "parts", "ready", "EmbedCopies"), "pictures"),
    **dict.fromkeys(("Largest", "Sums", "Adjusting", "ServedAs", "same_as"), "offset and scale"),
    **dict.fromkeys(("Add", "BeginSelection"), "entries"),
    "Offers": "offers",
    **dict.fromkeys(("PortableBank", "Take"), "bank"),
    **dict.fromkeys(("TryPictures", "ComparePictures"), "gate"),
}
"""Kind of message -> what it is for; all others are questions, their numbers of pictures, and small answers."""

REST = "questions"
NAMED = (*dict.fromkeys(KINDS.values()), REST)

SHARED = ("PortableNetwork", "PortableBank", "ServedAs")
"""Sent once to the scheduler and by it to one worker, which sends it on to the others."""

OF_A_PICTURE, OF_A_PART = 100, 700
"""Bytes about a picture beside its name (its place, size and fingerprint), and about a part of them."""

OF_A_QUESTION = 150
"""Bytes of a question, and of its answer: names of classes, address, numbers of the parts."""

LINKS = FLOAT * (2 * M + 1) + ROW + FLOAT + FLOAT * (M + 1) / (M - 1)
"""Bytes of an entry in the index beside its coordinates: links below, label, and links above, which few have."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """What the model knows of a fit.

    Attributes:
        work, machines: sizes and workers.
        homes: workers that have pictures.
        graph: bytes of the network.
        name: mean bytes of a picture's name.
        blocks: of the selection.
        questions: to a worker.
        neighbours: b, of an entry.
        compared: pictures of the parity gate.
        tried: bytes of the golden frames that were tried.
        judged: held-out pictures whose features are fetched: one, and with `--coreset auto` some more.
        offset: the scene stands still, so that each position has an offset.
    """

    work: Work
    machines: Machines
    homes: int
    graph: int
    name: float
    blocks: int
    questions: int
    neighbours: int
    compared: int
    tried: int
    judged: int = 1
    offset: bool = True

    @property
    def positions(self) -> int:
        """Numbers of a picture's features."""
        return self.work.patches * self.work.dimension

    def sent(self) -> dict[str, float]:
        """Return the bytes to the workers."""
        work, workers, homes = self.work, self.machines.workers, self.homes
        learnt = ROW * work.pictures * work.learnt
        entry = FLOAT * work.dimension + LINKS + FLOAT + FLOAT * self.neighbours + ROW
        arrays = 4 if self.offset else 3  # centre twice, a held-out picture, offset
        return {
            "network": workers * self.graph,
            "pictures": 2 * (work.pictures * (self.name + OF_A_PICTURE / 2) + self.machines.parts * OF_A_PART),
            "offset and scale": homes * (arrays * FLOAT * self.positions + 5 * learnt),
            "entries": homes * (work.entries * work.point_bytes + FLOAT * work.dimension * work.projected + learnt),
            "bank": work.entries * (workers * entry + homes * ROW),
            REST: self.questions * OF_A_QUESTION,
        }

    def received(self) -> dict[str, float]:
        """Return the bytes from the workers."""
        work, machines = self.work, self.machines
        offer = machines.parts * machines.of_a_part * (work.point_bytes + DOUBLE)
        return {
            "pictures": work.pictures * OF_A_PICTURE + machines.parts * OF_A_PART,
            "offset and scale": self.homes * 2 * DOUBLE * self.positions,
            "offers": self.blocks * offer,
            "bank": work.entries * (FLOAT * work.dimension + ROW) + (1 + self.judged) * FLOAT * self.positions,
            "gate": self.tried + self.compared * 4 * DOUBLE * work.patches,
            REST: self.questions * OF_A_QUESTION,
        }


def by_use(counted: Mapping[str, int]) -> Counter[str]:
    """Add up kinds of messages that are for the same."""
    found: Counter[str] = Counter()
    for kind, size in counted.items():
        found[KINDS.get(kind, REST)] += size
    return found


def model_of(done: LearntBundle, traffic: Traffic, options: LearnOptions, workers: int) -> Learnt:
    """Return what the model takes from a fit: sizes, and how many blocks and frames there were."""
    patches, dimension = done.network.embed.output_shape
    coreset, count = done.bundle.manifest.coreset, len(done.pictures)
    learnt = float((~done.held).mean())
    projected = options.projection_dim if 0 < options.projection_dim < dimension else dimension
    return Learnt(
        work=Work(count, patches, dimension, projected, coreset.size, learnt),
        machines=Machines(workers=workers, message_s=1),
        homes=len(traffic.homes),
        graph=(done.bundle.path / "model.onnx").stat().st_size,
        name=sum(map(len, done.pictures.names())) / count,
        blocks=traffic.tasks["Offers"] // len(traffic.homes),
        questions=traffic.tasks.total(),
        neighbours=options.b,
        compared=min(12, int(done.held.sum())),
        tried=traffic.back["TryPictures"],
        judged=1 + min(16, int(done.held.sum())) * (options.coreset == "auto"),
        offset=bool(done.network.adjust.offset is not None),
    )


def table(found: Learnt, traffic: Traffic) -> Iterator[tuple[str, float, float]]:
    """Yield what it is, MB that were counted, and MB that the model says."""
    ways = ("sent", by_use(traffic.out), found.sent()), ("received", by_use(traffic.back), found.received())
    for way, counted, said in ways:
        for name in NAMED:
            if counted[name] or name in said:
                yield f"{way}: {name}", counted[name] / 1e6, said.get(name, 0.0) / 1e6
        yield f"{way}, in all", counted.total() / 1e6, sum(said.values()) / 1e6


def differing(lines: list[tuple[str, float, float]]) -> list[str]:
    """Return what differs by more than the tolerance: of its own size, or of the whole where it is small."""
    whole = max(counted for _, counted, _ in lines)
    return [what for what, counted, said in lines if abs(counted - said) > TOLERANCE * max(counted, TOLERANCE * whole)]


def on_the_wire(traffic: Traffic, workers: int, dask: OfDask, seconds: float) -> float:
    """Return the bytes that all connections of the cluster carry, where the scheduler is a process of its own.

    Questions and answers pass through the scheduler, and so cross twice. What is shared goes to the scheduler, from it
    to one worker, and from there to the others.
    """
    shared = sum(traffic.out[kind] for kind in SHARED)
    crossing = 2 * (traffic.sent - shared + traffic.received) + shared * (workers + 1) / workers
    return crossing + dask.task_bytes * traffic.tasks.total() + dask.idle_bytes_s * seconds


def main() -> int:
    """Learn on workers, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.programs.bench.cluster_traffic")
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--entries", type=int, default=4800)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    threads = limit_threads(args.workers)
    options = LearnOptions(images=str(args.pictures), out="-", coreset=args.entries, max_images=args.count)
    with tempfile.TemporaryDirectory() as name, cluster_of(ClusterOptions(None, args.workers, threads)) as cluster:
        dask = measure_dask(cluster)
        on, begun, before = OnCluster(cluster), time.monotonic(), loopback()
        done = learn(options, Path(name), FromFile(DEFAULT, threads), Stopwatch(), threads, on=on)
        seconds, wire = time.monotonic() - begun, loopback() - before
        found = model_of(done, on.traffic, options, args.workers)
        on.close()
    lines = list(table(found, on.traffic))
    lines.append(("on all connections", wire / 1e6, on_the_wire(on.traffic, args.workers, dask, seconds) / 1e6))
    print(machine(), dask, f"{found.blocks} blocks, {found.questions} tasks, {seconds:.0f} s", "", sep="\n")
    print("| what | measured | model |", "|---|--:|--:|", sep="\n")
    for what, counted, said in lines:
        print(f"| {what} | {counted:.2f} MB | {said:.2f} MB |")
    wrong = differing(lines[:-1]) + differing(lines[-1:])
    print(f"\nbeyond {TOLERANCE:.0%}: {', '.join(wrong) or 'nothing'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
