"""patchedge rollback: serve an earlier bundle of a camera."""

from __future__ import annotations

import argparse

from runtime.cli.control_arguments import add_control, device_of, print_json, to_request

NAME = "rollback"
HELP = "take back what a camera has learnt: an earlier bundle serves, between two frames"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("camera", metavar="CAMERA", help="name of the camera")
    parser.add_argument(
        "--to",
        metavar="VERSION",
        help="first digits of a version, as `versions` shows it, or `root` (default: the one before)",
    )
    add_control(parser)


def run(args: argparse.Namespace) -> int:
    """Send the request, and print what serves now."""
    from edge_config.wire.versions import RolledBack

    with device_of(args) as device:
        request = to_request({"request": "rollback", "camera": args.camera, "to": args.to})
        reply = device.request(request, RolledBack)
    if args.json:
        print_json(reply)
    else:
        print(f"{reply.camera}: bundle {reply.bundle[:12]} in service, before {reply.before[:12]}")
    return 0
