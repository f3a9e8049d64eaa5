"""What verbs that send requests to a device share: its address, keys and time-out."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edge_config.wire.requests import DEFAULT_CONTROL
from runtime.cli.arguments import between
from runtime.cli.explain_silence import asking
from runtime.cli.following import add_keys, keys_of

if TYPE_CHECKING:
    from runtime.client.control_client import ControlClient


def add_control(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--json", action="store_true", help="print the reply as JSON")
    parser.add_argument(
        "--control", default=DEFAULT_CONTROL, metavar="URL", help="address of the device's control socket"
    )
    add_keys(parser)
    parser.add_argument(
        "--timeout", type=between(0, 1e6), default=30.0, metavar="S", help="time-out of an answer, seconds"
    )


def add_address(parser: argparse.ArgumentParser) -> None:
    """Declare the address of a device for `address_of`: as an argument, or as the other verbs have it."""
    parser.add_argument("url", nargs="?", help=f"address of the device's control socket (default: {DEFAULT_CONTROL})")
    parser.add_argument("--control", metavar="URL", help="the same, as the other verbs have it")


def address_of(args: argparse.Namespace) -> str:
    """Return the address that the arguments of `add_address` name.

    Raises:
        UsageError: they name two.
    """
    from edge_config.errors import UsageError

    if args.url and args.control:
        raise UsageError("the address is there twice", where=f"--control {args.control}", remedy="give it once")
    return str(args.url or args.control or DEFAULT_CONTROL)


@contextmanager
def device_of(args: argparse.Namespace) -> Iterator[ControlClient]:
    """Connect to the device that the arguments name.

    Raises:
        AddressUnavailable: it does not answer.
    """
    from runtime.client.control_client import ControlClient

    with ControlClient(args.control, keys=keys_of(args), timeout_s=args.timeout) as device, asking(args.control):
        yield device


def print_json(value: Any) -> None:
    """Print a struct, or plain values, as JSON."""
    import msgspec

    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode(), flush=True)


def to_request(fields: dict[str, Any]) -> Any:
    """Return a request with these fields; None counts as not given.

    Raises:
        UsageError: a field is not valid.
    """
    import msgspec

    from edge_config.errors import UsageError
    from edge_config.wire.requests import AnyRequest

    given = {key: value for key, value in fields.items() if value is not None}
    try:
        return msgspec.convert(given, AnyRequest)
    except msgspec.ValidationError as error:
        raise UsageError(f"not a request ({error})", where=str(fields["request"])) from error
