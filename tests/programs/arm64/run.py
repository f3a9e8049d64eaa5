"""Build the image for ARM, run it under emulation, and compare. Usage: python -m tests.programs.arm64.run [--help].

Needs root, Debian's packages and PyPI; no registry of images. Half an hour at first, less when the base and the
layers are there. All is kept in the work folder.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml

from tests.programs.arm64 import root, scores, sizes
from tests.programs.arm64.board import PI_4, PI_5, Board
from tests.programs.arm64.containers import Containers
from tests.programs.arm64.disassembly import disassemble, mnemonics, vector_loops
from tests.programs.arm64.inside import Inside, faults
from tests.programs.wheels import roots
from tests.support.ports import free_port
from tests.support.processes import DEVICE, EXPORT

IMAGE = "localhost/patchedge:arm64"
IMAGE_JETSON = "localhost/patchedge:jetson"
MAX_MB, AIM_MB = 450, 350

FRAMES = 240
"""Of the clip, from its start: an object comes by from 151 to 225, the next from 251. Emulated, each takes seconds."""

PICTURES = "pictures"
"""Folder for the same frames as pictures, beside the clip."""

PACKAGES = "opt/patchedge/lib/python3*/site-packages"


@dataclass
class Report:
    """Prints what was found, and keeps what was wrong."""

    wrong: list[str]
    started_s: float

    def title(self, text: str) -> None:
        """Begin a part."""
        print(f"\n== {text} ({time.monotonic() - self.started_s:.0f} s)", flush=True)

    def lines(self, *lines: str) -> None:
        """Print lines."""
        print(*lines, sep="\n", flush=True)

    def must(self, good: bool, what: str) -> None:  # noqa: FBT001 - reads as a sentence
        """Print what must hold, and whether it does."""
        print(f"{'ok' if good else 'WRONG'}: {what}", flush=True)
        if not good:
            self.wrong.append(what)


def main() -> int:
    """Do it all; 0 if everything is as it must be."""
    parser = argparse.ArgumentParser(description="Build Dockerfile.arm64 under emulation and compare its scores.")
    parser.add_argument("--work", type=Path, default=Path("build/arm64"), help="folder for all that is made")
    parser.add_argument("--demo", type=Path, default=Path("build/demo"), help="folder of `patchedge-export demo --run`")
    parser.add_argument("--frames", type=int, default=FRAMES, help="of the clip to score under emulation; 750 are all")
    parser.add_argument(
        "--jetson",
        action="store_true",
        help="also rehearse the target for Jetson: on Debian, with ONNX Runtime of PyPI",
    )
    parser.add_argument("--no-build", action="store_true", help="run the image that is there already")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    report = Report([], time.monotonic())
    try:
        root.prepare()
        _make_demo(args.demo)
        containers = Containers(args.work)
        if not args.no_build:
            report.title("build")
            roots.make_base(args.work, containers)
            containers.build("Dockerfile.arm64", "generic", IMAGE, {"BASE": root.BASE, "REVISION": _revision()})
        with _mounted(containers, args, IMAGE) as image:
            _show_image(report, image)
            _show_loops(report, image.root)
            _show_inside(report, image)
            _check(report, image)
            _examine(report, image)
            _compare(report, image, args.work, args.frames)
        if args.jetson:
            _rehearse_jetson(report, containers, args)
    except root.Unable as error:
        print(f"arm64: {error}", file=sys.stderr)
        return 69
    report.title("verdict")
    report.lines(*(report.wrong or ["all as it must be"]))
    return 1 if report.wrong else 0


def _make_demo(demo: Path) -> None:
    if not (demo / "belt.bundle" / "manifest.json").exists() or not (demo / "camera.avi").exists():
        subprocess.run([*EXPORT, "demo", str(demo), "--run", "--force"], check=True, stdout=sys.stderr)


def _revision() -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], check=False, capture_output=True, text=True)  # noqa: S607
    return done.stdout.strip() or "unknown"


@contextmanager
def _mounted(containers: Containers, args: argparse.Namespace, name: str) -> Iterator[Inside]:
    """Yield the image with the demo on /bundles, settings on /etc/patchedge and an empty /data of its user."""
    container, where = containers.mount(name)
    config = containers.config(name)
    data, etc = args.work / "data", args.work / "etc"
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir()
    os.chown(data, *(int(number) for number in config["User"].split(":")))
    etc.mkdir(exist_ok=True)
    try:
        mounts = {"/bundles": args.demo.resolve(), "/etc/patchedge": etc.resolve()}
        yield Inside(where, config, mounts, data.resolve(), (args.work / "boards").resolve())
    finally:
        containers.remove(container)


def _rehearse_jetson(report: Report, containers: Containers, args: argparse.Namespace) -> None:
    """Build the other target with stand-ins for NVIDIA's base and wheel: its steps, an older OpenCV and numpy."""
    if not args.no_build:
        report.title("build of the target for Jetson, rehearsed on Debian")
        stand_ins = {"BASE": root.BASE, "ONNXRUNTIME": "onnxruntime", "REVISION": _revision()}
        containers.build("Dockerfile.arm64", "jetson", IMAGE_JETSON, stand_ins)
    with _mounted(containers, args, IMAGE_JETSON) as image:
        report.title("the target for Jetson, rehearsed")
        report.lines(*sizes.table(sizes.measure(image.root)))
        for words in (("check", "/bundles/belt.bundle"), ("doctor", "--bundle", "/bundles/belt.bundle")):
            code = _call(report, image, PI_5, *words)
            report.must(code == 0, f"{words[0]} of the target for Jetson gives {code}")


def _show_image(report: Report, image: Inside) -> None:
    report.title("image")
    config = image.config
    for key in ("Entrypoint", "Cmd", "User", "WorkingDir", "StopSignal", "Healthcheck", "Labels"):
        report.lines(f"{key}: {json.dumps(config.get(key))}")
    filled = sizes.measure(image.root)
    report.lines("", *sizes.table(filled), "")
    mb = filled.total() / sizes.MB
    report.must(mb <= MAX_MB, f"the image has {mb:.0f} MB, at most {MAX_MB} (the aim is {AIM_MB})")


def _show_loops(report: Report, where: Path) -> None:
    """Show the vector instructions of what was compiled here."""
    report.title("distance loops")
    hnswlib, kernels = (next(where.glob(f"{PACKAGES}/{name}*.so")) for name in ("hnswlib", "runtime/search/_kernels"))
    found = vector_loops(disassemble(hnswlib), "hnswlib::L2Sqr(", "fmla")
    for loop in found:
        report.lines(f"{hnswlib.name}, hnswlib::L2Sqr:", *(f"    {line}" for line in loop))
    report.must(bool(found), "fmla on vectors is in the distance loop of hnswlib")
    listing = disassemble(kernels)
    counts = [Counter(mnemonics(loop)) for loop in vector_loops(listing, "square_plain", "fmul")]
    for count in counts:
        report.lines(f"{kernels.name}, square_plain, a loop with {dict(count.most_common(4))}")
    report.must(bool(counts), "so are vectors in that of runtime/search/native/loops.h")
    fused = re.findall(r"\bfn?m(?:add|sub|la|ls)\b", listing)
    report.must(not fused, "and no fused operation: the same two rows give the same distance on every processor")


def _show_inside(report: Report, image: Inside) -> None:
    report.title("who and what is inside")
    found = image.look()
    report.lines(*(f"{key}: {json.dumps(value)}" for key, value in found.items()))
    report.must(not faults(found), "no compiler, pip, torch; an ordinary user; nothing writable but /data and /tmp")
    report.lines(*faults(found))


def _check(report: Report, image: Inside) -> None:
    """Have `patchedge check` score the golden frames, as on a Pi 4 and as on a Pi 5."""
    for board in (PI_4, PI_5):
        report.title(f"patchedge check as {board.name}")
        code = _call(report, image, board, "check", "/bundles/belt.bundle")
        report.must(code == 0, f"check accepts the bundle of x86 as {board.name}")
    cached = [str(path.relative_to(image.data)) for path in image.data.rglob("*onnxruntime*")]
    report.must(not cached, "ONNX Runtime collects nothing about this device")
    report.lines(*cached)


def _examine(report: Report, image: Inside) -> None:
    """Show what is found inside: nothing may be in the way, though emulated all is slow."""
    for words in (("doctor", "--bundle", "/bundles/belt.bundle"), ("probe", "/bundles/camera.avi")):
        report.title(f"patchedge {words[0]} as {PI_5.name}")
        code = _call(report, image, PI_5, *words)
        report.must(code == 0, f"{words[0]} finds nothing in the way")


def _call(report: Report, image: Inside, board: Board, *words: str) -> int:
    """Run a command of patchedge inside, print what it says, and give its exit code."""
    command = image.command(image.entry(*words), board)
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    report.lines(done.stdout + done.stderr)
    return done.returncode


def _compare(report: Report, image: Inside, work: Path, frames: int) -> None:
    """Score the same pixels here and inside, which is what is promised; then the clip, which each side decodes itself.

    FFmpeg decodes by other code on each kind of processor: pixels of the clip were seen to differ by up to two grey
    levels, and scores by 9e-3. So the pictures show whether patchedge computes the same, and the clip what a user sees.
    """
    demo = image.mounts["/bundles"]
    scores.unpack(demo / "camera.avi", demo / PICTURES, frames)
    rows = _play(report, image, work, frames, PICTURES)
    most = max(row.difference for row in rows)
    report.must(most <= scores.MOST, f"on the same pixels scores differ by {most:.1e}, at most {scores.MOST:.0e}")
    rows = _play(report, image, work, frames, "camera.avi")
    most = max(row.difference for row in rows)
    report.lines(f"not judged: by {most:.1e} where each decodes the clip itself")


def _play(report: Report, image: Inside, work: Path, frames: int, source: str) -> list[scores.Row]:
    """Play a source here and inside, and show the table; labels and alerts must be the same."""
    events, metrics = free_port(), free_port()
    report.title(f"{source} on x86")
    _write(work / "x86.yaml", scores.settings(str(image.mounts["/bundles"]), source, str(work), events, metrics))
    x86 = scores.play([*DEVICE, "run", "--config", str(work / "x86.yaml")], events, work / "x86.log")
    report.lines(f"{len(x86.scores)} frames, alerts {x86.alerts}")

    report.title(f"{source} inside, as {PI_4.name}")
    events, metrics = free_port(), free_port()
    settings = scores.settings("/bundles", source, "/data", events, metrics)
    _write(image.mounts["/etc/patchedge"] / "settings.yaml", settings)
    health = image.command(["env", f"PATCHEDGE_HEALTH=127.0.0.1:{metrics}", *image.health()])
    began_s = time.monotonic()
    arm64 = scores.play(image.command(image.entry()), events, work / "arm64.log", frames, health)
    report.lines(f"{len(arm64.scores)} frames in {time.monotonic() - began_s:.0f} s, alerts {arm64.alerts}")
    report.must(arm64.health == 0, f"the health check gave {arm64.health} while it ran, and SIGTERM or the end gave 0")

    report.title(f"scores of x86 and of emulated arm64: {source}")
    rows = scores.compare(x86, arm64)
    (work / f"scores-{source}.json").write_bytes(msgspec.json.encode(rows))
    report.lines(*scores.table(rows), "")
    report.must(all(row.same_label for row in rows), "every label is the same")
    last = rows[-1].frame
    begun = [[alert for alert in alerts if alert[0] < last] for alerts in (x86.alerts, arm64.alerts)]
    report.must(begun[0] == begun[1], "alerts begin and end alike")
    return rows


def _write(path: Path, tree: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
