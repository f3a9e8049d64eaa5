"""patchedge-export demo: a sample camera clip, its normal pictures and its truth."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from edge_config.errors import PatchedgeError, TargetExists, UsageError
from edge_config.saving import writing

NAME = "demo"
HELP = "make a sample camera clip; learn and play it with --run, see it with --page"
TALKS = True

MISSED = 1
"""Exit code where --run missed an object or raised a false alert."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="where to write normal/, camera.avi and truth.csv")
    parser.add_argument(
        "--run", dest="play", action="store_true", help="then fit, run and watch it, and judge the result"
    )
    parser.add_argument(
        "--page", action="store_true", help="after --run: play the belt again and again, with the page in a browser"
    )
    parser.add_argument("--force", action="store_true", help="write into a folder that is not empty")


def run(args: argparse.Namespace) -> int:
    """Make the clip, and play it if asked to; or show on the page what was made."""
    if args.page:
        from export.demo.show import show

        if args.play or args.force:
            raise UsageError("--page shows what --run has made before", remedy="give --page alone")
        return show(args.folder)
    if os.path.lexists(args.folder):
        if not args.folder.is_dir():
            raise TargetExists("is not a folder", where=str(args.folder), remedy="choose another name")
        if not args.force and any(args.folder.iterdir()):
            raise TargetExists("is not empty", where=str(args.folder), remedy="choose another folder or give --force")

    from export.demo.clip import CLIP, NORMAL, TRUTH, make_clip
    from export.demo.play import PICTURE, play

    _make(args.folder, make_clip)
    if not args.play:
        print(*(args.folder / name for name in (NORMAL, CLIP, TRUTH)), sep="\n")
        return 0
    verdict = play(args.folder)
    print(f"picture: {args.folder / PICTURE}")
    print(verdict.line())
    print(f"see it live: {shlex.join([sys.argv[0], NAME, str(args.folder), '--page'])}")
    return 0 if verdict.good else MISSED


def _make(folder: Path, make_clip: Callable[[Path], None]) -> None:
    """Make the clip in a folder of its own, and put it in place when it is whole.

    Raises:
        NotWritten: the disk does not take it; what was there stays.
    """
    made = not folder.exists()
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with (
            writing(folder, full_only=True),
            tempfile.TemporaryDirectory(prefix=".", suffix=".part", dir=folder) as staged,
        ):
            make_clip(Path(staged))
            for path in Path(staged).iterdir():
                target = folder / path.name
                if target.is_dir():
                    shutil.rmtree(target)
                path.replace(target)
    except (PatchedgeError, OSError):
        if made:
            folder.rmdir()
        raise
