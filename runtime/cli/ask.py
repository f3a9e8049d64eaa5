"""patchedge ask: send a request to a running device, and print its reply."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from edge_config.wire.requests import DEFAULT_CONTROL, REQUESTS
from runtime.cli.arguments import between
from runtime.cli.explain_silence import asking
from runtime.cli.following import add_keys, keys_of

NAME = "ask"
HELP = "send a request, such as status or pause, to a running device, and print its reply"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("request", metavar="REQUEST", help=f"name of the request: {', '.join(REQUESTS)}")
    parser.add_argument(
        "fields", nargs="*", metavar="KEY=VALUE", help="its fields: camera=top alerts.threshold=12.5; JSON, or text"
    )
    parser.add_argument(
        "--control", default=DEFAULT_CONTROL, metavar="URL", help="address of the device's control socket"
    )
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the picture, or another binary part, here")
    add_keys(parser)
    parser.add_argument(
        "--timeout", type=between(0, 1e6), default=10.0, metavar="S", help="time-out of the answer, seconds"
    )


def run(args: argparse.Namespace) -> int:
    """Ask, and print the reply as JSON."""
    import msgspec

    from edge_config.errors import UsageError
    from edge_config.saving import put
    from edge_config.wire.requests import AnyRequest
    from runtime.client.control_client import ControlClient

    if args.request not in REQUESTS:
        raise UsageError("no such request", where=args.request, remedy=f"known: {', '.join(REQUESTS)}")
    if args.request == "picture" and args.save is None:
        raise UsageError("a picture needs a file", remedy="give --save FILE.jpg")
    try:
        request: AnyRequest = msgspec.convert({**_tree(args.fields), "request": args.request}, AnyRequest)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"not a request ({error})", where=f"ask {args.request}", remedy="see `patchedge schema`"
        ) from error
    with ControlClient(args.control, keys=keys_of(args), timeout_s=args.timeout) as device, asking(args.control):
        reply, parts = device.ask(request)
    if args.save is not None:
        if len(parts) != 1:
            raise UsageError(f"the reply has {len(parts)} binary parts, and nothing is saved", where=str(args.save))
        put(args.save, parts[0])
    print(msgspec.json.format(msgspec.json.encode(reply), indent=2).decode())
    return 0


def _tree(fields: list[str]) -> dict[str, Any]:
    """Return what KEY=VALUE words say; a dot in a key leads into a section.

    Raises:
        UsageError: a word that is none, or says that a value is a section too.
    """
    from edge_config.errors import UsageError

    tree: dict[str, Any] = {}
    for word in fields:
        path, equals, text = word.partition("=")
        *sections, key = path.split(".")
        section: Any = tree
        for name in sections:
            section = section.setdefault(name, {}) if isinstance(section, dict) else None
        if not equals or not key or not isinstance(section, dict):
            raise UsageError("not KEY=VALUE", where=word, remedy="write such as camera=top or alerts.min_frames=3")
        section[key] = _value(text)
    return tree


def _value(text: str) -> Any:
    """Return a value that is written as JSON; all else is text."""
    import msgspec

    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
