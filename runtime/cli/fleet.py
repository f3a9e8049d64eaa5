"""patchedge fleet: bundles and settings for many devices, over NATS. Its actions are in the modules `fleet_*.py`.

A module of actions has ACTIONS (name -> help), `add_action(name, parser)`, and `run_action(args, settings, store)`, or
`run_alone(args)` where it needs no store.
"""

from __future__ import annotations

import argparse
import logging
from typing import TYPE_CHECKING

from runtime.cli import fleet_agent, fleet_assign, fleet_keys, fleet_status, fleet_store

if TYPE_CHECKING:
    from edge_config.settings.fleet import FleetSettings

NAME = "fleet"
HELP = "bundles and settings for many devices, over NATS"
TALKS = True

_ALONE = (fleet_keys, fleet_agent)
_WITH_STORE = (fleet_store, fleet_assign, fleet_status)

PATIENCE_S = 10.0
"""Time-out of the servers, seconds; what waits for devices waits for servers that are away as well."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions and their arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for module in (*_WITH_STORE, *_ALONE):
        for name, said in module.ACTIONS.items():
            action = actions.add_parser(name, help=said, description=said)
            module.add_action(name, action)
            action.set_defaults(module=module)
            if module in _WITH_STORE:
                config = "settings of the fleet, YAML or TOML"
                action.add_argument("--config", metavar="FILE", default="fleet.yaml", help=config)


def run(args: argparse.Namespace) -> int:
    """Run one of the actions."""
    import asyncio

    if args.module in _ALONE:
        return int(args.module.run_alone(args))
    from edge_config.errors import MissingExtra
    from edge_config.settings import fleet
    from edge_config.settings.reading import read_file
    from runtime.process.log import set_up_logging

    set_up_logging(level=logging.WARNING)
    settings = fleet.parse(read_file(args.config, tell_later=True), where=args.config)
    try:
        return asyncio.run(_run(args, settings))
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in {"nats", "nkeys"}:
            raise
        raise MissingExtra(f"{error.name} is not installed", remedy="pip install 'patchedge[fleet]'") from error
    except (KeyboardInterrupt, asyncio.CancelledError) as error:
        getattr(args.module, "interrupted", lambda _: None)(args)
        raise KeyboardInterrupt from error


async def _run(args: argparse.Namespace, settings: FleetSettings) -> int:
    import asyncio
    import signal

    from runtime.fleet.store.store import FleetStore

    if main := asyncio.current_task():
        for number in (signal.SIGINT, signal.SIGTERM):  # so that all tasks end before the loop does
            asyncio.get_running_loop().add_signal_handler(number, main.cancel)
    async with FleetStore.connect(settings, settings.name, PATIENCE_S) as store:
        if args.action in getattr(args.module, "WAITS", ()):
            await store.ready()
            store.connection.patience_s = None
        return int(await args.module.run_action(args, settings, store))
