"""patchedge fleet status, pull: what devices should run and run, and a bundle that one of them learnt."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.cli.fleet_arguments import operator_keys, operator_name, say

if TYPE_CHECKING:
    from edge_config.settings.fleet import FleetSettings
    from runtime.fleet.store.interface import Store

ACTIONS = {
    "status": "show roll-outs, and what each device should run and runs",
    "pull": "fetch a bundle that a device learnt",
}

WAITS = ("pull",)
"""Those that wait for devices, and so for servers that are away meanwhile, too."""


def add_action(name: str, parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of one of `ACTIONS`."""
    if name == "status":
        parser.add_argument("rollout", metavar="ID", nargs="?", help="this roll-out and its devices (default: all)")
        parser.add_argument("--json", action="store_true", help="print JSON")
        return
    parser.add_argument("device", metavar="DEVICE", help="name of the device in the fleet")
    parser.add_argument("--camera", metavar="NAME", default="", help="name of the camera (default: the only one)")
    parser.add_argument("--bundle", metavar="ID", default="", help="id of the bundle (default: the one in service)")
    parser.add_argument("--out", type=Path, metavar="FILE", required=True, help="the file to write")


async def run_action(args: argparse.Namespace, settings: FleetSettings, store: Store) -> int:
    """Do one of `ACTIONS`, and return the exit code."""
    if args.action == "pull":
        from runtime.fleet.rollout.pull import MAX_PULLED_BYTES, PullWish, origin, pull

        wish = PullWish(args.device, args.camera, args.bundle, args.out, operator_name(settings))
        bundle = await pull(store, operator_keys(settings), wish, MAX_PULLED_BYTES)
        say(f"{args.out}: {args.out.stat().st_size} bytes, {origin(bundle)}")
        return 0
    from edge_config.errors import UsageError
    from runtime.cli.control_arguments import print_json
    from runtime.fleet.rollout.drive import now_ms
    from runtime.fleet.rollout.status import about, status_of
    from runtime.fleet.rollout.table import lines

    rollouts = await store.rollouts()
    if args.rollout is not None and args.rollout not in rollouts:
        raise UsageError("there is no such roll-out", where=args.rollout, remedy="`patchedge fleet status` lists them")
    status = status_of(await store.reports(), await store.assigned(), rollouts, now_ms())
    if args.rollout is not None:
        status = about(status, rollouts[args.rollout])
    if args.json:
        print_json(status)
    else:
        say(*lines(status))
    return 0
