"""patchedge replay: print the messages in the journal of a device."""

from __future__ import annotations

import argparse
from contextlib import closing
from datetime import datetime, timedelta, timezone

from runtime.cli.arguments import between
from runtime.cli.control_arguments import add_address, address_of
from runtime.cli.explain_silence import asking
from runtime.cli.following import Saver, add_following, as_json, as_line, keys_of

NAME = "replay"
HELP = "print the alerts and states that a device has in its journal"

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_address(parser)
    parser.add_argument(
        "--kind", action="append", choices=("alert", "state"), help="only these; repeatable (default: both kinds)"
    )
    parser.add_argument("--camera", help="only this camera, even if the device no longer has it")
    parser.add_argument(
        "--since",
        type=since,
        metavar="TIME",
        help="only what is newer: 2026-11-24T10:00 (local time), or 90s, 5m, 2h, 3d",
    )
    add_following(parser)
    parser.add_argument(
        "--timeout", type=between(0, 1e6), default=5.0, metavar="S", help="time-out of the answer, seconds"
    )


def run(args: argparse.Namespace) -> int:
    """Print what there is, the oldest first."""
    from edge_config.errors import UsageError
    from edge_config.wire import messages
    from edge_config.wire.replies import Now
    from edge_config.wire.requests import Snapshot
    from runtime.client.control_client import ControlClient

    since_ns = 0 if args.since is None else int(args.since.timestamp() * 1e9)
    url = address_of(args)
    with ControlClient(url, keys=keys_of(args), timeout_s=args.timeout) as device:
        with asking(url):
            now = device.request(Snapshot(), Now)
        topics = [
            messages.topic(kind, now.device, args.camera) if args.camera else messages.topic_prefix(kind)
            for kind in args.kind or messages.JOURNALED
        ]
        with closing(Saver(args.save)) as save:
            found = False
            for received in device.replay(*topics):
                found = True
                if received.message.t_publish_ns < since_ns:
                    continue
                save(received)
                print(as_json(received, origin=True) if args.json else as_line(received), flush=True)
            if args.camera and not found and args.camera not in now.cameras:
                there = ", ".join(sorted(now.cameras)) or "none"
                raise UsageError(
                    f"there is no camera {args.camera}, and nothing of one in the journal",
                    where=now.device,
                    remedy=f"there are: {there}",
                )
    return 0


def since(text: str) -> datetime:
    """Parse a date with or without a time, or how long ago."""
    try:
        if text[-1:] in _UNITS and text[:-1].replace(".", "", 1).isdecimal():
            return datetime.now(timezone.utc) - timedelta(**{_UNITS[text[-1]]: float(text[:-1])})
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 2026-11-24T10:00 or 2h") from None
