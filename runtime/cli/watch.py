"""patchedge watch: print the messages of a device, one line each."""

from __future__ import annotations

import argparse
import math
import sys
from contextlib import closing
from typing import TYPE_CHECKING

from edge_config.message import DEFAULT_EVENTS
from runtime.cli.arguments import between, whole
from runtime.cli.following import Saver, add_following, as_json, as_line, keys_of

if TYPE_CHECKING:
    from runtime.client import Received, Subscriber

HINT_S = 10.0
"""Whoever hears nothing for so long is told what may be the matter: a device that wants keys just does not answer."""

NAME = "watch"
HELP = "print the messages of a device, one line each"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("url", nargs="?", default=DEFAULT_EVENTS, help="where the device publishes")
    parser.add_argument(
        "--control", metavar="URL", help="where it takes requests: begin with what is the case, fetch what is lost"
    )
    parser.add_argument(
        "--name", help="print every alert once for this name, over restarts: what is printed is acknowledged"
    )
    parser.add_argument(
        "--kind", action="append", choices=("score", "alert", "state", "health"), help="only these; repeatable"
    )
    parser.add_argument("--device", help="only this device")
    parser.add_argument("--camera", help="only this camera (with --device)")
    add_following(parser)
    parser.add_argument("--count", type=whole(1, 10**18), metavar="N", help="end after N messages")
    parser.add_argument(
        "--timeout", type=between(0, 1e6), metavar="S", help="end, with exit code 69, after S silent seconds"
    )


def run(args: argparse.Namespace) -> int:
    """Print until interrupted."""
    from edge_config.errors import AddressUnavailable

    shown = 0
    try:
        with closing(Saver(args.save)) as save, _subscriber(args) as subscriber:
            while args.count is None or shown < args.count:
                received = _receive(subscriber, args.timeout) if shown else _receive_first(subscriber, args)
                if received is None:
                    raise AddressUnavailable(f"no message for {args.timeout:g} s", where=args.url)
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
    from runtime.client import Subscriber

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
    """Wait for the first message, and say after a while what may be the matter; alerts alone may be rare."""
    limit_s = math.inf if args.timeout is None else args.timeout
    if limit_s <= HINT_S or args.kind == ["alert"]:
        return _receive(subscriber, args.timeout)
    received = _receive(subscriber, HINT_S)
    if received is not None:
        return received
    print(
        f"patchedge: {args.url}: nothing for {HINT_S:g} s; is patchedge running there, with a camera that delivers, "
        "and does it want keys (--key, --server-key)?",
        file=sys.stderr,
    )
    return _receive(subscriber, None if args.timeout is None else limit_s - HINT_S)


def _receive(subscriber: Subscriber, timeout_s: float | None) -> Received | None:
    from edge_config.errors import MessageError

    while True:
        try:
            return subscriber.receive(timeout_s)
        except MessageError as error:  # noqa: PERF203 - it is rare
            print(f"patchedge: {error}", file=sys.stderr)
