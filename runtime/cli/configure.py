"""patchedge configure: change threshold and regions of a running camera, keep the change, list changes, undo one."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from runtime.cli.arguments import between
from runtime.cli.control_arguments import add_control, device_of, print_json, to_request

if TYPE_CHECKING:
    from edge_config.wire.configure import ChangesKept, InForce, SettingsChange

NAME = "configure"
HELP = "change threshold and regions of a running camera, and take changes back"

_BUNDLE = "bundle"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("camera", metavar="CAMERA", help="name of the camera")
    parser.add_argument(
        "--threshold",
        type=_threshold,
        metavar="X",
        help=f"scores above it are anomalous; `{_BUNDLE}`: that of a burn-in or the bundle",
    )
    parser.add_argument(
        "--regions",
        metavar="FILE",
        help="YAML with `regions` and `ignore`, as in the settings of a camera; null: none of its own",
    )
    parser.add_argument("--keep", action="store_true", help="write the change to the settings file of the device too")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--undo", action="store_true", help="take the last kept change back")
    instead.add_argument("--list", action="store_true", help="list the kept changes, the newest first")
    parser.add_argument("--user", metavar="NAME", help="the person that asks, for the audit log")
    add_control(parser)


def run(args: argparse.Namespace) -> int:
    """Send the request, and print what is in force, or what was kept."""
    import msgspec

    from edge_config.wire.configure import ChangesKept, InForce

    fields = _fields(args)
    nulls = {name: None for name in ("regions", "ignore") if fields.get(name, "") is None}
    request = msgspec.structs.replace(to_request({**fields, "camera": args.camera, "user": args.user}), **nulls)
    with device_of(args) as device:
        reply: InForce | ChangesKept = (
            device.request(request, ChangesKept) if args.list else device.request(request, InForce)
        )
    if args.json:
        print_json(reply)
    else:
        print("\n".join(_lines(reply)))
    return 0


def _fields(args: argparse.Namespace) -> dict[str, Any]:
    """Return the request that the arguments ask for.

    Raises:
        UsageError: they do not fit together, or the file has no regions.
    """
    from edge_config.errors import UsageError

    changes = args.threshold is not None or args.regions is not None
    if args.undo or args.list:
        if changes or args.keep:
            raise UsageError(f"--{'undo' if args.undo else 'list'} goes with no change", where=NAME)
        return {"request": "undo" if args.undo else "changes"}
    if args.keep and not changes:
        raise UsageError("nothing to keep", where="--keep", remedy="give --threshold or --regions")
    fields: dict[str, Any] = {"request": "configure", "keep": args.keep}
    if args.threshold is not None:
        fields["alerts"] = {"threshold": None if args.threshold == _BUNDLE else args.threshold}
    return {**fields, **({} if args.regions is None else _outlines(args.regions))}


def _outlines(path: str) -> dict[str, Any]:
    """Return regions and ignored parts of a file.

    Raises:
        SettingsError: it cannot be read.
        UsageError: it has neither, or something else.
    """
    from edge_config.errors import UsageError
    from edge_config.settings.reading import read_file

    tree = dict(read_file(path))
    if not tree or set(tree) - {"regions", "ignore"}:
        raise UsageError("has other keys than `regions` and `ignore`", where=path, remedy="leave them out")
    return tree


def _threshold(text: str) -> float | str:
    """Parse a number above 0, or `bundle`."""
    return text if text == _BUNDLE else between(0, 1e9)(text)


def _lines(reply: InForce | ChangesKept) -> list[str]:
    """Return a reply in words."""
    from edge_config.wire.configure import ChangesKept

    if isinstance(reply, ChangesKept):
        return [_line(one) for one in reply.changes] or [f"no change of {reply.camera} was kept"]
    of = {"settings": "its own", "bundle": "those of the bundle", "": "none, all is judged"}.get(reply.regions_of, "")
    lines = [f"{reply.camera}: threshold {reply.threshold:g} (bundle: {reply.bundle_threshold:g}), regions: {of}"]
    return lines if reply.change is None else [*lines, f"change {reply.change} in {reply.file}"]


def _line(change: SettingsChange) -> str:
    from datetime import datetime, timezone

    at = datetime.fromtimestamp(change.at_ms / 1000, timezone.utc)
    what = ", ".join(f"{one.key}: {_short(one.before)} -> {_short(one.after)}" for one in change.what)
    who = f"  by {change.by}" * bool(change.by) + f"  for {change.user}" * bool(change.user)
    end = "  (taken back)" * change.undone
    return f"{change.number:>3}  {at:%Y-%m-%d %H:%M:%S} UTC  {what}{who}{end}"


def _short(value: Any) -> str:
    if value is None:
        return "default"
    return f"{len(value)} polygons" if isinstance(value, list) and value and isinstance(value[0], list) else str(value)
