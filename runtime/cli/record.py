"""patchedge record: write pictures of a camera into a folder, to learn from."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from runtime.cli import overlay
from runtime.cli.arguments import between, whole
from runtime.process.progress import GAUGE

if TYPE_CHECKING:
    from runtime.tools.record import Recorded

NAME = "record"
HELP = "write pictures of a camera into a folder, as the runtime sees them, to learn from"

_LINES = 10  # of progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "source", metavar="SOURCE", help="as for `run`: camera index, /dev/videoN, URL, csi://0, gst:..."
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="folder for the pictures; existing ones are kept")
    parser.add_argument("--count", type=whole(1, 10**7), default=400, metavar="N", help="number of pictures")
    parser.add_argument(
        "--every", type=between(0, 1e6), default=1.0, metavar="S", help="interval between pictures, seconds"
    )
    parser.add_argument("--transport", choices=("tcp", "udp"), default="tcp", help="transport of an RTSP camera")
    parser.add_argument(
        "--timeout", type=between(0, 3600), default=10.0, metavar="S", help="time-out of the first picture, seconds"
    )


def run(args: argparse.Namespace) -> int:
    """Write until there are enough, or it is interrupted: what is there is whole then."""
    from edge_config.errors import SourceUnavailable

    camera = args.source, args.transport, args.timeout
    found = record(args.folder, *camera, count=args.count, every_s=args.every)
    print(_line(args.folder, found.recorded))
    return SourceUnavailable.exit_code if found.done and not found.recorded.pictures else 0


class RecordResult(NamedTuple):
    """What was recorded, and whether it was not interrupted."""

    recorded: Recorded
    done: bool


def record(folder: Path, source: str, transport: str, timeout_s: float, *, count: int, every_s: float) -> RecordResult:
    """Record pictures of a source into a folder, with progress; an interrupt ends it.

    Raises:
        SourceUnavailable: the source does not open, or gives no picture in time.
        NotWritten: the disk does not take a picture; those before it stay.
    """
    from edge_config.settings.parse import parse
    from runtime.process.log import set_up_logging
    from runtime.tools.record import Record

    set_up_logging()
    tree = overlay.of_one_camera("record", source=source, transport=transport)
    camera = parse(tree, where=overlay.COMMAND_LINE).cameras["record"]
    step = max(1, count // _LINES)

    def progress(recorded: Recorded) -> None:
        stage.update()
        if sys.stderr.isatty() and recorded.pictures % step == 0:  # elsewhere the gauge says it
            print(f"  {recorded.pictures} of {count}", file=sys.stderr, flush=True)

    done = False
    recording = Record(camera, folder, count=count, every_s=every_s, written=progress)
    with contextlib.suppress(KeyboardInterrupt), GAUGE.stage("record", count, "pictures") as stage:
        recording.run(timeout_s)
        done = True
    return RecordResult(recording.recorded, done)


def _line(folder: Path, recorded: Recorded) -> str:
    sizes = ", ".join(f"{width} x {height}" for width, height in recorded.sizes)
    said = [f"{recorded.pictures} pictures" + (f" of {sizes} pixels" if sizes else "")]
    if len(recorded.sizes) > 1:
        said.append("their size changed: learn from one size only")
    if recorded.undecodable:
        said.append(f"{recorded.undecodable} frames could not be decoded")
    if recorded.interruptions:
        said.append(f"the source was lost {len(recorded.interruptions)} times")
    return f"{folder}: {'; '.join(said)}"
