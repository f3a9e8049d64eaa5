"""Embed pictures and select a bank over workers, and in this process with as many threads: time, memory, traffic.

    python -m tests.programs.bench.on_cluster --images normal --pictures 103 --entries 16384 --workers 2

Each way is measured several times in turn, and the shortest time counts: other work on the machine only adds to it.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import tempfile
import time
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
from runtime.process.threads import limit_threads

Times = dict[str, float]


def main() -> None:
    """Measure, and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=103)
    parser.add_argument("--entries", type=int, default=16384)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--times", type=int, default=3)
    args = parser.parse_args()
    threads = limit_threads(args.threads)
    options = LearnOptions(images=str(args.images), out="-", coreset=args.entries)
    here: list[Times] = []
    there: list[Times] = []
    with tempfile.TemporaryDirectory() as name, cluster_of(ClusterOptions(None, args.workers, threads)) as cluster:
        folder = Path(name)
        pictures = Pictures(args.images, limit=args.pictures)
        survey = check_pictures(pictures, least=4)
        network = FromFile(DEFAULT, threads)(pictures, survey, folder)
        before = memory(cluster)
        for _ in range(args.times):
            here.append(measure(Here(), pictures, network, folder, options, cluster))
            on = OnCluster(cluster)
            there.append(measure(on, pictures, network, folder, options, cluster))
            traffic, peak = on.traffic, memory(cluster)
            on.close()
    for stage in here[0]:
        alone, spread = (min(one[stage] for one in times) for times in (here, there))
        print(f"{stage}: {alone:.1f} s here, {spread:.1f} s over {args.workers} workers, {spread / alone:.2f} times")
    share = len(pictures) * np.prod(network.embed.output_shape) * 4 / args.workers / 1e6
    print(f"features: {share:.0f} MB for each worker; peak of a worker {max(peak):.0f} MB, idle {max(before):.0f} MB")
    print(f"traffic: {traffic.sent / 1e6:.1f} MB to workers, {traffic.received / 1e6:.1f} MB back")


def measure(
    on: Spreading, pictures: Pictures, network: Network, folder: Path, options: LearnOptions, cluster: Cluster
) -> Times:
    """Return the seconds of both stages, and the processor's time of all processes together."""
    begun, spent = time.perf_counter(), processor(cluster)
    source = Source(pictures, PortableNetwork(network, folder / "model.onnx"), None, 0)
    features = SpreadFeatures(on.embed(source, folder), len(pictures), network.embed.output_shape, None)
    embedded, of_embedding = time.perf_counter(), processor(cluster)
    rows = select_rows(features, np.arange(len(pictures)), options)
    done, of_all = time.perf_counter(), processor(cluster)
    found = {
        "embed": embedded - begun,
        "embed, processor": of_embedding - spent,
        "select": done - embedded,
        "select, processor": of_all - of_embedding,
    }
    print(f"  {type(on).__name__}: {found}, rows {hashlib.sha256(rows.tobytes()).hexdigest()[:12]}", flush=True)
    return found


def processor(cluster: Cluster) -> float:
    """Return the processor's time of this process and of all workers, s."""
    return time.process_time() + sum(cluster.client.run(time.process_time).values())


def memory(cluster: Cluster) -> list[float]:
    """Return the peak memory of each worker so far, MB."""
    found = cluster.client.run(lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return list(found.values())


if __name__ == "__main__":
    main()
