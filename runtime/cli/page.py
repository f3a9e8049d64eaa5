"""patchedge page: what the cameras of some devices see, in a browser."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from runtime.cli import overlay, page_users

if TYPE_CHECKING:
    from edge_config.settings.page import PageSettings
    from edge_config.settings.problems import KeyPath

NAME = "page"
HELP = "show cameras, alerts and learning in a browser"
TALKS = True

_ONE = "edge"  # name of the one device that the command line gives


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--config", metavar="FILE", help="settings, YAML or TOML; the arguments here override it")
    parser.add_argument("--bind", metavar="ADDRESS:PORT", help="where to serve the page (default: 127.0.0.1:8088)")
    parser.add_argument("--events", metavar="URL", help="where the device publishes (default: tcp://127.0.0.1:5556)")
    parser.add_argument("--control", metavar="URL", help="control socket of the device (default: tcp://127.0.0.1:5557)")
    parser.add_argument("--folder", metavar="DIR", help="where the page keeps scores, alerts and users")
    page_users.add_actions(parser)


def run(args: argparse.Namespace) -> int:
    """Serve the page until a signal comes, or change its users."""
    from edge_config.extra import needs_extra

    if args.action is not None:
        with needs_extra("page"):
            return page_users.run(args, read_settings(args))
    from runtime.process.signals import Termination

    termination = Termination()  # before all else: threads inherit what is blocked
    settings = read_settings(args)
    with needs_extra("page"):
        from runtime.page.priority import yield_to_device
        from runtime.page.serve import serve

    yield_to_device(settings)
    return serve(settings, termination)


def read_settings(args: argparse.Namespace) -> PageSettings:
    """Read the settings of the page from its file and the command line.

    Raises:
        PatchedgeError: they are invalid.
    """
    from edge_config.errors import UsageError
    from edge_config.settings import page
    from edge_config.settings.reading import read_file

    tree = read_file(args.config, tell_later=True) if args.config else {}
    options: dict[KeyPath, Any] = {(name,): getattr(args, name) for name in ("bind", "folder")}
    if args.events is not None or args.control is not None:
        devices = tree.get("devices") or {_ONE: {}}
        if not isinstance(devices, dict) or len(devices) != 1:
            raise UsageError(
                "--events and --control are of one device, and the settings name several", remedy="leave them out"
            )
        name = next(iter(devices))
        options |= {("devices", name, key): getattr(args, key) for key in ("events", "control")}
    return page.parse(overlay.lay_over(tree, options), where=args.config or overlay.COMMAND_LINE)
