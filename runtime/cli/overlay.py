"""Options of the command line over settings: the one way in which every verb lays them there."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runtime.cli.arguments import whole

if TYPE_CHECKING:
    from edge_config.settings.device import Settings
    from edge_config.settings.problems import KeyPath

COMMAND_LINE = "command line"


def lay_over(tree: dict[str, Any], options: Mapping[KeyPath, Any]) -> dict[str, Any]:
    """Override settings by the given options; return the result, and where each key is from.

    Args:
        tree: content of a settings file, which may be invalid: `parse` reports that.
        options: path of a key -> its value; None: it was not given.
    """
    from edge_config.settings.reading import Tree, lines_of

    given = {path: value for path, value in options.items() if value is not None}
    laid = tree
    for path, value in given.items():
        laid = _put(laid, path, value)
    if not isinstance(tree, Tree):
        return laid
    lines = {path: line for path, line in lines_of(tree).items() if not any(path[: len(one)] == one for one in given)}
    return Tree(laid, lines | dict.fromkeys(given, COMMAND_LINE), tree.twice)


def _put(tree: dict[Any, Any], path: KeyPath, value: Any) -> dict[Any, Any]:
    key, *inner = path
    if not inner:
        return {**tree, key: value}
    section = tree.get(key, {})
    return {**tree, key: _put(section, tuple(inner), value)} if isinstance(section, dict) else tree


def of_one_camera(name: str = "none", *, bundle: str = "none", source: str | int = 0, **more: Any) -> dict[str, Any]:
    """Return the settings of one camera, where there is no file: what is not named is not used."""
    camera = {"source": source, **more}
    return lay_over({"bundle": bundle}, {("cameras", name, key): value for key, value in camera.items()})


def which_camera(cameras: Mapping[str, Any], name: str | None) -> str:
    """Return the name of the camera that is meant: the one that is named, or the only one.

    Raises:
        UsageError: there is no such camera, or there are several and none is named.
    """
    from edge_config.errors import UsageError

    if name in cameras or (name is None and len(cameras) == 1):
        return name or next(iter(cameras))
    names = ", ".join(map(str, cameras))
    raise UsageError("which of the cameras is meant", remedy=f"give --camera and one of {names}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of a verb that looks at one bundle, or at all that a settings file names."""
    parser.add_argument("bundle", metavar="DIR", nargs="?", help="a bundle; or give --config")
    parser.add_argument("--config", metavar="FILE", help="settings, YAML or TOML: all bundles of its cameras")
    parser.add_argument(
        "--threads", type=whole(0, 1024), metavar="N", help="limit of all threads; 0: all cores (default: as set, or 0)"
    )
    add_trust_arguments(parser)


def add_trust_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments about signatures; those left out keep the values of the settings."""
    parser.add_argument(
        "--key", action="append", metavar="KEY", help="load only bundles signed by this public key; repeatable"
    )
    parser.add_argument(
        "--rebuild-index",
        action="store_const",
        const=True,
        help="build the index from the bank, and never open index.hnsw",
    )


def trust(args: argparse.Namespace) -> dict[KeyPath, Any]:
    """Return the options about signatures."""
    return {("trust", "keys"): args.key, ("trust", "rebuild_index"): args.rebuild_index}


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
        raise UsageError("no bundle given", remedy="give a bundle, or --config FILE")
    tree = read_file(args.config, tell_later=True) if args.config else of_one_camera(bundle=args.bundle)
    laid = lay_over(tree, {("threads",): args.threads, **trust(args)})
    found = parse(laid, where=args.config or COMMAND_LINE)
    return found, bundles(found)


def bundles(settings: Settings) -> list[str]:
    """Return the paths of the bundles of all cameras, each once."""
    return list(dict.fromkeys(camera.bundle or settings.bundle for camera in settings.cameras.values()))
