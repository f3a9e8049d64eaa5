"""Make a camera clip of a belt of gravel with foreign objects on it.

Every pixel comes from photographs that scikit-image ships. The belt never repeats: it is patched together from random
pieces of one photograph, with other pieces for the normal pictures than for the clip. The camera has sensor noise,
flicker and small shake.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from edge_config.errors import UsageError
from edge_config.saving import cut_short
from runtime.frame import Image
from runtime.learning.progress import progress

FPS = 25
NORMAL_PICTURES = 800
SEED = 2106

_HEIGHT, _WIDTH = 240, 320
_MARGIN = 8  # rows and columns beyond the view, for the shake
_STEP = 5  # pixels that the belt moves from a frame of the clip to the next
_NORMAL_STEP = 65  # and from a normal picture to the next: one every half second
_FIRST, _SPACING = 150, 100  # frames before the first object, and from one to the next
_PIECE, _OVERLAP = 128, 32  # width of a piece of the belt, and of its blend into the next
QUALITY = 95  # of the JPEG in both: pictures that went another way than the clip would not be normal for it
_NOISE, _SHAKE, _FLICKER = 4.0, 0.7, 0.03  # grey levels, pixels, share of the brightness


@dataclass(frozen=True, slots=True)
class Cutout:
    """A round piece of a photograph.

    Attributes:
        name: what it shows.
        photograph: name of the function of `skimage.data`.
        center_xy, radius: where it is in the photograph, pixels.
        size: its diameter on the belt, pixels.
    """

    name: str
    photograph: str
    center_xy: tuple[int, int]
    radius: int
    size: int


CUTOUTS = (
    Cutout("coin", "coins", (347, 187), 32, 72),
    Cutout("cat's eye", "chelsea", (174, 116), 36, 40),
    Cutout("brick", "brick", (250, 256), 40, 44),
    Cutout("cup", "coffee", (290, 132), 110, 48),
    Cutout("badge", "astronaut", (171, 389), 36, 36),
    Cutout("paper", "page", (190, 30), 28, 50),
)

FRAMES = _FIRST + _SPACING * len(CUTOUTS)
"""Length of the clip."""

EMPTY = _FIRST - 5
"""Frames before the first object comes into view."""

CLIP, NORMAL, TRUTH = "camera.avi", "normal", "truth.csv"


@dataclass(frozen=True, slots=True)
class Sighting:
    """An object in a frame: its name and its visible box, pixels."""

    frame: int
    name: str
    x: int
    y: int
    width: int
    height: int


def make_clip(folder: Path) -> None:
    """Write normal/*.jpg, camera.avi and truth.csv into an existing folder.

    Raises:
        OSError: the disk does not take them.
    """
    random = np.random.default_rng(SEED)
    (folder / NORMAL).mkdir(exist_ok=True)
    belt = make_belt(NORMAL_PICTURES * _NORMAL_STEP, random)
    for number, image in enumerate(
        progress(film(belt, NORMAL_PICTURES, _NORMAL_STEP, random), "normal pictures", total=NORMAL_PICTURES), 1
    ):
        jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
        (folder / NORMAL / f"{number:06d}.jpg").write_bytes(jpeg.tobytes())
    belt = make_belt(FRAMES * _STEP, random)
    lefts = [_lay(belt, cutout, number, random) for number, cutout in enumerate(CUTOUTS)]
    _write_video(folder / CLIP, progress(film(belt, FRAMES, _STEP, random), "camera clip", total=FRAMES))
    _write_truth(folder / TRUTH, lefts)


def read_truth(path: Path) -> list[Sighting]:
    """Read truth.csv."""
    with path.open(newline="", encoding="utf-8") as stream:
        return [
            Sighting(int(r["frame"]), r["object"], int(r["x"]), int(r["y"]), int(r["width"]), int(r["height"]))
            for r in csv.DictReader(stream)
        ]


def make_belt(length: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Patch a belt together that is `length` pixels longer than the view: float32 [rows, columns, 3]."""
    gravel = _photograph("gravel").astype(np.float32)
    rows, columns = _HEIGHT + 2 * _MARGIN, _WIDTH + 2 * _MARGIN + length
    belt = np.zeros((rows, columns + _PIECE, 3), dtype=np.float32)
    fade = np.linspace(0, 1, _OVERLAP, dtype=np.float32)[:, None]
    for left in range(0, columns, _PIECE - _OVERLAP):
        top, start = random.integers(gravel.shape[0] - rows), random.integers(gravel.shape[1] - _PIECE)
        piece = gravel[top : top + rows, start : start + _PIECE]
        piece = piece[:: random.choice([-1, 1]), :: random.choice([-1, 1])].copy()
        if left:
            piece[:, :_OVERLAP] = piece[:, :_OVERLAP] * fade + belt[:, left : left + _OVERLAP] * (1 - fade)
        belt[:, left : left + _PIECE] = piece
    return belt[:, :columns]


def _lay(
    belt: NDArray[np.float32], cutout: Cutout, number: int, random: np.random.Generator
) -> tuple[Cutout, int, int]:
    """Lay an object on the belt, with a soft edge; give it with the column and row of its upper left corner."""
    photograph = _photograph(cutout.photograph)
    (x, y), r, size = cutout.center_xy, cutout.radius, cutout.size
    piece = cv2.resize(photograph[y - r : y + r, x - r : x + r], (size, size), interpolation=cv2.INTER_AREA)
    circle = np.zeros((size, size, 1), dtype=np.float32)
    cv2.circle(circle, (size // 2, size // 2), size // 2 - 2, 1.0, -1)
    mask = cv2.GaussianBlur(circle, (0, 0), 1.0)[..., None]
    left = _WIDTH + _STEP * (_FIRST + _SPACING * number)
    top = int(random.integers(_MARGIN + 20, _HEIGHT - size - 20))
    under = belt[top : top + size, left : left + size]
    under[:] = under * (1 - mask) + piece.astype(np.float32) * mask
    return cutout, left, top


def _photograph(name: str) -> Image:
    """Return a photograph of scikit-image as uint8 [H, W, 3] BGR."""
    photograph = np.asarray(getattr(data, name)(), dtype=np.uint8)
    color = np.atleast_3d(photograph)[..., ::-1]
    return np.ascontiguousarray(np.broadcast_to(color, (*color.shape[:2], 3)))


def film(belt: NDArray[np.float32], frames: int, step: int, random: np.random.Generator) -> Iterator[Image]:
    """Move the belt under the camera."""
    for number in range(frames):
        shake = random.normal(0, _SHAKE, 2).clip(-3 * _SHAKE, 3 * _SHAKE)
        center = (_MARGIN + number * step + (_WIDTH - 1) / 2 + shake[0], _MARGIN + (_HEIGHT - 1) / 2 + shake[1])
        view = cv2.getRectSubPix(belt, (_WIDTH, _HEIGHT), center)
        light = 1 + _FLICKER * np.sin(number * 0.9) + random.normal(0, _FLICKER / 3)
        noise = random.normal(0, _NOISE, view.shape)
        yield (view * light + noise).clip(0, 255).round().astype(np.uint8)


def _write_video(path: Path, images: Iterable[Image]) -> None:
    """Write a clip, and read it again: OpenCV does not notice a disk that is full.

    Raises:
        OSError: the disk did not take all of it.
    """
    # OpenCV's own writer: FFmpeg's does not heed the quality, and takes half of the picture's noise away.
    codec = cv2.VideoWriter.fourcc(*"MJPG")
    video = cv2.VideoWriter(str(path), cv2.CAP_OPENCV_MJPEG, codec, FPS, (_WIDTH, _HEIGHT))
    if not video.isOpened():
        raise UsageError("OpenCV cannot write this video", where=str(path))
    video.set(cv2.VIDEOWRITER_PROP_QUALITY, QUALITY)
    written = 0
    for image in images:
        video.write(image)
        written += 1
    video.release()
    clip = cv2.VideoCapture(str(path), cv2.CAP_OPENCV_MJPEG)
    if sum(1 for _ in iter(clip.grab, False)) < written:  # noqa: FBT003 - the end of it
        raise cut_short(path)


def _write_truth(path: Path, objects: list[tuple[Cutout, int, int]]) -> None:
    """Write a line for every frame and object of which at least a column can be seen."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("frame", "object", "x", "y", "width", "height"))
        for number in range(FRAMES):
            for cutout, left, top in objects:
                x = left - _MARGIN - number * _STEP
                visible = max(x, 0), min(x + cutout.size, _WIDTH)
                if visible[0] < visible[1]:
                    width = visible[1] - visible[0]
                    writer.writerow((number + 1, cutout.name, visible[0], top - _MARGIN, width, cutout.size))
