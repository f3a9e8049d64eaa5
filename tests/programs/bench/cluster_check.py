"""The cost model against real embedding and selecting, in one process and on two workers: processor seconds, traffic.

Seconds of the clock say little on a machine that does other work. Those of the processors, of all processes together,
depend on it less.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from export.cluster.connect import ClusterOptions, cluster_of
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
from tests.programs.bench.cluster_model import Law, Machines, Rates, Work, embed_s, project_s, simulate

WORKERS = 2
WAYS = ("one process", f"{WORKERS} workers")

Used = dict[str, float]


def compare(folder: Path, work: Work, rates: Rates, law: Law) -> Iterator[str]:
    """Yield a line for each figure: way, what, measured, predicted."""
    everything = replace(work, learnt=1.0)
    options = LearnOptions(images=str(folder), out="-", coreset=work.entries)
    asked = ClusterOptions(workers=WORKERS, threads=WORKERS)
    with tempfile.TemporaryDirectory() as name, cluster_of(asked) as cluster:
        pictures = Pictures(folder, limit=work.pictures)
        network = FromFile(DEFAULT, 1)(pictures, check_pictures(pictures, least=4), Path(name))

        def everywhere() -> float:
            return time.process_time() + sum(cluster.client.run(time.process_time).values())

        for way, used in zip(WAYS, (time.process_time, everywhere), strict=True):
            on = Here() if way == WAYS[0] else OnCluster(cluster)
            measure(on, pictures, network, Path(name), options, used)  # what is loaded at first does not count
            if isinstance(on, OnCluster):
                on.close()
                on = OnCluster(cluster)
            found = measure(on, pictures, network, Path(name), options, used)
            workers = 1 if way == WAYS[0] else WORKERS
            machines = Machines(workers=workers, message_s=0 if workers == 1 else 1e-9, bytes_s=1e12)
            cost = simulate(everything, rates, law, machines)
            select = workers * (project_s(everything, rates, machines) + cost.workers_s) + cost.decide_s
            embed = workers * embed_s(everything, rates, machines)
            yield f"| {way} | embed | {found['embed']:.1f} s | {embed:.1f} s |"
            yield f"| {way} | project and select | {found['select']:.1f} s | {select:.1f} s |"
            if isinstance(on, OnCluster):
                graph = workers * (Path(name) / "model.onnx").stat().st_size
                yield f"| {way} | sent | {on.traffic.sent / 1e6:.1f} MB | {(cost.sent + graph) / 1e6:.1f} MB |"
                yield f"| {way} | received | {on.traffic.received / 1e6:.1f} MB | {cost.received / 1e6:.1f} MB |"
                on.close()


def measure(
    on: Spreading, pictures: Pictures, network: Network, folder: Path, options: LearnOptions, used: Callable[[], float]
) -> Used:
    """Return the processor seconds of both stages."""
    begun = used()
    source: Any = Source(pictures, PortableNetwork(network, folder / "model.onnx"), None, 0)
    features = SpreadFeatures(on.embed(source, folder), len(pictures), network.embed.output_shape, None)
    embedded = used()
    select_rows(features, np.arange(len(pictures)), options)
    return {"embed": embedded - begun, "select": used() - embedded}
