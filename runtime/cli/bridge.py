"""patchedge bridge: forward alerts and states of devices to MQTT and NATS."""

from __future__ import annotations

import argparse

NAME = "bridge"
HELP = "forward alerts and states of devices to MQTT and NATS"
TALKS = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--config", metavar="FILE", required=True, help="settings, YAML or TOML")
    parser.add_argument(
        "--check", action="store_true", help="check the settings and their files, and connect to nothing"
    )


def run(args: argparse.Namespace) -> int:
    """Forward until a signal comes."""
    import asyncio
    from contextlib import closing

    from edge_config.settings import bridge
    from edge_config.settings.reading import read_file

    settings = bridge.parse(read_file(args.config, tell_later=True), where=args.config)

    from runtime.bridge.serve import forward_until_signal, make_sinks, summary
    from runtime.bridge.source import Devices
    from runtime.process.log import set_up_logging

    set_up_logging()
    sinks = make_sinks(settings)
    with closing(Devices(settings)) as devices:
        if args.check:
            print(f"{args.config}: good: {summary(settings, sinks)}")
        else:
            asyncio.run(forward_until_signal(settings, sinks, devices.connect))
    return 0
