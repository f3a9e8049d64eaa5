"""The cost model against real embedding and selecting, in one process and on two workers: time and traffic.

Seconds of the processors, of all processes together, depend less on other work of the machine than those of the clock.
Both count what Dask takes, which is measured first, with questions for nothing.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from export.cluster.connect import Cluster, ClusterOptions, cluster_of
from export.cluster.spread import OnCluster
from runtime.learning.network import Network
from runtime.learning.network_file import DEFAULT, FromFile
from runtime.learning.options import LearnOptions
from runtime.learning.parts.features import SpreadFeatures
from runtime.learning.parts.make_bank import select_rows
from runtime.learning.parts.part import Source
from runtime.learning.parts.portable import PortableNetwork
from runtime.learning.parts.spread import Here, Spreading
from runtime.learning.pictures.check import check_pictures
from runtime.learning.pictures.images import Pictures
from tests.programs.bench.cluster_dask import OfDask, measure_dask, processors
from tests.programs.bench.cluster_model import Law, Machines, Rates, Work, embed_s, project_s, simulate

WORKERS = 2
TIMES = 3
"""The shortest of so many times counts: other work only adds to it."""

FEW = 4
"""Questions of a selection beside those of its blocks, to each worker."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What a stage took: s of the clock, s of all processors, bytes to and from workers."""

    clock: float
    used: float
    sent: float = 0.0
    received: float = 0.0

    def __sub__(self, other: Spent) -> Spent:
        """Return what was spent since."""
        pairs = ((getattr(self, name), getattr(other, name)) for name in Spent.__dataclass_fields__)
        return Spent(*(here - there for here, there in pairs))


@dataclass(frozen=True, slots=True)
class Bench:
    """What is embedded and selected from, again and again."""

    cluster: Cluster
    pictures: Pictures
    network: Network
    folder: Path
    options: LearnOptions

    def now(self, on: Spreading) -> Spent:
        """Return what was spent so far."""
        if isinstance(on, OnCluster):
            used = processors(self.cluster)
            return Spent(time.perf_counter(), used, on.traffic.sent, on.traffic.received)
        return Spent(time.perf_counter(), time.process_time())

    def stages(self, on: Spreading) -> tuple[Spent, Spent]:
        """Embed and select."""
        begun = self.now(on)
        source = Source(self.pictures, PortableNetwork(self.network, self.folder / "model.onnx"), None, 0)
        parts = on.embed(source, self.folder)
        features = SpreadFeatures(parts, len(self.pictures), self.network.embed.output_shape, None)
        embedded = self.now(on)
        select_rows(features, np.arange(len(self.pictures)), self.options)
        return embedded - begun, self.now(on) - embedded

    def shortest(self, *, spread: bool) -> tuple[Spent, Spent]:
        """Return the shortest of some times, without the first one, which loads what is needed."""
        found = []
        for _ in range(1 + TIMES):
            on = OnCluster(self.cluster) if spread else Here()
            found.append(self.stages(on))
            if isinstance(on, OnCluster):
                on.close()
        embed, select = (min(stages, key=lambda one: one.clock) for stages in zip(*found[1:], strict=True))
        return embed, select


def compare(folder: Path, work: Work, rates: Rates, law: Law) -> tuple[OfDask, list[str]]:
    """Return what Dask takes, and a line for each figure: way, what, measured, predicted, and Dask's part of that."""
    lines = []
    everything = replace(work, learnt=1.0)
    options = LearnOptions(images=str(folder), out="-", coreset=work.entries)
    asked = ClusterOptions(workers=WORKERS, threads=WORKERS)
    with tempfile.TemporaryDirectory() as name, cluster_of(asked) as cluster:
        dask = measure_dask(cluster)
        pictures = Pictures(folder, limit=work.pictures)
        network = FromFile(DEFAULT, 1)(pictures, check_pictures(pictures, least=4), Path(name))
        bench = Bench(cluster, pictures, network, Path(name), options)
        for spread in (False, True):
            found = bench.shortest(spread=spread)
            graph = (Path(name) / "model.onnx").stat().st_size
            said, of_dask = predicted(everything, rates, law, dask, graph, spread=spread)
            way = f"{WORKERS} workers" if spread else "one process"
            for stage, measured, model, part in zip(("embed", "select"), found, said, of_dask, strict=True):
                lines.append(_line(way, f"{stage}, clock", measured.clock, model.clock, part.clock, "s"))
                lines.append(_line(way, f"{stage}, processors", measured.used, model.used, part.used, "s"))
            if spread:
                for kind in ("sent", "received"):
                    measured_bytes, said_bytes = (sum(getattr(one, kind) for one in both) for both in (found, said))
                    lines.append(_line(way, kind, measured_bytes / 1e6, said_bytes / 1e6, 0, "MB"))
    return dask, lines


def predicted(
    work: Work, rates: Rates, law: Law, dask: OfDask, graph: int, *, spread: bool
) -> tuple[tuple[Spent, Spent], tuple[Spent, Spent]]:
    """Return what the model says of both stages, and what of it is Dask's."""
    workers = WORKERS if spread else 1
    machines = Machines(workers=workers, message_s=1e-9 if spread else 0, bytes_s=1e12)
    cost = simulate(work, rates, law, machines)
    embedding, projecting = embed_s(work, rates, machines), project_s(work, rates, machines)
    if not spread:
        select = projecting + cost.workers_s + cost.decide_s
        nothing = Spent(0, 0)
        return (Spent(embedding, embedding), Spent(select, select)), (nothing, nothing)
    of_embed = dask.spent(2, 2 + machines.parts, workers * graph)
    of_select = dask.spent(cost.blocks + FEW, workers * (cost.blocks + FEW), cost.sent + cost.received)
    embed = Spent(embedding + of_embed[0], workers * embedding + of_embed[1], workers * graph)
    select = projecting + cost.workers_s + cost.decide_s + of_select[0]
    used = workers * (projecting + cost.workers_s) + cost.decide_s + of_select[1]
    return (embed, Spent(select, used, cost.sent, cost.received)), (Spent(*of_embed), Spent(*of_select))


def _line(way: str, what: str, measured: float, said: float, of_dask: float, unit: str) -> str:
    part = f"{of_dask:.2f} {unit}" if of_dask else ""
    return f"| {way} | {what} | {measured:.1f} {unit} | {said:.1f} {unit} | {part} |"
