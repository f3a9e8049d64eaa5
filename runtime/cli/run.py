"""patchedge run: watch a camera, a video or a folder, and publish scores and alerts."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from runtime.cli import overlay

if TYPE_CHECKING:
    from edge_config.settings.problems import KeyPath

NAME = "run"
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
    parser.add_argument(
        "--pace",
        choices=("fps", "max"),
        help="files and folders: in their own time, or at full speed (default: fps)",
    )
    parser.add_argument(
        "--fps", type=float, metavar="N", help="files and folders: frames per second (default: their own)"
    )
    parser.add_argument("--device", metavar="NAME", help="name of this device in the topics (default: edge)")
    parser.add_argument("--camera", metavar="NAME", help="name of the camera in the topics (default: cam1)")
    parser.add_argument("--bind", metavar="URL", help="where to publish (default: tcp://127.0.0.1:5556)")
    parser.add_argument("--insecure", action="store_const", const=True, help="allow --bind beyond this machine")
    parser.add_argument(
        "--wait-subscribers", type=int, metavar="N", help="hold the first frame until N have subscribed (default: 0)"
    )
    overlay.add_trust_arguments(parser)
    parser.add_argument(
        "--page",
        nargs="?",
        const="127.0.0.1:8088",
        metavar="ADDRESS",
        help="serve the page beside, at ADDRESS:PORT; without an address at 127.0.0.1:8088",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="limit of all threads; 0: all cores (default: 0)")


def run(args: argparse.Namespace) -> int:
    """Run until the source ends or a signal comes."""
    from runtime.process.signals import Termination

    termination = Termination()  # before the imports below: some start threads, which inherit what is blocked

    from edge_config.errors import UsageError
    from edge_config.settings.device import Settings
    from edge_config.settings.parse import parse
    from edge_config.settings.settings_file import SettingsFile

    if not args.config and (args.bundle is None or args.source is None):
        raise UsageError("nothing to run", remedy="give --bundle and --source, or --config")

    def of(tree: dict[str, Any]) -> Settings:
        return parse(_overlay(tree, args), where=args.config or overlay.COMMAND_LINE)

    file = SettingsFile(args.config, of) if args.config else None
    settings = of({}) if file is None else file.read()

    from runtime.app.serve import serve

    return serve(settings, termination, file=file, page=args.page)


def _overlay(tree: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    """Lay the arguments that were given over the settings file; what is wrong in it is left for `parse` to say."""
    cameras = tree.get("cameras", {})
    if args.bundle is not None and _all_have_bundles(cameras):
        from edge_config.errors import UsageError

        raise UsageError("--bundle has no effect: each camera of the settings has its own", remedy="change these")
    options: dict[KeyPath, Any] = {(name,): getattr(args, name) for name in ("bundle", "device", "threads")}
    options |= {("events", name): getattr(args, name) for name in ("bind", "insecure", "wait_subscribers")}
    options |= overlay.trust(args)
    camera = {name: value for name in ("source", "pace", "fps") if (value := getattr(args, name)) is not None}
    if isinstance(cameras, dict) and (camera or args.camera):
        if len(cameras) > 1:
            name = overlay.which_camera(cameras, args.camera)
        else:  # the only one, which may be renamed
            name = args.camera or next(iter(cameras), "cam1")
            if name not in cameras:
                tree = overlay.lay_over(tree, {("cameras",): {name: next(iter(cameras.values()), {})}})
        options |= {("cameras", name, key): value for key, value in camera.items()}
    return overlay.lay_over(tree, options)


def _all_have_bundles(cameras: Any) -> bool:
    sections = list(cameras.values()) if isinstance(cameras, dict) else []
    return bool(sections) and all(isinstance(one, dict) and one.get("bundle") is not None for one in sections)
