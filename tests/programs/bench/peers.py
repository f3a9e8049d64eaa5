"""The peer beside us in one run: anomalib's PatchCore and ours, on the same network, bank and pictures.

Usage: python -m tests.programs.bench.peers [DATA_FOLDER] (`make bench-peers`; options: PEERS_OPTIONS=). The tables go
to stdout, the figures to WORK/peers.json and with --docs into the page and its chart, what goes on to stderr.

Each contender is a process (`peer_contender.py`), started with the same pictures and timed until its first score. Then
every one has its turn in each round; a figure is the median over all rounds, a ratio the median of the ratios within
each round: what else runs on the machine slows all of them alike.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from runtime.camera.image_files import walk
from tests.programs.bench import peer_anomalib, peer_files, peer_report
from tests.programs.bench.machine import machine
from tests.programs.bench.peer_contender import CPU, OPENVINO
from tests.programs.bench.peer_report import ALERT, MAP, NONE, OURS, PEER, SCORE, Named

ROOT = Path(__file__).parents[3]
DATA = ROOT.parent / "shared" / "data"

SIZE = 224

PAUSE_S = 0.1
"""Before each turn: threads of the one before, which spin a while for more work, must be asleep."""

EQUAL = 1e-3
"""Scores that differ by less, relative, are equal: float32 summed in another order, not bfloat16."""


class Contender:
    """A process that scores, started here; `start_s` is the time to its first score."""

    def __init__(self, python: Path, spec: Mapping[str, Any], folder: Path) -> None:
        threads = str(spec["threads"])
        settings = {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "PYTHONPATH": str(ROOT)}
        words = [str(python), "-m", "tests.programs.bench.peer_contender", json.dumps(spec)]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        start = time.perf_counter()
        self._process = subprocess.Popen(words, env={**os.environ, **settings}, cwd=folder, **pipes)
        self.in_force: str = self._answer()["in_force"]
        self.start_s = time.perf_counter() - start

    def score(self, places: Sequence[int]) -> dict[str, Any]:
        """Return milliseconds, scores and the peak of memory for these pictures."""
        assert self._process.stdin is not None
        print(json.dumps(list(places)), file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args[-1][:200]} ended with {self._process.wait()}")  # type: ignore[index]
        return dict(json.loads(line))

    def close(self) -> None:
        """End it."""
        self._process.communicate("")


@dataclass
class Times:
    """What was measured of one contender: milliseconds by round, scores by picture."""

    rounds: list[list[float]] = field(default_factory=list)
    scores: dict[int, float | None] = field(default_factory=dict)
    memory_mb: float = 0.0

    def percentile(self, share: float) -> float:
        """Return a percentile over all rounds, milliseconds."""
        return float(np.percentile(np.concatenate(self.rounds), share))

    def ratio(self, other: Times) -> float:
        """Return the median of the ratios to another within each round."""
        pairs = zip(self.rounds, other.rounds, strict=True)
        return statistics.median(statistics.median(mine) / statistics.median(theirs) for mine, theirs in pairs)

    def difference(self, other: Times) -> float | None:
        """Return the largest relative difference of a score from another's; None where no score is made."""
        pairs = [(score, other.scores[at]) for at, score in self.scores.items()]
        found = [abs(mine - theirs) / abs(theirs) for mine, theirs in pairs if mine is not None and theirs is not None]
        return max(found) if found else None


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
    options.work = options.work.resolve()
    peer_anomalib.quieten()
    files = peer_files.paths(options.work, options.network, options.entries)
    if not (options.keep and files.there):
        say(f"learns and exports into {files.bundle.parent}")
        peer_anomalib.import_torchvision()
        peer_files.make(files, peer_anomalib.NETWORKS[options.network], learn, options.entries, SIZE)
    figures: dict[str, Any] = {**_about(options), "frames": [], "coreset": []}
    if options.rounds:
        figures["frames"] = _frames(files, [str(path) for path in walk(shown)], options)
    if options.coreset_entries:
        figures["coreset"] = _coresets(files, learn, options)
    (options.work / "peers.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(*peer_report.report(figures), sep="\n")
    if options.docs:
        peer_report.publish(figures, options.docs)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.programs.bench.peers", description=__doc__.splitlines()[0])
    option = parser.add_argument
    option("data", nargs="?", type=Path, default=DATA, help="folder with bottle/ in MVTec layout")
    option("--work", type=Path, default=Path("build/peers"), help="folder for what is made (default: %(default)s)")
    option("--docs", type=Path, help="folder of the docs, whose page, figures and chart are written anew")
    option(
        "--openvino", type=Path, help="Python with the extra `openvino`, for our frame on it (default: not measured)"
    )
    networks = peer_anomalib.NETWORKS
    option("--network", choices=networks, default="resnet18", help="of both sides (default: %(default)s)")
    option("--threads", type=int, nargs="+", default=[1, 2], help="measured one after the other (default: 1 2)")
    option("--entries", type=int, default=16_000, help="of the bank (default: %(default)s)")
    option("--rounds", type=int, default=10, help="of the frame times; 0: none (default: %(default)s)")
    option("--frames", type=int, default=4, help="pictures in each round (default: %(default)s)")
    option("--starts", type=int, default=3, help="of each, the median is shown (default: %(default)s)")
    option("--coreset-patches", type=int, default=40_960, help="to select from (default: %(default)s)")
    option("--coreset-entries", type=int, default=4_096, help="to select; 0: none (default: %(default)s)")
    option("--peer-coreset-entries", type=int, metavar="N", help="stop the peer after N and extrapolate (default: all)")
    option("--keep", action="store_true", help="take bundle and exports of the last run in place of learning again")
    return parser.parse_args()


def _contenders(files: peer_files.Files, options: argparse.Namespace) -> dict[Named, tuple[Path, dict[str, Any]]]:
    """Return what is compared: name -> (Python, what the process is told)."""
    here = Path(sys.executable)
    found: dict[Named, tuple[Path, dict[str, Any]]] = {}
    ours = {"ONNX Runtime": (here, CPU), "OpenVINO": (options.openvino, OPENVINO)}
    for engine, (python, provider) in ours.items():
        for made, makes in ((SCORE, "score"), (ALERT, "alert"), (MAP, "map")):
            if python is not None:
                spec = {"kind": "patchedge", "path": files.bundle, "provider": provider, "makes": makes}
                found[Named(OURS, engine, made)] = python.absolute(), spec
    found[Named("network alone", "ONNX Runtime", NONE)] = here, {"kind": "network-onnx", "path": files.network}
    for engine, precision in (("OpenVINO", "f32"), ("OpenVINO, its default", None)):
        spec = {"kind": "network-openvino", "path": files.network, "precision": precision}
        found[Named("network alone", engine, NONE)] = here, spec
    for made, makes in ((SCORE, "score"), (MAP, "map")):
        onnx, openvino = files.exports[makes]
        bank = {"bank": files.bundle / "bank.safetensors", "network": options.network, "makes": makes}
        found[Named(PEER, "torch", made)] = here, {"kind": "anomalib-torch", "path": files.weights, **bank}
        found[Named(PEER, "ONNX Runtime", made)] = here, {"kind": "anomalib-onnx", "path": onnx}
        for engine, precision in (("OpenVINO", "f32"), ("OpenVINO, its default", None)):
            spec = {"kind": "anomalib-openvino", "path": openvino, "precision": precision}
            found[Named(PEER, engine, made)] = here, spec
    found[Named(PEER, "its OpenVINOInferencer", MAP)] = here, {"kind": "anomalib-inferencer", "path": openvino}
    return found


def _frames(files: peer_files.Files, pictures: Sequence[str], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure start, memory and the time of a frame: one row for each contender and number of threads."""
    some = pictures[:: max(1, len(pictures) // (options.rounds * options.frames))]
    contenders, rows = _contenders(files, options), []
    for threads in options.threads:
        starts: dict[Named, list[float]] = {name: [] for name in contenders}
        common = {"threads": threads, "size": SIZE, "pictures": some}
        last = (options.starts if threads == options.threads[0] else 1) - 1
        for number in range(last + 1):
            say(f"{threads} thread(s): start {number + 1} of {last + 1}")
            with ExitStack() as stack:
                started = {}
                for name, (python, spec) in contenders.items():
                    told = {key: str(value) if isinstance(value, Path) else value for key, value in spec.items()}
                    one = Contender(python, {**told, **common}, options.work)
                    stack.callback(one.close)
                    starts[name].append(one.start_s)
                    started[name] = one
                    if number != last:
                        stack.close()
                if number == last:
                    times = _measure(started, len(some), options.rounds, options.frames)
        rows += [_row(name, threads, times, starts[name], started[name].in_force) for name in contenders]
    return rows


def _measure(contenders: Mapping[Named, Contender], pictures: int, rounds: int, frames: int) -> dict[Named, Times]:
    """Return the times of all that take turns in each round on the same pictures, in an order that goes round."""
    times = {name: Times() for name in contenders}
    names = list(contenders)
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        chosen = [(number * frames + at) % pictures for at in range(frames)]
        first = number % len(names)
        for name in (*names[first:], *names[:first]):
            time.sleep(PAUSE_S)
            answer = contenders[name].score(chosen)
            times[name].rounds.append(answer["ms"])
            times[name].scores.update(zip(chosen, answer["scores"], strict=True))
            times[name].memory_mb = answer["memory_mb"]
    return times


def _row(
    name: Named, threads: int, times: Mapping[Named, Times], starts: Sequence[float], in_force: str
) -> dict[str, Any]:
    """Return the figures of one contender; its ratio is to our score on ONNX Runtime."""
    found, ours = times[name], times[Named(OURS, "ONNX Runtime", SCORE)]
    difference = found.difference(ours)
    return {
        **name._asdict(),
        "threads": threads,
        "p50_ms": round(found.percentile(50), 2),
        "p95_ms": round(found.percentile(95), 2),
        "ratio": round(found.ratio(ours), 3),
        "score_difference": None if difference is None else float(f"{difference:.1e}"),
        "equal": difference is not None and difference < EQUAL,
        "start_s": round(statistics.median(starts), 2),
        "memory_mb": round(found.memory_mb),
        "in_force": in_force,
    }


def _coresets(files: peer_files.Files, learn: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure the coreset, in this process."""
    from tests.programs.bench import peer_coreset

    peer_anomalib.import_torchvision()
    features = peer_coreset.features_of(files.bundle, learn, options.coreset_patches)
    size, rows = options.coreset_entries, []
    for threads in options.threads:
        say(f"coreset on {threads} thread(s)")
        rows += peer_coreset.measure(features, size, min(options.peer_coreset_entries or size, size), threads)
    return rows


def _about(options: argparse.Namespace) -> dict[str, Any]:
    """Name versions, machine, and what is compared."""
    tools = ("anomalib", "torch", "timm", "onnxruntime", "openvino", "patchedge")
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    network = peer_anomalib.NETWORKS[options.network]
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": {tool: importlib.metadata.version(tool) for tool in tools},
        "commit": commit or "unknown",
        "machine": machine(),
        "processor": _processor(),
        "load": round(os.getloadavg()[0], 1),
        "network": options.network,
        "weights": network.weights,
        "layers": network.layers,
        "size": SIZE,
        "entries": options.entries,
        "rounds": options.rounds,
        "frames_a_round": options.frames,
        "starts": options.starts,
    }


def _processor() -> str:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return names[0].partition(": ")[2] if names else "unknown processor"


if __name__ == "__main__":
    sys.exit(main())
