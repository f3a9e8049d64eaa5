"""Play a page in a network of its own: `python -m tests.docs.play PAGE FOLDER`, started by `in_own_network`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from runtime.frame import Image
from runtime.security import keys
from tests.docs.reader import Failed, Reader, Running
from tests.docs.stages import STAGES, Stage
from tests.support import pages, rtsp
from tests.support.brokers import Mosquitto, NatsServer
from tests.support.tiny import write_pictures

PRESS_3, CAMERA, BROKER = "10.0.0.3", "10.0.0.4", "10.0.0.5"
HOSTS = f"127.0.0.1 localhost\n{PRESS_3} press-3\n{BROKER} broker\n"

FPS = 20
CYCLE = 60
"""Pictures of a device's camera, of which the last third is strange: an alert every 3 s."""

REPEATED = 100
"""A device's camera has five minutes of pictures: more than any page takes."""

CAMERA_FPS = 8
"""Of the RTSP camera: few, as each frame is scored by the real network."""

SCENE = 15 * CAMERA_FPS
"""Pictures that it shows in turn."""

WITH_OBJECT = range(6 * CAMERA_FPS, 9 * CAMERA_FPS)
"""Those with an object, 3 s of 15: alerts with less than 10 s between them might be one."""

OBJECT = (slice(56, 120), slice(216, 280))
"""Rows and columns of it."""

VISITOR_PX, VISIT = 12, 3
"""Radius of what passes while the scene is normal, in another place and colour every 3 pictures: so the few that a page
records differ from each other more than those without a visitor will."""

SIGMA = 1.0
"""Noise of the camera: with much more, 12 pictures are too few to know what is normal."""


@cache
def in_own_network() -> list[str]:
    """Return what starts a command as root of its own network, processes and mounts; [] where that is not allowed."""
    words = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    words += [] if os.geteuid() == 0 else ["--map-root-user"]
    try:
        done = subprocess.run([*words, "ip", "link", "set", "lo", "up"], capture_output=True, check=False)
    except FileNotFoundError:
        return []
    return [] if done.returncode else words


def main() -> int:
    """Play a page; what goes wrong is on stdout, and the exit code is 1."""
    page, folder = sys.argv[1], Path(sys.argv[2])
    set_up_network(folder)
    stage = STAGES[page]
    with ExitStack() as stack:
        scene = Scene(folder / "scene")
        reader = Reader(folder / "page", folder / "state", lambda verb: scene.show_object() if verb == "run" else None)
        stack.callback(reader.kill)
        try:
            set_stage(stage, folder, scene, reader, stack)
            for block in pages.blocks(page):
                if not block.reason:
                    reader.read(block)
            reader.end()
        except Failed as failed:
            print(failed)
            return 1
    return 0


def set_up_network(folder: Path) -> None:
    """Have the addresses and names of the pages be this machine's, and nothing else be reached."""
    (folder / "hosts").write_text(HOSTS)
    subprocess.run(["mount", "--bind", folder / "hosts", "/etc/hosts"], check=True)  # noqa: S607 - where it is differs
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)  # noqa: S607
    for address in (PRESS_3, CAMERA, BROKER):
        subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)  # noqa: S607


def set_stage(stage: Stage, folder: Path, scene: Scene, reader: Reader, stack: ExitStack) -> None:
    """Start what the page begins with."""
    if stage.camera:
        scene.write()
        place = (CAMERA, "554", "/stream", str(CAMERA_FPS))
        stack.enter_context(rtsp.serving(scene.pattern, SCENE - 1, "user:pw", *place))
    for wanted, kind, port in ((stage.mosquitto, Mosquitto, 1883), (stage.nats, NatsServer, 4222)):
        if wanted:
            (folder / kind.__name__).mkdir()
            broker = kind(folder / kind.__name__, at=(BROKER, port))
            broker.start()
            stack.callback(broker.end)
    if stage.device or stage.press_3:
        cycle(folder)
    if stage.device:
        start_device(reader, folder, "run", device_settings(folder))
    if stage.press_3:
        start_device(reader, folder, "press-3", with_keys(folder, device_settings(folder, PRESS_3)))


def start_device(reader: Reader, folder: Path, verb: str, settings: dict[str, object]) -> None:
    """Start a device in the page's folder, whose `line.bundle` it has; a `run` of the page takes the place of `run`."""
    file = folder / f"{verb}.yaml"
    file.write_text(json.dumps(settings))  # YAML too; without anchors, so that a request can change it
    one: Running = reader.start("the stage", verb, f"patchedge run --config {file}")
    one.until(lambda lines: any('"event": "running"' in line for line in lines), lambda: "does not start")


def device_settings(folder: Path, address: str = "127.0.0.1") -> dict[str, object]:
    """Return the settings of a device with two cameras."""
    section = {"source": str(folder / "cycle"), "fps": FPS, "alerts": {"attach": ["jpeg", "heat_map"]}}
    return {
        "bundle": "line.bundle",
        "cameras": {"cam1": section, "top": section},
        "events": {"bind": f"tcp://{address}:5556"},
        "control": {"bind": f"tcp://{address}:5557"},
    }


def with_keys(folder: Path, settings: dict[str, object]) -> dict[str, object]:
    """Make the keys of `press-3` and of its client `hall`, put those of a client into the page's folder."""
    secret = keys.make(folder / "press-3")[1]
    shutil.copy(folder / "press-3.key", folder / "page")
    public, _ = keys.make(folder / "page/hall")
    (folder / "clients/operate").mkdir(parents=True)
    shutil.copy(public, folder / "clients/operate")
    security = {"secret_key": str(secret), "clients": str(folder / "clients")}
    return {**settings, "device": "press-3", "metrics": {"enabled": False}, "security": security}


def cycle(folder: Path) -> None:
    """Write the pictures of a device's camera: CYCLE of them, again and again."""
    first = write_pictures(folder / "first", set(range(CYCLE * 2 // 3 + 1, CYCLE + 1)), CYCLE)
    (folder / "cycle").mkdir()
    for number, picture in enumerate([*sorted(first.iterdir())] * REPEATED):
        (folder / f"cycle/{number:05d}.png").hardlink_to(picture)


class Scene:
    """What the RTSP camera sees; the server reads each picture whenever it shows it.

    Attributes:
        pattern: names of the pictures.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.pattern = f"{folder}/%06d.jpg"

    def write(self) -> None:
        """Write what is normal: something harmless passes all the time."""
        self._folder.mkdir()
        self._write(with_visitor)

    def show_object(self) -> None:
        """Have an object lie in the scene for 3 s of 15 from now on, and nothing pass."""
        if self._folder.exists():
            self._write(lambda picture, number: with_object(picture) if number in WITH_OBJECT else picture)

    def _write(self, change: Callable[[Image, int], Image]) -> None:
        from tests.support.cameras import noisy, scene  # needs the workshop

        for number in range(SCENE):
            new = self._folder / "new.jpg"
            picture = change(noisy(scene(), number, SIGMA), number)
            cv2.imwrite(str(new), picture, [cv2.IMWRITE_JPEG_QUALITY, 95])
            new.replace(self.pattern % number)


def with_visitor(picture: Image, number: int) -> Image:
    """Lay a disc somewhere."""
    random, shown = np.random.default_rng(number // VISIT), np.ascontiguousarray(picture)
    height, width = shown.shape[:2]
    row, column = random.integers(2 * VISITOR_PX, (height - 2 * VISITOR_PX, width - 2 * VISITOR_PX))
    cv2.circle(shown, (int(column), int(row)), VISITOR_PX, random.integers(0, 256, 3).tolist(), -1)
    return shown


def with_object(picture: Image) -> Image:
    """Lay a chessboard into a picture."""
    shown = picture.copy()
    rows, columns = np.indices(shown[OBJECT].shape[:2]) // 8
    shown[OBJECT] = ((rows + columns) % 2 * 255)[..., None]
    return shown


if __name__ == "__main__":
    sys.exit(main())
