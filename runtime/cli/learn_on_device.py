"""The form of `patchedge learn-on` that has a running device learn on."""

from __future__ import annotations

import argparse
import sys
import threading
from typing import TYPE_CHECKING

from runtime.cli.control_arguments import device_of, print_json, to_request

if TYPE_CHECKING:
    from edge_config.wire.versions import LearningProgress
    from runtime.client.control_client import ControlClient

POLL_S = 0.5
"""Interval between looks at a device that learns, seconds."""

_UNFINISHED = ("queued", "running", "activating")


def learn_on_device(args: argparse.Namespace) -> int:
    """Have a device learn on, wait, and print the result; return 0 if the new bundle is in service, else 1."""
    from edge_config.wire.versions import LearningProgress

    with device_of(args) as device:
        request = to_request({"request": "learn_on", "camera": args.camera, "force": args.force})
        progress = device.request(request, LearningProgress)
        if not args.no_wait:
            progress = _wait(device, args.camera, progress)
    if args.json:
        print_json(progress)
    else:
        _show(args.camera, progress)
    return 0 if progress.state == "done" or (args.no_wait and progress.state in _UNFINISHED) else 1


def _wait(device: ControlClient, camera: str, progress: LearningProgress) -> LearningProgress:
    """Wait until learning has ended, and show how far it is."""
    from edge_config.wire.versions import VersionsKept
    from runtime.process.progress import GAUGE

    request, pause = to_request({"request": "versions", "camera": camera}), threading.Event()
    print("patchedge: learning; Ctrl-C ends the waiting, not the learning", file=sys.stderr, flush=True)
    while progress.state in _UNFINISHED:
        with GAUGE.stage(f"{camera}: {_where(progress)}"):
            pause.wait(POLL_S)
        progress = device.request(request, VersionsKept).learning
    return progress


def _where(progress: LearningProgress) -> str:
    if progress.state == "queued" and progress.ahead:
        return f"{progress.ahead} before it"
    again = f", start {progress.starts}" if progress.starts > 1 else ""
    return f"{progress.state} {progress.step}".rstrip() + again


def _show(camera: str, progress: LearningProgress) -> None:
    version = progress.version[:12]
    match progress.state:
        case "done":
            print(f"{camera}: version {version} in service after {progress.seconds:.1f} s")
        case "waiting":
            print(f"{camera}: version {version} is not in service:")
            for problem in progress.problems:
                print(f"  {problem}")
            print(f"look at it with `patchedge versions {camera}`; `learn-on {camera} --force` serves it all the same")
        case "failed" | "idle":
            print(f"{camera}: nothing new is in service: {progress.reason}")
        case _:
            print(f"{camera}: {_where(progress)}")
