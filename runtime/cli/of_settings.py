"""Verbs on one bundle, or on all bundles of a settings file: loaded as `run` would, without a camera."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from runtime.cli.arguments import whole

if TYPE_CHECKING:
    from edge_config.settings.device import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("bundle", metavar="DIR", nargs="?", help="a bundle; or give --config")
    parser.add_argument("--config", metavar="FILE", help="settings, YAML or TOML: all bundles of its cameras")
    parser.add_argument("--threads", type=whole(0, 1024), metavar="N", help="bound on all threads; 0: all cores")
    add_trust_arguments(parser)


def add_trust_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments that say whose bundles are loaded; those left out keep what the settings say."""
    parser.add_argument("--key", action="append", metavar="KEY", help="as of `bundle verify`; repeatable")
    parser.add_argument(
        "--rebuild-index", action="store_const", const=True, help="build the index anew, and never open the file"
    )


def read(args: argparse.Namespace) -> tuple[Settings, list[str]]:
    """Return the settings that the bundles are loaded with, and their paths.

    Raises:
        UsageError: neither bundle nor settings are given, or both.
        SettingsError: the settings are wrong.
    """
    from edge_config.errors import UsageError
    from edge_config.settings.parse import parse
    from edge_config.settings.reading import read_file

    if (args.bundle is None) == (args.config is None):
        raise UsageError("one thing to look at is needed", remedy="give a bundle, or --config FILE")
    tree = read_file(args.config, tell_later=True) if args.config else of_bundle(args.bundle)
    if args.threads is not None:
        tree["threads"] = args.threads
    lay_trust(tree, args)
    found = parse(tree, where=args.config or "command line")
    return found, bundles(found)


def lay_trust(tree: dict[str, Any], args: argparse.Namespace) -> None:
    """Lay the arguments that say whose bundles are loaded over settings; what is wrong in these is left as it is."""
    section = tree.get("trust", {})
    given = {"keys": args.key, "rebuild_index": args.rebuild_index}
    given = {name: value for name, value in given.items() if value is not None}
    if given and isinstance(section, dict):
        tree["trust"] = {**section, **given}


def of_bundle(path: str) -> dict[str, Any]:
    """Return the settings that `run` has where only a bundle is given, but for the camera, which nobody opens."""
    return {"bundle": path, "cameras": {"none": {"source": 0}}}


def bundles(settings: Settings) -> list[str]:
    """Return the paths of the bundles of all cameras, each once."""
    return list(dict.fromkeys(camera.bundle or settings.bundle for camera in settings.cameras.values()))
