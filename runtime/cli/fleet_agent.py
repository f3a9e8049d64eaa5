"""patchedge fleet agent: converge this device to what its fleet assigns; `patchedge run` starts it beside."""

from __future__ import annotations

import argparse

ACTIONS = {"agent": "converge this device to what its fleet assigns; `patchedge run` does that by itself"}


def add_action(_name: str, parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--config", metavar="FILE", required=True, help="settings of the device, YAML or TOML")
    parser.add_argument(
        "--control", metavar="URL", help="address of the device's control socket (default: as the settings say)"
    )


def run_alone(args: argparse.Namespace) -> int:
    """Run the agent until a signal comes."""
    import asyncio

    from edge_config.errors import SettingsError
    from edge_config.extra import needs_extra
    from edge_config.settings.parse import parse
    from edge_config.settings.reading import read_file
    from runtime.app.beside.page import here
    from runtime.process.log import set_up_logging

    settings = parse(read_file(args.config, tell_later=True), where=args.config)
    control = args.control or here(settings.control.bind)
    if control.endswith(":*"):
        remedy = "set a port, or give --control"
        raise SettingsError("the control socket has any free port", where="control.bind", remedy=remedy)
    set_up_logging()
    with needs_extra("fleet"):
        from runtime.fleet.agent.serve import run_until_signal
    asyncio.run(run_until_signal(settings, control))
    return 0
