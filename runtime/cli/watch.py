"""patchedge watch: print the messages of a device, one line each."""

from __future__ import annotations

import argparse
import math
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

from edge_config.wire.messages import DEFAULT_EVENTS
from runtime.cli.arguments import between, whole
from runtime.cli.explain_silence import LISTEN_S, SilenceCheck, unreachable
from runtime.cli.following import Saver, add_following, as_json, as_line, keys_of

if TYPE_CHECKING:
    from runtime.client.received import Received
    from runtime.client.subscriber import Subscriber

HINT_S = 3.0
"""Time without a message after which a possible cause is named: a device that wants keys just does not answer."""

_TURN_S = 0.25
_POLL_S = 1.0  # poll interval of the connection

NAME = "watch"
HELP = "print the messages of a device, one line each"
TALKS = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("url", nargs="?", default=DEFAULT_EVENTS, help="address of the device's events")
    parser.add_argument(
        "--control", metavar="URL", help="its control socket: begin with the current state, and fetch lost messages"
    )
    parser.add_argument(
        "--name", help="subscriber name: print every alert once, even over restarts; printed alerts are acknowledged"
    )
    parser.add_argument(
        "--kind",
        action="append",
        choices=("score", "alert", "state", "health", "preview"),
        help="only these; repeatable (default: score, alert, state)",
    )
    parser.add_argument("--device", help="only this device")
    parser.add_argument("--camera", help="only this camera (with --device)")
    add_following(parser)
    parser.add_argument("--count", type=whole(1, 10**18), metavar="N", help="end after N messages")
    parser.add_argument(
        "--timeout", type=between(0, 1e6), metavar="S", help="end, with exit code 69, after S seconds without a message"
    )


def run(args: argparse.Namespace) -> int:
    """Print until interrupted."""
    from edge_config.errors import AddressUnavailable

    shown = 0
    try:
        with closing(Saver(args.save)) as save, _subscriber(args) as subscriber:
            while args.count is None or shown < args.count:
                received = _receive_next(subscriber, args) if shown else _receive_first(subscriber, args)
                if received is None:
                    why = unreachable(args.url)
                    what = f"no message for {args.timeout:g} s"
                    raise AddressUnavailable(f"{what}: {why}" if why else what, where=args.url)
                save(received)
                print(
                    as_json(received, origin=args.control is not None) if args.json else as_line(received), flush=True
                )
                subscriber.acknowledge(received)
                shown += 1
    except KeyboardInterrupt:
        pass
    return 0


def _subscriber(args: argparse.Namespace) -> Subscriber:
    from edge_config.errors import UsageError
    from runtime.client.subscriber import Subscriber

    if args.camera and not args.device:
        raise UsageError("--camera needs --device", remedy="name both, as in the topic")
    if args.name and not args.control:
        raise UsageError("--name needs --control", remedy="name where the device takes requests")
    try:
        return Subscriber(
            args.url,
            kinds=args.kind or ("score", "alert", "state"),
            device=args.device,
            camera=args.camera,
            control=args.control,
            name=args.name,
            keys=keys_of(args),
        )
    except ValueError as error:
        raise UsageError(str(error)) from error


def _receive_first(subscriber: Subscriber, args: argparse.Namespace) -> Received | None:
    """Wait for the first message; name a possible cause of silence after a while, though alerts alone may be rare."""
    end_s = math.inf if args.timeout is None else time.monotonic() + args.timeout
    received = _receive(subscriber, min(HINT_S, _left(end_s)))
    if received is not None or not _left(end_s):
        return received
    if why := unreachable(args.url):
        _say(args, f"{why}; is patchedge running there? Waiting for it")
    else:
        _say(args, f"connected, but no message within {HINT_S:g} s; listening to all its messages")
        received = _receive_or_explain(subscriber, args, end_s)
    return received or _receive(subscriber, None if args.timeout is None else _left(end_s))


def _receive_next(subscriber: Subscriber, args: argparse.Namespace) -> Received | None:
    """Wait for a further message, and report a lost connection."""
    end_s = math.inf if args.timeout is None else time.monotonic() + args.timeout
    while _left(end_s):
        received = _receive(subscriber, min(_POLL_S, _left(end_s)))
        if received is not None:
            return received
        if not subscriber.connected:
            _say(args, f"the connection is lost: {unreachable(args.url) or 'the device hung up'}; waiting for it")
            return _receive(subscriber, None if args.timeout is None else _left(end_s))
    return None


def _receive_or_explain(subscriber: Subscriber, args: argparse.Namespace, end_s: float) -> Received | None:
    """Wait for the first message, or until the cause of silence is known."""
    until_s = min(end_s, time.monotonic() + LISTEN_S)
    with closing(SilenceCheck(args)) as check:
        while _left(until_s):
            received = _receive(subscriber, min(_TURN_S, _left(until_s)))
            if received is not None:
                return received
            if finding := check.finding():
                _say(args, f"{finding}; waiting")
                return None
    _say(
        args,
        "not even a heartbeat arrives; is this its `events`, and does it require keys (--key, --server-key)? Waiting",
    )
    return None


def _left(end_s: float) -> float:
    return max(0.0, end_s - time.monotonic())


def _say(args: argparse.Namespace, what: str) -> None:
    print(f"patchedge: {args.url}: {what}", file=sys.stderr, flush=True)


def _receive(subscriber: Subscriber, timeout_s: float | None) -> Received | None:
    from edge_config.errors import MessageError

    while True:
        try:
            return subscriber.receive(timeout_s)
        except MessageError as error:  # noqa: PERF203 - it is rare
            print(f"patchedge: {error}", file=sys.stderr)
