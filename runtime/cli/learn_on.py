"""patchedge learn-on: a running device learns what it was taught, or a bundle learns new normal pictures."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.cli.arguments import whole
from runtime.cli.control_arguments import add_control

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.learning.grow.job import LearningJob, LearningResult

NAME = "learn-on"
HELP = "learn new normal pictures, on a running device or into a new bundle"
_FOLDERS = ("bundle", "images", "out")
_FORCE = (
    "on a device: serve a bundle that would miss faults; from a folder: write such a bundle, and replace one that is "
    "there"
)


MAX_SHOWN_PLACES = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("camera", nargs="?", metavar="CAMERA", help="camera of a running device that was taught")
    parser.add_argument("--no-wait", action="store_true", help="with CAMERA: return at once; `versions` shows the rest")
    add_control(parser)
    parser.add_argument(
        "--bundle", type=Path, metavar="NAME.bundle", help="without CAMERA: the bundle; it stays as it is"
    )
    parser.add_argument("--images", type=Path, metavar="DIR", help="new normal pictures, in the order of their names")
    parser.add_argument("--out", type=Path, metavar="NAME.bundle", help="where to write the new bundle")
    parser.add_argument("--faults", type=Path, metavar="DIR", help="pictures of faults that must still be found")
    parser.add_argument("--max-images", type=whole(1, 1000), metavar="N", help="take N pictures, spread evenly")
    parser.add_argument(
        "--threads", type=whole(0, 1024), default=0, metavar="N", help="limit of all threads; 0: all cores"
    )
    parser.add_argument("--force", action="store_true", help=_FORCE)


def run(args: argparse.Namespace) -> int:
    """Learn, and print what has changed."""
    if args.camera is not None:
        from runtime.cli.learn_on_device import learn_on_device

        _refuse_folders(args)
        return learn_on_device(args)
    _need_folders(args)
    return _learn_from_folder(args)


def _refuse_folders(args: argparse.Namespace) -> None:
    from edge_config.errors import UsageError

    given = [f"--{name}" for name in _FOLDERS if getattr(args, name) is not None]
    if given:
        raise UsageError(f"{given[0]} has no effect on a device", remedy="give CAMERA, or the three of them")


def _need_folders(args: argparse.Namespace) -> None:
    from edge_config.errors import UsageError

    missing = [f"--{name}" for name in _FOLDERS if getattr(args, name) is None]
    if missing:
        raise UsageError(
            f"nothing to learn without {', '.join(missing)}",
            remedy="give CAMERA for a running device; or --bundle, --images and --out",
        )


def _learn_from_folder(args: argparse.Namespace) -> int:
    import tempfile

    from runtime.learning.grow.learn_on import learn_on

    pictures = list(_pictures(args.images, args.max_images))
    faults = list(_pictures(args.faults, None)) if args.faults else []
    with tempfile.TemporaryDirectory(prefix="patchedge-") as work, ExitStack() as shown:
        found = learn_on(_job(args, pictures, faults, work), _Progress(shown), unsafe=args.force)
    if args.json:
        import msgspec

        print(msgspec.json.encode(found).decode())
        return 0
    for name, text in _rows(found, args).items():
        print(f"{name:<13} {text}")
    for problem in found.problems:
        print(f"warning       {problem}")
    return 0


def _pictures(folder: Path, limit: int | None) -> Iterator[str]:
    """Yield the paths of the pictures of a folder.

    Raises:
        NoImages: there is none.
    """
    from edge_config.errors import NoImages
    from runtime.camera.image_files import walk
    from runtime.learning.pictures.images import evenly

    found = list(walk(folder))
    if not found:
        raise NoImages("no pictures here", where=str(folder), remedy="give a folder of pictures")
    yield from (str(found[place]) for place in evenly(len(found), limit or len(found)))


def _job(args: argparse.Namespace, pictures: list[str], faults: list[str], work: str) -> LearningJob:
    from runtime.learning.grow.job import LearningJob

    return LearningJob(
        bundle=str(args.bundle),
        camera="",
        learn=pictures,
        peaks=faults,
        out=str(args.out),
        work=work,
        threads=args.threads,
        force=args.force,
    )


def _rows(found: LearningResult, args: argparse.Namespace) -> dict[str, str]:
    """Return what the summary says, by the name of the row."""
    report = found.report
    over = sum(one.found_before for one in report.learnt)
    rows = {
        "bundle": f"{args.out} (id {found.bundle_id[:12]}), from {args.bundle} (id {found.parent[:12]})",
        "pictures": f"{len(found.learnt)} learnt, {over} of them over the threshold before; "
        f"{len(found.held_out)} held out",
        "entries": f"{report.entries_after}, were {report.entries_before}: {report.added} added, "
        f"{report.dropped} dropped",
        "threshold": f"{report.threshold_after:.4f}, was {report.threshold_before:.4f}",
        "test faults": f"{report.faults.found_after} of {report.faults.shown} found, "
        f"{report.faults.found_before} before, {report.faults.lost} lost",
    }
    if report.places:
        some = ", ".join(f"{one.width} x {one.height} at {one.x}, {one.y}" for one in report.places[:MAX_SHOWN_PLACES])
        rows["new at"] = f"{some} (pixels)"
    if report.peaks:
        after, before = (
            sum(some) for some in zip(*((one.found_after, one.found_before) for one in report.peaks), strict=True)
        )
        rows["known faults"] = f"{after} of {len(report.peaks)} found, {before} before"
    return rows


class _Progress:
    """Shows the stage of the work in the lines that a long command prints."""

    def __init__(self, shown: ExitStack) -> None:
        self._shown = shown
        self._stage = ""
        self._done = 0

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show how much of a stage is done."""
        from runtime.process.progress import GAUGE

        if stage != self._stage:
            self._shown.close()
            self._gauge = self._shown.enter_context(GAUGE.stage(stage, total, "steps"))
            self._stage, self._done = stage, 0
        self._gauge.update(done - self._done)
        self._done = done
