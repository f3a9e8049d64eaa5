"""patchedge versions: list what a camera has learnt."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from runtime.cli.control_arguments import add_control, device_of, print_json, to_request

if TYPE_CHECKING:
    from edge_config.wire.versions import KeptVersion

NAME = "versions"
HELP = "list what a camera has learnt, which bundle is in service, and progress"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("camera", metavar="CAMERA", help="name of the camera")
    add_control(parser)


def run(args: argparse.Namespace) -> int:
    """Send the request, and print a line for each bundle."""
    from edge_config.wire.versions import VersionsKept

    with device_of(args) as device:
        kept = device.request(to_request({"request": "versions", "camera": args.camera}), VersionsKept)
    if args.json:
        print_json(kept)
        return 0
    for version in kept.versions:
        print(_line(version, assigned=bool(kept.assigned)))
        for problem in version.problems:
            print(f"    {problem}")
    if kept.learning.state != "idle":
        print(f"learning: {kept.learning.state} {kept.learning.reason or kept.learning.step}".rstrip())
    if kept.notice:
        print(f"notice: {kept.notice}")
    return 0


def _line(version: KeptVersion, *, assigned: bool = False) -> str:
    """Return what is said of a bundle, in one line."""
    mark = "*" if version.active else " "
    if not version.parent:
        return f"{mark} {version.id[:12]}  the bundle {'that was assigned' if assigned else 'of the settings'}"
    shown, before, after = version.faults
    waits = ", waits for --force" if version.waits else ""
    by = f" by {version.by[:8]}" if version.by else ""
    return (
        f"{mark} {version.id[:12]}  from {version.parent[:12]} at {version.at[:19]}{by}: {version.pictures} pictures, "
        f"{version.added} entries added, threshold {version.threshold:.4f}, "
        f"test faults {after} of {shown} found ({before} before){waits}"
    )
