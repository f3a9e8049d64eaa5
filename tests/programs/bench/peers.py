"""The peer beside us in one run: anomalib's PatchCore and ours, on the same network, bank and pictures.

Usage: python -m tests.programs.bench.peers [DATA_FOLDER] (`make bench-peers`; options: PEERS_OPTIONS=). The tables go
to stdout, each row as JSON to WORK/results.jsonl, what goes on to stderr.

Every contender has its turn in each round; a figure is the median over all rounds, a ratio the median of the ratios
within each round: what else runs on the machine slows all of them alike.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no weights are downloaded
os.environ.setdefault("TQDM_DISABLE", "" if sys.stderr.isatty() else "1")

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from edge_config.bundle import files as bundles
from export.cli.main import main as patchedge_export
from runtime.camera.image_files import read_picture, walk
from runtime.inference.load import load
from runtime.learning.bank.coreset import select
from runtime.process.threads import limit_threads
from tests.programs.bench import peer_anomalib
from tests.programs.bench.machine import machine
from tests.programs.bench.peer_anomalib import NETWORKS, Network

DATA = Path(__file__).parents[3].parent / "shared" / "data"

SIZE, PATCHES = 224, 28 * 28
PROJECTION = 128

PAUSE_S = 0.1
"""Before each turn: threads of the one before, which spin a while for more work, must be asleep."""

WARM_UP = 1000
"""Features that each selects from before it is timed."""

RADIUS_ROWS = 4096

OURS = "patchedge: whole frame"


@dataclass(frozen=True)
class Contender:
    """One row of the table.

    Attributes:
        name: what it is.
        run: takes a picture and gives the score; or None, where it makes none.
        prepare: makes of the picture what `run` takes, outside of the time measured.
    """

    name: str
    run: Callable[[Any], float | None]
    prepare: Callable[[NDArray[np.uint8]], Any] = lambda image: image


@dataclass
class Times:
    """What was measured of one contender: milliseconds by round, scores by picture."""

    rounds: list[list[float]] = field(default_factory=list)
    scores: dict[int, float | None] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """The median over all rounds, milliseconds."""
        return statistics.median(time for taken in self.rounds for time in taken)

    def ratio(self, other: Times) -> float:
        """The median of the ratios to another within each round."""
        pairs = zip(self.rounds, other.rounds, strict=True)
        return statistics.median(statistics.median(mine) / statistics.median(theirs) for mine, theirs in pairs)


def say(text: str) -> None:
    """Tell what goes on."""
    print(f"peers: {text}", file=sys.stderr, flush=True)


def main() -> int:
    """Measure, and print the tables."""
    options = _options()
    learn, shown = options.data / "bottle" / "train" / "good", options.data / "bottle" / "test"
    if not (learn.is_dir() and shown.is_dir()):
        print(f"peers: skipped, {learn.parents[1]} is absent")
        return 0
    peer_anomalib.quieten()
    peer_anomalib.import_torchvision()
    options.work.mkdir(parents=True, exist_ok=True)
    about = {"date": datetime.now(timezone.utc).isoformat(timespec="seconds"), **_versions()}
    network = NETWORKS[options.network]
    weights = options.work / f"{options.network}.pth"
    torch.save(network.state(), weights)
    bundle = _fit(learn, network, weights, options)
    pictures = list(walk(shown))
    rows: list[dict[str, Any]] = []
    if options.rounds:
        some = pictures[:: max(1, len(pictures) // (options.rounds * options.frames))]
        rows += _frames(bundle, network, weights, [read_picture(path) for path in some], options)
    if options.coreset_entries:
        rows += _coresets(_features(bundle, learn, options.coreset_patches), options)
    with (options.work / "results.jsonl").open("a") as stream:
        stream.writelines(json.dumps({**about, **row}) + "\n" for row in rows)
    print(*_report(rows, about, network, options), sep="\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.programs.bench.peers", description=__doc__.splitlines()[0])
    option = parser.add_argument
    option("data", nargs="?", type=Path, default=DATA, help="folder with bottle/ in MVTec layout")
    option("--work", type=Path, default=Path("build/peers"), help="folder for what is made (default: %(default)s)")
    option("--network", choices=NETWORKS, default="resnet18", help="of both sides (default: %(default)s)")
    option("--threads", type=int, nargs="+", default=[1, 2], help="measured one after the other (default: 1 2)")
    option("--entries", type=int, default=16_000, help="of the bank (default: %(default)s)")
    option("--rounds", type=int, default=8, help="of the frame times; 0: none (default: %(default)s)")
    option("--frames", type=int, default=4, help="pictures in each round (default: %(default)s)")
    option("--coreset-patches", type=int, default=40_960, help="to select from (default: %(default)s)")
    option("--coreset-entries", type=int, default=4_096, help="to select; 0: none (default: %(default)s)")
    option("--coreset-rounds", type=int, default=1, help="of the coreset's time (default: %(default)s)")
    option("--peer-coreset-entries", type=int, metavar="N", help="stop the peer after N and extrapolate (default: all)")
    option("--keep", action="store_true", help="take the bundle of the last run in place of learning again")
    return parser.parse_args()


def _fit(learn: Path, network: Network, weights: Path, options: argparse.Namespace) -> Path:
    """Learn as a user does, with the settings of the paper."""
    out: Path = options.work / f"{options.network}-{options.entries}.bundle"
    if options.keep and out.is_dir():
        say(f"takes {out} as it is")
        return out
    say(f"learns {out}")
    shutil.rmtree(out, ignore_errors=True)
    mean, std = (",".join(map(str, values)) for values in (network.mean, network.std))
    arguments = ["--images", learn, "--out", out, "--backbone", network.name, "--weights", weights]
    arguments += ["--layers", ",".join(network.layers), "--mean", mean, "--std", std]
    arguments += ["--stride", 1, "--size", SIZE, "--aggregation", "mean"]
    arguments += ["--score", "paper", "--coreset", options.entries, "--projection-dim", PROJECTION]
    with contextlib.redirect_stdout(sys.stderr):  # where the summary belongs here
        code = patchedge_export(["fit", *map(str, arguments)])
    if code:
        raise RuntimeError(f"patchedge-export fit ended with {code}")
    return out


def _bind(threads: int) -> int:
    """Bound every library to so many threads."""
    torch.set_num_threads(threads)
    return limit_threads(threads)  # OpenCV, BLAS and OpenMP; ONNX Runtime and OpenVINO are told when they load a graph


def _frames(
    bundle: Path,
    network: Network,
    weights: Path,
    images: Sequence[NDArray[np.uint8]],
    options: argparse.Namespace,
) -> list[dict[str, Any]]:
    """Measure the time of a frame: one row for each contender and number of threads."""
    bank = load_file(bundle / bundles.BANK)["bank"]
    if len(bank) != options.entries:
        raise RuntimeError(f"{bundle} has {len(bank)} entries, not {options.entries}: run without --keep")
    files = _exports(network, weights, bank, options.work)
    rows = []
    for threads in options.threads:
        say(f"frames on {threads} thread(s)")
        contenders = list(_contenders(bundle, files, _bind(threads)))
        times = _measure(contenders, images, options.rounds, options.frames)
        ours = times[OURS]
        rows += [
            {
                "kind": "frame",
                "network": options.network,
                "contender": name,
                "threads": threads,
                "p50_ms": round(found.median, 2),
                "quartiles_ms": [round(float(np.percentile(np.concatenate(found.rounds), q)), 2) for q in (25, 75)],
                "ratio": round(found.ratio(ours), 3),
                "score_difference": _difference(found, ours),
                "entries": options.entries,
                "rounds": options.rounds,
                "frames": options.frames,
            }
            for name, found in times.items()
        ]
    return rows


def _exports(network: Network, weights: Path, bank: NDArray[np.float32], work: Path) -> dict[str, Any]:
    """Make the peer and its files with and without the map, and the network by itself."""
    files: dict[str, Any] = {}
    for name, with_map in (("score", False), ("map", True)):
        say(f"exports the peer ({name})")
        peer = peer_anomalib.make_peer(network, weights, bank, SIZE, with_map=with_map)
        files[name] = (peer, *peer_anomalib.export_peer(peer, work / f"anomalib-{name}", SIZE))
    files["network"] = work / "network.onnx"
    module, picture = peer_anomalib.make_network(network, weights), torch.zeros(1, 3, SIZE, SIZE)
    options = {"opset_version": peer_anomalib.OPSET, "dynamo": True, "verbose": False}
    torch.onnx.export(module, (picture,), files["network"], **options)
    return files


def _contenders(bundle: Path, files: dict[str, Any], threads: int) -> Iterator[Contender]:
    """Yield all of them, bound to so many threads."""
    _, scorer = load(bundle, threads)
    yield Contender(OURS, lambda image: float(scorer(image).value))
    yield Contender("patchedge: resizing and graph alone", lambda image: _none(scorer.embed(scorer.preprocess(image))))

    def tensor(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return peer_anomalib.to_tensor(image, SIZE)

    alone = peer_anomalib.session(files["network"], threads, spin=False)  # as patchedge runs its graph
    name = alone.get_inputs()[0].name
    yield Contender("network alone, ONNX Runtime", lambda x: _none(alone.run(None, {name: x})), tensor)
    for asked in ("f32", None):
        compiled, precision = peer_anomalib.compile_openvino(files["network"], threads, asked)
        label = "f32" if asked else f"its default, {precision}"
        yield Contender(f"network alone, OpenVINO ({label})", lambda x, run=compiled: _none(run(x)), tensor)
    for kind, made in (("score", "score alone"), ("map", "score and map")):
        peer, onnx, openvino = files[kind]
        yield Contender(f"anomalib: torch, {made}", peer_anomalib.run_torch(peer, SIZE))
        yield Contender(f"anomalib: ONNX Runtime, {made}", peer_anomalib.run_onnx(onnx, SIZE, threads))
        for asked in ("f32", None):
            compiled, precision = peer_anomalib.compile_openvino(openvino, threads, asked)
            label = "f32" if asked else f"its default, {precision}"
            yield Contender(f"anomalib: OpenVINO ({label}), {made}", peer_anomalib.run_openvino(compiled, SIZE))


def _none(_: object) -> None:
    """Drop what is no score."""


def _measure(
    contenders: Sequence[Contender], images: Sequence[NDArray[np.uint8]], rounds: int, frames: int
) -> dict[str, Times]:
    """Return every contender its turn in each round, on the same pictures, in an order that goes round."""
    times = {contender.name: Times() for contender in contenders}
    for number in range(rounds):
        chosen = [(number * frames + at) % len(images) for at in range(frames)]
        first = number % len(contenders)
        for contender in (*contenders[first:], *contenders[:first]):
            inputs = [contender.prepare(images[at]) for at in chosen]
            time.sleep(PAUSE_S)
            contender.run(inputs[-1])  # wakes its threads; another picture than the first that counts
            taken = []
            for at, value in zip(chosen, inputs, strict=True):
                start = time.perf_counter()
                score = contender.run(value)
                taken.append((time.perf_counter() - start) * 1e3)
                times[contender.name].scores[at] = score
            times[contender.name].rounds.append(taken)
    return times


def _difference(found: Times, ours: Times) -> float | None:
    """Return the largest relative difference of a score from ours; None where no score is made."""
    differences = [
        abs(score - ours.scores[at]) / abs(ours.scores[at]) for at, score in found.scores.items() if score is not None
    ]
    return float(f"{max(differences):.1e}") if differences else None


def _features(bundle: Path, learn: Path, patches: int) -> NDArray[np.float32]:
    """Embed training pictures until there are so many patches, float32 [patches, D]."""
    say("embeds the pictures to select from")
    _, scorer = load(bundle, limit_threads(0))
    features = []
    for picture in walk(learn):
        features.append(scorer.embed(scorer.preprocess(read_picture(picture))))
        if len(features) * PATCHES >= patches:
            return np.concatenate(features)[:patches]
    raise RuntimeError(f"{learn} gives {len(features) * PATCHES} patches, not {patches}")


def _coresets(features: NDArray[np.float32], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure the time of the coreset: ours, the peer's, ours again."""
    size = options.coreset_entries
    part = min(options.peer_coreset_entries or size, size)
    if part < 2:
        raise RuntimeError("the peer needs two entries, to tell what one costs")
    rows = []
    for threads in options.threads:
        _bind(threads)
        some = features[:WARM_UP]  # what is imported and allocated once is nobody's time
        select(some, 2, seed=0, projection_dim=PROJECTION)
        peer_anomalib.select(some, 2)
        ours: list[list[float]] = []
        peers: list[float] = []
        for _ in range(options.coreset_rounds):
            say(f"coreset on {threads} thread(s): ours")
            before, mine = _timed(lambda: select(features, size, seed=0, projection_dim=PROJECTION))
            say(f"coreset on {threads} thread(s): {part} entries of the peer's")
            setup, _ = _timed(lambda: peer_anomalib.select(features, 1))
            took, theirs = _timed(lambda: peer_anomalib.select(features, part))
            peers.append(took if part == size else setup + (took - setup) * (size - 1) / (part - 1))
            after, _ = _timed(lambda: select(features, size, seed=0, projection_dim=PROJECTION))
            ours.append([before, after])
        common = {
            "kind": "coreset",
            "network": options.network,
            "threads": threads,
            "patches": len(features),
            "dimension": features.shape[1],
            "entries": size,
        }
        middle = statistics.median(taken for pair in ours for taken in pair)
        ratio = statistics.median(peer / statistics.mean(pair) for peer, pair in zip(peers, ours, strict=True))
        rows += [
            {
                **common,
                "contender": "patchedge: select",
                "seconds": round(middle, 2),
                "ratio": 1.0,
                "radius": _radius(features, mine.places),
                "measured_entries": size,
            },
            {
                **common,
                "contender": "anomalib: KCenterGreedy",
                "seconds": round(statistics.median(peers), 2),
                "ratio": round(ratio, 2),
                "radius": _radius(features, theirs) if part == size else None,
                "measured_entries": part,
            },
        ]
    return rows


def _timed(stage: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = stage()
    return time.perf_counter() - start, result


def _radius(features: NDArray[np.float32], chosen: Sequence[int]) -> float:
    """Return the largest distance of a feature to the nearest chosen one, in the unprojected space."""
    bank = torch.from_numpy(features[np.asarray(chosen)])
    blocks = torch.from_numpy(features).split(RADIUS_ROWS)
    return round(max(float(torch.cdist(block, bank).amin(dim=1).max()) for block in blocks), 4)


def _versions() -> dict[str, str]:
    """Name versions and machine."""
    tools = ("anomalib", "torch", "torchvision", "timm", "onnxruntime", "openvino", "patchedge")
    found = {tool: importlib.metadata.version(tool) for tool in tools}
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return {**found, "commit": commit or "unknown", "machine": machine(), "processor": _processor()}


def _processor() -> str:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return names[0].partition(": ")[2] if names else "unknown processor"


def _report(
    rows: list[dict[str, Any]], about: dict[str, str], network: Network, options: argparse.Namespace
) -> Iterator[str]:
    """Write the tables in Markdown, with what one must know to read them."""
    yield (
        f"{about['date']}; patchedge {about['patchedge']} at {about['commit']}, anomalib {about['anomalib']}, openvino "
        f"{about['openvino']}, timm {about['timm']}, torchvision {about['torchvision']}; {about['processor']}, "
        f"{about['machine']}"
    )
    what = f"{options.network} with {network.weights}"
    frames = [row for row in rows if row["kind"] == "frame"]
    if frames:
        yield (
            f"\n{what}, the same file for both, {' + '.join(network.layers)} of timm, {SIZE} px, {PATCHES} patches; "
            f"the same {options.entries} entries, chosen by patchedge, in both banks. Milliseconds for a frame, "
            "from a BGR picture to the score re-weighted by 9 neighbours (the network alone: from a float "
            f"tensor to its maps); medians over {options.rounds} interleaved rounds of {options.frames} pictures, "
            "ratios to our whole frame within a round.\n"
        )
        yield from _table(frames, options.threads, "p50_ms", "ms", ("score differs by", "score_difference", ".0e"))
    coresets = [row for row in rows if row["kind"] == "coreset"]
    if coresets:
        row = coresets[-1]
        numbers = f"{row['entries']} of {row['patches']} features of {row['dimension']} numbers"
        yield f"\nCoreset, {numbers} ({what}), seconds.\n"
        yield from _table(coresets, options.threads, "seconds", "s", ("covering radius", "radius", ".3f"))
        if row["measured_entries"] < row["entries"]:
            yield (
                f"\nThe peer's time is extrapolated from its first {row['measured_entries']} entries: each costs it "
                "the same."
            )


def _table(
    rows: list[dict[str, Any]], threads: Sequence[int], value: str, unit: str, last: tuple[str, str, str]
) -> Iterator[str]:
    """Write one line for each contender, with two columns for each number of threads."""
    title, key, form = last
    columns = [
        cell for count in threads for cell in (f"{unit}, {count} thread{'s' if count > 1 else ''}", "times ours")
    ]
    yield f"| | {' | '.join(columns)} | {title} |"
    yield "|---" + "|--:" * (len(columns) + 1) + "|"
    for name in dict.fromkeys(row["contender"] for row in rows):
        mine = {row["threads"]: row for row in rows if row["contender"] == name}
        cells = [cell for row in map(mine.get, threads) for cell in (f"{row[value]:.1f}", f"{row['ratio']:.2f}")]
        shown = [row[key] for row in mine.values() if row[key] is not None]
        yield f"| {name} | {' | '.join(cells)} | {format(max(shown), form) if shown else '-'} |"


if __name__ == "__main__":
    sys.exit(main())
