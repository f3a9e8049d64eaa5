"""patchedge burn-in: watch a camera for a while, and set its threshold for a wanted number of false alerts a day."""

from __future__ import annotations

import argparse
from typing import Any

from edge_config.wire.requests import DEFAULT_CONTROL
from runtime.cli.arguments import between
from runtime.cli.explain_silence import asking
from runtime.cli.following import add_keys, keys_of

NAME = "burn-in"
HELP = "watch a camera for a day, and set its threshold for a number of false alerts"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("camera", nargs="?", metavar="CAMERA", help="name of the camera; by default all are shown")
    do = parser.add_mutually_exclusive_group()
    do.add_argument(
        "--start", metavar="TIME", help="watch for this time, such as 24h; alerts go on by the threshold in service"
    )
    do.add_argument(
        "--stop", action="store_true", help="end it now: what was watched becomes a proposal, and alerts are raised"
    )
    do.add_argument("--drop", action="store_true", help="go back to the threshold of the bundle, and drop the proposal")
    parser.add_argument(
        "--apply",
        action="store_true",
        help="put the proposal into service; with --start: at its end, unless something speaks against it",
    )
    parser.add_argument(
        "--alerts-per-day",
        type=between(0, 1e6),
        metavar="N",
        help="with --start: wanted number of false alerts a day; by default that of the settings",
    )
    parser.add_argument(
        "--all", action="store_true", help="with --apply: what was set aside counts as false alerts too"
    )
    parser.add_argument("--force", action="store_true", help="with --apply: although something speaks against it")
    parser.add_argument("--json", action="store_true", help="print the status as one JSON object, by camera")
    parser.add_argument(
        "--control", default=DEFAULT_CONTROL, metavar="URL", help="address of the device's control socket"
    )
    add_keys(parser)
    parser.add_argument(
        "--timeout", type=between(0, 1e6), default=10.0, metavar="S", help="time-out of the answer, seconds"
    )


def run(args: argparse.Namespace) -> int:
    """Send the request, if there is one, and print how burn-ins are."""
    import msgspec

    from edge_config.wire.burn_in import BurnInStatus
    from edge_config.wire.requests import Status
    from runtime.burnin.words import lines
    from runtime.client.control_client import ControlClient

    request = _request(args)
    with ControlClient(args.control, keys=keys_of(args), timeout_s=args.timeout) as device, asking(args.control):
        if request is not None:
            found = {args.camera: device.request(request, BurnInStatus)}
        else:
            told = device.request(Status(), dict[str, Any])["cameras"]
            found = {name: msgspec.convert(one["burn_in"], BurnInStatus) for name, one in told.items()}
    if request is None and args.camera is not None:
        found = {args.camera: found[_known(args.camera, found)]}
    if args.json:
        print(msgspec.json.encode(found).decode())
    else:
        print("\n".join(line for name, status in found.items() for line in lines(name, status)))
    return 0


def _known(camera: str, found: dict[str, Any]) -> str:
    """Return the name of a camera that the device has.

    Raises:
        UsageError: it has no such camera.
    """
    from edge_config.errors import UsageError

    if camera not in found:
        raise UsageError("no such camera", where=camera, remedy=f"known: {', '.join(found)}")
    return camera


def _request(args: argparse.Namespace) -> Any:
    """Return the request that the arguments ask for; None: to show only.

    Raises:
        UsageError: they do not fit together.
    """
    import msgspec

    from edge_config.errors import UsageError
    from edge_config.wire.burn_in import BurnIn

    do = "start" if args.start else "stop" if args.stop else "drop" if args.drop else "apply" if args.apply else ""
    chosen = {"--alerts-per-day": args.alerts_per_day is not None, "--all": args.all, "--force": args.force}
    given = [option for option, is_given in chosen.items() if is_given]
    allowed = {"start": {"--alerts-per-day"}, "apply": {"--all", "--force"}}.get(do, set())
    if wrong := [option for option in given if option not in allowed]:
        raise UsageError("goes with --start or --apply only, as the help says", where=wrong[0])
    if args.apply and do in {"stop", "drop"}:
        raise UsageError(f"does not go with --{do}", where="--apply")
    if not do:
        return None
    if args.camera is None:
        raise UsageError(f"--{do} needs the name of a camera", where=NAME)
    fields: dict[str, Any] = {"camera": args.camera, "do": do, "all": args.all, "force": args.force}
    if do == "start":
        fields |= {"duration": args.start, "alerts_per_day": args.alerts_per_day, "apply": args.apply}
    try:
        return msgspec.convert(fields, BurnIn)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"not a burn-in ({error})", where=f"--{do}", remedy="a time is such as 24h or 90min"
        ) from error
