"""Check and time a fit on a GPU beside the processor, in one run: `python -m tests.programs.bench.fit_gpu PICTURES`.

It needs what `fit --device cuda` needs. `--device cpu` goes the same way without a GPU: ONNX Runtime's CPU provider and
torch's CPU, to try the program. It ends with 1 if one of these does not hold:

- from the same features, the processor and the GPU select the same rows;
- features of the GPU are within 1e-4 of the processor's, relative to the longest one;
- the bundle of the GPU has its golden scores within 1e-3 on the CPU provider, and 1e-5 on the GPU's.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_config.settings.sections import CPU, Provider
from export.fit import fit
from export.gpu.start import computing_on, here_on
from export.options import Options
from runtime.inference.load import load_and_check
from runtime.inference.providers.options import CUDA
from runtime.learning.gate.differences import ROUNDING, apart
from runtime.learning.gate.parity import FLOAT32_CPU, FLOAT32_GPU
from runtime.learning.network import Network
from runtime.learning.network_file import DEFAULT, FromFile
from runtime.learning.parts.features import SpreadFeatures
from runtime.learning.parts.make_bank import select_rows
from runtime.learning.parts.part import PROCESSOR, Computing, Source
from runtime.learning.parts.portable import PortableNetwork
from runtime.learning.parts.spread import Here
from runtime.learning.pictures.check import check_pictures
from runtime.learning.pictures.images import Pictures, evenly
from runtime.process.threads import limit_threads
from tests.programs.bench.machine import machine

TIMES = 2
"""The first time loads what is needed: the shortest counts."""

COMPARED = 12
"""Pictures whose features are compared."""


class Stages(NamedTuple):
    """What a way took, s, and what it gave."""

    embed: float
    select: float
    rows: NDArray[np.int64]
    features: NDArray[np.float32]


def stages(here: Here, pictures: Pictures, network: Network, folder: Path, options: Options) -> Stages:
    """Embed the pictures and select from all of them."""
    count = len(pictures)
    begun = time.perf_counter()
    parts = here.embed(Source(pictures, PortableNetwork(network, folder / "model.onnx"), None, 0), folder)
    features = SpreadFeatures(parts, count, network.embed.output_shape, None)
    embedded = time.perf_counter()
    rows = select_rows(features, np.arange(count), options)
    done = time.perf_counter()
    some = np.concatenate([features.judged_rows(number) for number in evenly(count, COMPARED)])
    return Stages(embedded - begun, done - embedded, rows, some)


def compare_stages(here: Here, options: Options, threads: int, folder: Path) -> bool:
    """Print the stages of each way, and return whether rows and features are as they must be."""
    only_selecting = Here(Computing(PROCESSOR.streams, here.computing.entries))
    ways = {"processor": Here(), "select elsewhere": only_selecting, "embed and select elsewhere": here}
    pictures = Pictures(Path(options.images), limit=options.max_images)
    network = FromFile(DEFAULT, threads)(pictures, check_pictures(pictures, least=4), folder)
    found = {
        name: [stages(way, pictures, network, folder, options) for _ in range(TIMES)] for name, way in ways.items()
    }
    print(f"{len(pictures)} pictures\n{'':<28}{'embed s':>9}{'select s':>9}  rows")
    for name, times in found.items():
        embed, select = (min(getattr(one, stage) for one in times) for stage in ("embed", "select"))
        print(f"{name:<28}{embed:9.2f}{select:9.2f}  {hashlib.sha256(times[-1].rows.tobytes()).hexdigest()[:12]}")
    cpu, selected, both = (times[-1] for times in found.values())
    off = apart(both.features, cpu.features)
    same = np.array_equal(cpu.rows, selected.rows)
    print(f"features: {off:.1e} apart; rows from the same features: {'the same' if same else 'OTHERS'}")
    return same and off <= ROUNDING


def compare_fits(here: Here, provider: Provider, options: Options, threads: int, folder: Path) -> bool:
    """Print what both fits took, and return whether the golden frames of the bundle hold on both providers."""
    for name, where in (("processor", Here()), ("elsewhere", here)):
        out = folder / f"{name}.bundle"
        report = fit(
            Options(images=options.images, out=str(out), max_images=options.max_images, threads=threads), here=where
        )
        seconds = ", ".join(f"{stage} {taken:.1f}" for stage, taken in report.seconds.items())
        threshold = report.manifest.calibration.threshold
        print(f"fit, {name}: {sum(report.seconds.values()):.1f} s, threshold {threshold:.6f}, {report.bundle_id[:12]}")
        print(f"  {seconds}")
    good = True
    for one, limit in ((CPU, FLOAT32_CPU.scores), (provider, FLOAT32_GPU.scores)):
        checked = load_and_check(out, threads, providers=(one,))[2]
        print(f"its golden scores on {one.name}: {checked.scores:.1e} apart, allowed {limit:.0e}")
        good = good and checked.scores <= limit
    return good


def main(arguments: list[str] | None = None) -> int:
    """Compare the stages, then whole fits."""
    parser = argparse.ArgumentParser(prog="python -m tests.programs.bench.fit_gpu", description=__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--max-images", type=int)
    parser.add_argument("--entries", type=int, default=8192, help="of the selection that is timed")
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args(arguments)
    threads = limit_threads(args.threads)
    provider = Provider(name=CUDA) if args.device == "cuda" else CPU
    here = here_on("cuda", threads) if args.device == "cuda" else computing_on(CPU, "cpu", threads)
    print(f"{machine()}, {threads} threads; elsewhere: {args.device}", flush=True)
    options = Options(images=str(args.images), out="-", max_images=args.max_images, coreset=args.entries)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        good = compare_stages(here, options, threads, folder)
        return 0 if compare_fits(here, provider, options, threads, folder) and good else 1


if __name__ == "__main__":
    sys.exit(main())
