"""patchedge run: watch a camera, a video or a folder, and publish scores and alerts."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

NAME = "run"
COMMAND_LINE = "command line"
HELP = "watch a camera, a video or a folder, and publish scores and alerts"
TALKS = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments; those left out keep what the settings file says, or its defaults."""
    parser.add_argument("--config", metavar="FILE", help="settings, YAML or TOML; the arguments here override it")
    parser.add_argument("--bundle", metavar="DIR", help="bundle made by patchedge-export")
    parser.add_argument(
        "--source",
        metavar="S",
        help="camera index, /dev/videoN, rtsp:// or http:// URL, video file, folder of pictures",
    )
    parser.add_argument("--pace", choices=("fps", "max"), help="files and folders: in their own time, or at full speed")
    parser.add_argument(
        "--fps", type=float, metavar="N", help="files and folders: frames a second instead of their own"
    )
    parser.add_argument("--device", metavar="NAME", help="name of this device in the topics (edge)")
    parser.add_argument("--camera", metavar="NAME", help="name of the camera in the topics (cam1)")
    parser.add_argument("--bind", metavar="URL", help="where to publish (tcp://127.0.0.1:5556)")
    parser.add_argument("--insecure", action="store_const", const=True, help="allow --bind beyond this machine")
    parser.add_argument(
        "--wait-subscribers", type=int, metavar="N", help="hold the first frame until N have subscribed"
    )
    parser.add_argument(
        "--search",
        choices=("lazy", "graph", "exact"),
        help="how far patches are searched (lazy); the others are references: the same scores, slower",
    )
    parser.add_argument(
        "--key", action="append", metavar="KEY", help="serve only what this public key has signed; repeatable"
    )
    parser.add_argument(
        "--rebuild-index", action="store_const", const=True, help="build the index of the bundle, never open the file"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="bound on all threads together (0: all cores)")


def run(args: argparse.Namespace) -> int:
    """Run until the source ends or a signal comes."""
    from runtime.process.signals import Termination

    termination = Termination()  # before the imports below: some start threads, which inherit what is blocked

    from edge_config.errors import UsageError
    from edge_config.settings.device import Settings
    from edge_config.settings.parse import parse
    from edge_config.settings.reading import read_file

    if not args.config and (args.bundle is None or args.source is None):
        raise UsageError("nothing to run", remedy="give --bundle and --source, or --config")

    def read() -> Settings:
        tree = read_file(args.config, tell_later=True) if args.config else {}
        return parse(_with_places(tree, _overlay(tree, args)), where=args.config or COMMAND_LINE)

    settings = read()

    from runtime.app.serve import serve

    return serve(settings, termination, read_again=read if args.config else None)


def _with_places(tree: dict[str, Any], merged: dict[str, Any]) -> dict[str, Any]:
    """Return settings that know where each key is from: the file, or the command line where that says otherwise."""
    from edge_config.settings.reading import Tree

    if not isinstance(tree, Tree):
        return merged
    lines = {path: line for path, line in tree.lines.items() if _at(merged, path) == _at(tree, path)}
    return Tree(merged, dict.fromkeys(_paths(merged), COMMAND_LINE) | lines, tree.twice)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return the paths of all values that are no sections."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _paths(inner, (*path, key))
    else:
        yield path


def _at(tree: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _overlay(tree: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    """Lay the arguments that were given over the settings file; what is wrong in it is left for `parse` to say."""
    events = {"bind": args.bind, "insecure": args.insecure, "wait_subscribers": args.wait_subscribers}
    camera = {"source": args.source, "pace": args.pace, "fps": args.fps}
    plain = {name: getattr(args, name) for name in ("bundle", "device", "threads", "search")}
    merged: dict[str, Any] = _merge(tree, plain)
    if args.bundle is not None and _all_have_bundles(tree.get("cameras")):
        from edge_config.errors import UsageError

        raise UsageError("--bundle has no effect: each camera of the settings has its own", remedy="change these")
    if _given(events):
        merged["events"] = _merge(tree.get("events", {}), events)
    trust = {"keys": args.key, "rebuild_index": args.rebuild_index}
    if _given(trust):
        merged["trust"] = _merge(tree.get("trust", {}), trust)
    cameras = tree.get("cameras", {})
    if isinstance(cameras, dict) and (_given(camera) or args.camera):
        merged["cameras"] = _overlay_camera(cameras, args.camera, camera)
    return merged


def _all_have_bundles(cameras: Any) -> bool:
    sections = list(cameras.values()) if isinstance(cameras, dict) else []
    return bool(sections) and all(isinstance(one, dict) and one.get("bundle") is not None for one in sections)


def _overlay_camera(cameras: dict[str, Any], name: str | None, values: dict[str, Any]) -> dict[str, Any]:
    """Lay arguments over the camera that is named, or over the only one, which may be renamed."""
    if name not in cameras and len(cameras) > 1:
        from edge_config.errors import UsageError

        raise UsageError(
            "which of the cameras is meant", remedy=f"give --camera and one of {', '.join(map(str, cameras))}"
        )
    old = name if name in cameras else next(iter(cameras), name or "cam1")
    others = {key: section for key, section in cameras.items() if key != old}
    return {**others, name or old: _merge(cameras.get(old, {}), values)}


def _merge(section: Any, values: dict[str, Any]) -> Any:
    return {**section, **_given(values)} if isinstance(section, dict) else section


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
