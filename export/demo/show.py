"""Play the belt as a camera that goes on, with the page beside it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec

from edge_config.errors import UsageError
from edge_config.saving import put
from export.demo import clip
from export.demo.camera import belt_camera

BUNDLE, SETTINGS, STATE = "belt.bundle", "device.yaml", "state"

_DEVICE = (sys.executable, "-m", "runtime.cli.main")
_END_S = 30

WHAT_HAPPENS = """\
Open http://127.0.0.1:8088/ in a browser.
Six objects pass in the first half minute, and each raises an alert. Then somebody sticks a label on, and an alert
begins that does not end. The label is no fault: say so at its alert, and let the camera learn it. Ctrl+C ends it.
"""


def write_settings(folder: Path) -> None:
    """Write device.yaml, the settings of a device with the demo's bundle."""
    here = folder.absolute()

    def path(name: str) -> str:
        return msgspec.json.encode(str(here / name)).decode()  # JSON is YAML

    text = f"""\
# The device of the demo. `patchedge-export demo {shlex.quote(str(folder))} --page` plays the belt as a camera in
# place of the clip, again and again.
bundle: {path(BUNDLE)}
device: demo
cameras:
  belt:
    source: {path(clip.CLIP)}
    alerts:
      attach: [jpeg, heat_map]
clips:
  folder: {path("clips")}
"""
    put(folder / SETTINGS, text.encode())


def show(folder: Path) -> int:
    """Run the device and the page from the beginning, until a signal comes; return the exit code of the device.

    Raises:
        UsageError: there is no demo in the folder.
    """
    if not (folder / SETTINGS).exists():
        raise UsageError("has no demo", where=str(folder), remedy=f"make one: `patchedge-export demo {folder} --run`")
    shutil.rmtree(folder / STATE, ignore_errors=True)  # the story begins: nobody has judged or learned anything
    with belt_camera(folder / clip.CLIP) as camera:
        command = [*_DEVICE, "run", "--config", str(folder / SETTINGS), "--source", camera.url, "--page"]
        print(f"$ {shlex.join(command)}", WHAT_HAPPENS, sep="\n", end="", file=sys.stderr)
        device = subprocess.Popen(command, env=os.environ | {"STATE_DIRECTORY": str((folder / STATE).absolute())})
        try:
            return device.wait()
        except KeyboardInterrupt:  # the device got it too
            return device.wait(_END_S)
        finally:
            device.terminate()
            device.wait(_END_S)
