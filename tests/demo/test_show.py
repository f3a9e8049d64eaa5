"""The demo's device and its camera, for the page."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_config.errors import UsageError
from edge_config.settings.device import Settings
from edge_config.settings.parse import parse
from edge_config.settings.reading import read_file
from export.demo.camera import PAUSE, BeltCamera, belt_camera, with_label
from export.demo.clip import EMPTY
from export.demo.show import SETTINGS, show, write_settings

FILM = EMPTY + 3


def jpeg(level: int) -> bytes:
    """Return a grey picture."""
    return cv2.imencode(".jpg", np.full((240, 320, 3), level, np.uint8))[1].tobytes()


def picture(data: bytes) -> np.ndarray:
    """Return the pixels of a JPEG."""
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def test_settings_are_those_of_a_device(tmp_path: Path) -> None:
    """The settings file is taken, with the paths whole, so that it works from any folder."""
    write_settings(tmp_path)
    settings = parse(read_file(str(tmp_path / SETTINGS)), where=SETTINGS)
    assert isinstance(settings, Settings)
    assert settings.bundle == str(tmp_path / "belt.bundle")
    assert settings.cameras["belt"].source == str(tmp_path / "camera.avi")


def test_page_needs_a_demo(tmp_path: Path) -> None:
    """`--page` in an empty folder says how to make a demo."""
    with pytest.raises(UsageError, match="has no demo"):
        show(tmp_path)


def test_clip_passes_once_then_the_label_stays() -> None:
    """The clip is shown as it is; then the label is on all frames, long before the objects come again."""
    film = [jpeg(50 + number % 3) for number in range(EMPTY)] + [jpeg(200)] * 3
    with BeltCamera(film) as camera:
        assert [camera.frame(number) for number in range(FILM + PAUSE)] == film + film[:PAUSE]
        later = [picture(camera.frame(number)) for number in range(FILM + PAUSE, FILM + PAUSE + 20 * EMPTY)]
    label = with_label(np.zeros((240, 320, 3), np.uint8)) > 100
    assert all((shown[label] > 150).mean() > 0.9 for shown in later)
    objects = [number for number, shown in enumerate(later) if shown[0, 0, 0] > 150]
    assert objects[0] / 25 > 60
    assert len(objects) == 3


def test_camera_serves_the_film(tmp_path: Path) -> None:
    """A client gets the pictures of the clip byte for byte, and the camera ends although it listens."""
    film = tmp_path / "camera.avi"
    film.write_bytes(b"RIFF" + b"".join(b"00dc" + len(one).to_bytes(4, "little") + one for one in [jpeg(9)] * FILM))
    with belt_camera(film) as camera, urllib.request.urlopen(camera.url) as stream:  # noqa: S310 - of loopback
        assert jpeg(9) in stream.read(3 * len(jpeg(9)))
