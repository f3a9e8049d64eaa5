"""What a frame costs; is its score exact? Usage: python -m tests.programs.bench.frame [DATA_FOLDER] [WORK_FOLDER].

Three scenes, with banks of 10 % but for the defaults: a fixed camera (office), pictures of which no two are alike
(bottle in random order), a moving belt (the demo clip). Bundles stay in the work folder: a second run measures only.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np

from runtime.camera.sources.in_process import open_source
from runtime.inference.load import load
from tests.programs.bench.accuracy import DATA
from tests.programs.bench.machine import machine
from tests.programs.bench.published import fit, link
from tests.support.processes import DEVICE, EXPORT

SEED = 0
FRAMES = 400
COMPARED = 25
"""Frames, spread over the source, whose score is compared with that of the exact search: each takes half a second."""

TENTH = ("--coreset", "0.1")
OPTIONS = {
    "office": TENTH,
    "office, score paper": (*TENTH, "--score", "paper"),
    "office, int8": (*TENTH, "--precision", "int8"),
    "office, defaults": (),
    "bottle": TENTH,
    "belt": (*TENTH, "--max-images", "267"),  # 200 of them in the bank
}
"""What is fitted: the scene, and options of `fit`."""


def scenes(data: Path, work: Path) -> dict[str, tuple[Path, Path]]:
    """Return name -> (pictures to learn from, source of frames)."""
    office = sorted((data / "office" / "frames").iterdir())
    bottle = sorted((data / "bottle" / "test").rglob("*.*"))
    bottle = [bottle[place] for place in np.random.default_rng(SEED).permutation(len(bottle))]
    sources = work / "sources"
    if not sources.exists():
        link(office[:400], sources / "office-train")
        link(office[400:], sources / "office")
        link(bottle, sources / "bottle")
    if not (work / "demo" / "camera.avi").exists():
        subprocess.run([*EXPORT, "demo", str(work / "demo"), "--force"], check=True)
    return {
        "office": (sources / "office-train", sources / "office"),
        "bottle": (data / "bottle" / "train" / "good", sources / "bottle"),
        "belt": (work / "demo" / "normal", work / "demo" / "camera.avi"),
    }


def measure(name: str, bundle: Path, source: Path, threads: int) -> str:
    """Return a row of the table, by `patchedge bench` in a process of its own."""
    words = [
        "bench",
        str(bundle),
        "--source",
        str(source),
        "--frames",
        str(FRAMES),
        "--threads",
        str(threads),
        "--json",
    ]
    found = msgspec.json.decode(subprocess.run([*DEVICE, *words], check=True, stdout=subprocess.PIPE).stdout)
    stages = " / ".join(
        f"{found['stages'][stage]['p50']:.2f}" for stage in ("inspect", "preprocess", "graph", "search", "publish")
    )
    return (
        f"| {name} | {threads} | {found['entries']:,} | {found['stages']['network']['p50']:.1f} | {stages} "
        f"| {found['p50_ms']:.1f} / {found['p95_ms']:.1f} | {found['ratio_to_network']:.2f} "
        f"| {found['searched_share_p50']:.1%} / {found['searched_share_p95']:.1%} "
        f"| {found['ratio_to_whole_search']:.2f} | {found['peak_rss_mb']:.0f} | {found['cold_start_s']:.2f} |"
    )


def compare(name: str, bundle: Path, source: Path) -> str:
    """Compare scores, patches and entries of the lazy search with the exact one, frame after frame."""
    lazy, exact = load(bundle)[1], load(bundle, search="exact")[1]
    camera = open_source(str(source), pace="max")
    frames = [frame.image for frame in iter(camera.read, None) if frame.image is not None]
    camera.close()
    same = []
    for image in frames[:: max(1, len(frames) // COMPARED)]:
        one, other = lazy(image), exact(image)
        same.append((one.value, one.patch, one.entry) == (other.value, other.patch, other.entry))
    return f"{name}: score, patch and entry identical to the exact search in {np.sum(same)} of {len(same)} frames"


def main() -> int:
    """Print the table."""
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    work = Path(sys.argv[2]) if len(sys.argv) > 2 else Path("build/frame")
    if not data.is_dir():
        print(f"frame: skipped, {data} is absent")
        return 0
    work.mkdir(parents=True, exist_ok=True)
    rows, checks = [], []
    sources = scenes(data, work)
    for name, options in OPTIONS.items():
        images, source = sources[name.partition(",")[0]]
        bundle = work / f"{name.replace(', ', '-').replace(' ', '-')}.bundle"
        if not bundle.exists():
            fit(images, bundle, *options)
        rows += [measure(name, bundle, source, threads) for threads in (1, 2)]
        checks.append(compare(name, bundle, source))
    print(machine())
    print("| scene | threads | bank | network ms | inspect / preprocess / graph / search / publish ms ", end="")
    print(
        "| frame p50 / p95 ms | frame / network | searched p50 / p95 | frame / full search | peak MB | cold start s |"
    )
    print("|" + "---|" * 11)
    print(*rows, *checks, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
