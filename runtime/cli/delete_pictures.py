"""patchedge delete-pictures: delete stored pictures and clips of a running device."""

from __future__ import annotations

import argparse

from runtime.cli.control_arguments import add_control, device_of, print_json, to_request

NAME = "delete-pictures"
HELP = "delete what a device stores: peaks of alerts, taught frames, clips"

_KINDS = ("peak", "taught", "aside", "held_out", "clip")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("camera", nargs="?", metavar="CAMERA", help="name of the camera, also of earlier settings")
    parser.add_argument("--all-cameras", action="store_true", help="pictures of all cameras")
    parser.add_argument("--kind", action="append", choices=_KINDS, help="only this kind; repeatable (default: all)")
    parser.add_argument(
        "--picture", action="append", metavar="ID", help="only the picture with this id; repeatable (default: all)"
    )
    add_control(parser)


def run(args: argparse.Namespace) -> int:
    """Send the request, and print what was deleted."""
    from edge_config.errors import UsageError
    from edge_config.wire.teaching import Deleted

    if args.all_cameras == (args.camera is not None):
        raise UsageError("name a camera, or --all-cameras", where=NAME)
    fields = {
        "camera": args.camera,
        "all_cameras": args.all_cameras,
        "kinds": args.kind,
        "pictures": args.picture,
    }
    with device_of(args) as device:
        gone = device.request(to_request({"request": "delete_pictures", **fields}), Deleted)
    if args.json:
        print_json(gone)
    else:
        print(f"{gone.pictures} pictures and {gone.clips} clips deleted, {gone.freed_bytes / 2**20:.1f} MiB")
    return 0
