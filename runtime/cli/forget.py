"""patchedge forget: have a device forget a subscriber's name."""

from __future__ import annotations

import argparse

from runtime.cli.arguments import between
from runtime.cli.control_arguments import add_address, address_of
from runtime.cli.explain_silence import asking
from runtime.cli.following import add_keys, keys_of

NAME = "forget"
HELP = "delete a subscriber's name: nothing is kept for it, another key may take it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("subscriber", metavar="NAME", help="name of the subscriber")
    add_address(parser)
    add_keys(parser)
    parser.add_argument(
        "--timeout", type=between(0, 1e6), default=5.0, metavar="S", help="time-out of the answer, seconds"
    )


def run(args: argparse.Namespace) -> int:
    """Send the request, and print the result."""
    import msgspec

    from edge_config.errors import UsageError
    from edge_config.wire.replies import Forgotten
    from edge_config.wire.requests import Forget
    from runtime.client.control_client import ControlClient

    try:
        request = msgspec.convert({"subscriber": args.subscriber}, Forget)
    except msgspec.ValidationError as error:
        raise UsageError("not the name of a subscriber", where=args.subscriber) from error
    url = address_of(args)
    with ControlClient(url, keys=keys_of(args), timeout_s=args.timeout) as device, asking(url):
        known = device.request(request, Forgotten).known
    print(f"{args.subscriber}: forgotten" if known else f"{args.subscriber}: the device knows no such subscriber")
    return 0
