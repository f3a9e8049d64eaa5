"""patchedge fleet init, push, devices: make the store, put packs into it, and show what devices say."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.cli.arguments import whole
from runtime.cli.fleet_arguments import say

if TYPE_CHECKING:
    from edge_config.settings.fleet import FleetSettings
    from runtime.fleet.store.store import FleetStore

ACTIONS = {
    "init": "make the store of the fleet at the servers; what is there stays as it is",
    "push": "verify a bundle, and put it into the store",
    "devices": "show what each device says of itself",
}


def add_action(name: str, parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of one of `ACTIONS`."""
    if name == "init":
        replicas = "servers that hold each stream: 3 in a cluster of three"
        parser.add_argument("--replicas", type=int, choices=(1, 3, 5), default=1, metavar="N", help=replicas)
        size = "maximum size of all packs together, MiB; pushing stops there"
        parser.add_argument("--packs-mb", type=whole(1, 1 << 24), default=20_480, metavar="MB", help=size)
        counter = "number of the last assignment, where an earlier store was lost: devices refuse lower ones"
        parser.add_argument("--counter", type=whole(0, 1 << 50), default=0, metavar="N", help=counter)
    elif name == "push":
        parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="a bundle, or a file made by `bundle pack`")
        replace = "replace another pack of the same bundle; what was assigned of it is refused from then on"
        parser.add_argument("--replace", action="store_true", help=replace)
    else:
        parser.add_argument("--json", action="store_true", help="print the reports as JSON")


async def run_action(args: argparse.Namespace, _settings: FleetSettings, store: FleetStore) -> int:
    """Do one of `ACTIONS`, and return the exit code."""
    match args.action:
        case "init":
            from runtime.fleet.store.make import StoreLimits, make

            limits = StoreLimits(args.replicas, args.packs_mb << 20)
            for name, made in (await make(store.connection, store.layout, limits)).items():
                print(f"{name}: {'made' if made else 'is there already, and stays as it is'}")
            if args.counter:
                await store.raise_counter(args.counter)
                print(f"the next assignment is above {args.counter}")
        case "push":
            info = await store.put_pack(args.bundle, replace=args.replace)
            print(f"{args.bundle}: bundle {info.bundle}, {info.size} bytes, in {store.layout.packs.name}")
        case _:
            await _devices(args, store)
    return 0


async def _devices(args: argparse.Namespace, store: FleetStore) -> None:
    import time

    from runtime.cli.control_arguments import print_json
    from runtime.fleet.store.device_table import lines

    reports = await store.reports()
    if args.json:
        print_json(reports)
    elif reports:
        say(*lines(reports.values(), round(time.time() * 1000)))
    else:
        print("no device has said anything yet; an agent runs where the settings have a section `fleet`")
