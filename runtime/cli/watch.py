"""patchedge watch: print the messages of a device, one line each."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edge_config.message import DEFAULT_EVENTS
from runtime.cli.arguments import between, whole

if TYPE_CHECKING:
    from edge_config.message import Kind
    from runtime.client import Received

NAME = "watch"
HELP = "print the messages of a device, one line each"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("url", nargs="?", default=DEFAULT_EVENTS, help="where the device publishes")
    parser.add_argument("--kind", action="append", choices=("score", "alert", "state"), help="only these; repeatable")
    parser.add_argument("--device", help="only this device")
    parser.add_argument("--camera", help="only this camera (with --device)")
    parser.add_argument("--json", action="store_true", help="JSON lines: topic, missed, message")
    parser.add_argument("--count", type=whole(1, 10**18), metavar="N", help="end after N messages")
    parser.add_argument(
        "--timeout", type=between(0, 1e6), metavar="S", help="end, with exit code 69, after S silent seconds"
    )


def run(args: argparse.Namespace) -> int:
    """Print until interrupted."""
    from edge_config.errors import AddressUnavailable, MessageError, UsageError
    from runtime.client import Subscriber

    if args.camera and not args.device:
        raise UsageError("--camera needs --device", remedy="name both, as in the topic")
    show = _as_json if args.json else _as_line
    kinds: Sequence[Kind] = args.kind or ("score", "alert", "state")
    shown = 0
    try:
        with Subscriber(args.url, kinds=kinds, device=args.device, camera=args.camera) as subscriber:
            while args.count is None or shown < args.count:
                try:
                    received = subscriber.receive(args.timeout)
                except MessageError as error:
                    print(f"patchedge: {error}", file=sys.stderr)
                    continue
                if received is None:
                    raise AddressUnavailable(f"no message for {args.timeout:g} s", where=args.url)
                print(show(received), flush=True)
                shown += 1
    except KeyboardInterrupt:
        pass
    return 0


def _as_json(received: Received) -> str:
    import msgspec

    line = {"topic": received.topic, "missed": received.missed, "message": received.message}
    return msgspec.json.encode(line).decode()


def _as_line(received: Received) -> str:
    from datetime import datetime, timezone

    from edge_config.message import AlertMessage, ScoreMessage, StateMessage

    said = received.message
    at = datetime.fromtimestamp(said.t_publish_ns / 1e9, tz=timezone.utc).astimezone()
    text = f"{at:%H:%M:%S}.{at.microsecond // 1000:03d} {said.device}/{said.camera} "
    if isinstance(said, StateMessage):
        text += f"state {said.state}: {said.reason}"
    elif isinstance(said, (ScoreMessage, AlertMessage)):
        score = "-" if said.score is None else f"{said.score:.3f}"
        text += f"frame {said.frame_id} score {score} of {said.threshold:.3f} {said.label}"
        text += "" if said.peak_xy is None else f" at {said.peak_xy[0]},{said.peak_xy[1]}"
        text += f" age {said.age_ms:.0f} ms"
    if isinstance(said, AlertMessage):
        text = f"{text}  ALERT {said.phase} {said.alert_id} peak {said.peak_score:.3f} in frame {said.peak_frame_id}"
    return f"! {received.missed} messages lost before this one\n{text}" if received.missed else text
