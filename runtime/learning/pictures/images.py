"""The normal pictures: a folder walked in a fixed order, or a video sampled evenly."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.manifest import FULL_DEPTH
from edge_config.errors import NoImages, SourceUnavailable, UnreadableImage
from runtime.camera import image_files
from runtime.camera.sources.recording import open_video, read_video
from runtime.frame import Image
from runtime.learning.pictures.source import LocalFiles, PictureSource

Pixels = TypeVar("Pixels", Image, image_files.Deep)

DEFAULT_VIDEO_FRAMES = 300
"""Frames taken from a video unless told otherwise: neighbouring frames teach little that is new."""


class Pictures:
    """The pictures to learn from.

    Attributes:
        skipped: files that the last walk passed over because they cannot be read.
        found: pictures or frames that there are.
        unasked: fewer of them are taken, and nobody has given a limit.
        depth: bits that are used in pictures of 16 bits, as of `runtime.camera.image_files.read_picture`.
        path: of the folder, the picture or the video.
        is_video: it is a video.
        source: of the files.
        files: all pictures of a folder, below it, in order; the video itself.
    """

    def __init__(
        self, path: Path, *, limit: int | None = None, skip_bad: bool = False, source: PictureSource | None = None
    ) -> None:
        """Look what there is.

        Args:
            path: a folder, a picture or a video file.
            limit: take so many at most, spread evenly; None takes all of a folder and 300 of a video.
            skip_bad: pass over pictures that cannot be read.
            source: has the pictures, where they lie elsewhere; then `path` is not looked at.

        Raises:
            NoImages: there is none.
        """
        if source is None:
            _require_files(path)
        self.skipped: list[str] = []
        self.path = path
        self._skip_bad = skip_bad
        self.is_video = source is None and path.is_file() and not image_files.is_picture(path)
        self.source = source or LocalFiles(path)
        self.files = list(self.source.files)
        total = _video_length(path) if self.is_video else len(self.files)
        if not total:
            others = image_files.in_words(self.source.passed_over)
            what = f"no pictures here ({others} passed over)" if others else "no pictures here"
            raise NoImages(what, where=self.source.where, remedy="give a folder of pictures or a video")
        self.found = total
        self.depth = FULL_DEPTH
        self._chosen = evenly(total, limit or (DEFAULT_VIDEO_FRAMES if self.is_video else total))
        self.unasked = limit is None and len(self._chosen) < total
        self._readable: list[int] = []

    def __len__(self) -> int:
        """Return the number of pictures that a walk looks at."""
        return len(self._chosen)

    def __iter__(self) -> Iterator[tuple[str, Image]]:
        """Yield name and picture, uint8 [H, W, 3] BGR, in order.

        Raises:
            UnreadableImage: one is damaged, unless `skip_bad`.
        """
        self.skipped.clear()
        self._readable.clear()
        for number, name, image in self._walk(self._chosen):
            self._readable.append(number)
            yield name, image

    @property
    def numbers(self) -> list[int]:
        """The place of each picture of the last walk, among all that there are."""
        return list(self._readable)

    def keep(self, positions: list[int]) -> None:
        """Leave out all but these pictures, by their place among all, in ascending order: no walk shows the others."""
        self._chosen = [self._chosen[position] for position in positions]

    def part(self, positions: list[int]) -> Pictures:
        """Return some of the pictures that a walk looks at, by their place among all, in ascending order."""
        other = Pictures.__new__(Pictures)
        other.__dict__.update(self.__dict__)
        other._chosen = [self._chosen[position] for position in positions]  # noqa: SLF001 - of its own kind
        other._readable = list(other._chosen)  # noqa: SLF001
        other.skipped = []
        return other

    def settle(self, skipped: list[str]) -> None:
        """Take all pictures that are left as read: `skipped` are the files that could not be."""
        self._readable = list(self._chosen)
        self.skipped[:] = skipped

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs to read them: of the files only those that a walk looks at."""
        state = dict(self.__dict__)
        if not self.is_video:
            wanted = sorted({*self._chosen, *self._readable})
            places = {number: place for place, number in enumerate(wanted)}
            state["files"] = files = [self.files[number] for number in wanted]
            state["source"] = self.source.only(files)
            state |= {name: [places[one] for one in state[name]] for name in ("_chosen", "_readable")}
        return state

    def deep(self) -> Iterator[tuple[int, image_files.Deep]]:
        """Yield place among all and picture, with all of its bits, [H, W, 3] BGR, in order; those that are damaged not.

        Raises:
            UnreadableImage: one is damaged, unless `skip_bad`.
        """
        self.skipped.clear()
        places = {number: place for place, number in enumerate(self._chosen)}
        walk = self._walk_video(set(places)) if self.is_video else self._walk_files(self._chosen, self._read_deep)
        return ((places[number], image) for number, _, image in walk)

    def names(self) -> list[str]:
        """Return the names of the pictures of the last walk, below the folder; a frame of a video is `#` and number."""
        if self.is_video:
            return [f"#{number + 1}" for number in self._readable]
        return [self.files[number].as_posix() for number in self._readable]

    def again(self, positions: Iterable[int]) -> Iterator[Image]:
        """Yield some of the pictures of the last walk again, by their place in it, in ascending order."""
        return (image for _, _, image in self._walk([self._readable[position] for position in sorted(positions)]))

    def some(self, positions: Iterable[int]) -> Iterator[Image]:
        """Yield some of the pictures before any walk, by their place among all, in ascending order."""
        return (image for _, _, image in self._walk([self._chosen[position] for position in sorted(positions)]))

    def _walk(self, numbers: list[int]) -> Iterator[tuple[int, str, Image]]:
        return self._walk_video(set(numbers)) if self.is_video else self._walk_files(numbers, self.read)

    def read(self, file: Path) -> Image:
        """Return one of `files`, uint8 [H, W, 3] BGR.

        Raises:
            UnreadableImage: it is damaged.
        """
        return image_files.read_picture(file, self.depth, self.source.read)

    def _read_deep(self, file: Path) -> image_files.Deep:
        return image_files.read_deep(file, self.source.read)

    def _walk_files(self, numbers: list[int], read: Callable[[Path], Pixels]) -> Iterator[tuple[int, str, Pixels]]:
        for number in numbers:
            name = f"{self.source.root}/{self.files[number]}"
            try:
                image = read(self.files[number])
            except UnreadableImage as error:
                if not self._skip_bad:
                    remedy = "repair or remove it, or give --skip-bad"
                    raise UnreadableImage(error.what, where=name, remedy=remedy) from error
                self.skipped.append(name)
            else:
                yield number, name, image

    def _walk_video(self, numbers: set[int]) -> Iterator[tuple[int, str, Image]]:
        for number, image in enumerate(read_video(_open(self.path))):
            if number in numbers:
                yield number, f"{self.path}#{number + 1}", image


def _require_files(path: Path) -> None:
    """Refuse a path where there is nothing, or nothing that can hold pictures."""
    if not os.path.exists(path):  # unlike Path.exists, False for names that no disk can hold
        raise NoImages("no such file or folder", where=str(path))
    if not (os.path.isfile(path) or os.path.isdir(path)):
        remedy = "take pictures of a camera with `patchedge record`"
        raise NoImages("neither a folder nor a file", where=str(path), remedy=remedy)


def fingerprint(image: image_files.Deep) -> bytes:
    """Return what only pictures with the same pixels have in common."""
    same = hashlib.blake2b(f"{image.shape} {image.dtype}".encode())
    same.update(np.ascontiguousarray(image).data)
    return same.digest()


def evenly(total: int, wanted: int) -> list[int]:
    """Spread `wanted` numbers over range(total), ends included, each at most once."""
    return sorted({int(number) for number in np.linspace(0, total - 1, min(wanted, total)).round()})


def spread(chosen: NDArray[np.bool_], most: int) -> list[int]:
    """Return the places of at most `most` of the chosen pictures, bool [pictures], spread evenly."""
    places = np.flatnonzero(chosen)
    return [int(places[number]) for number in evenly(len(places), most)]


def _video_length(path: Path) -> int:
    """Count the frames that are there; what the header announces need not be."""
    capture = _open(path)
    count = 0
    while capture.grab():
        count += 1
    capture.release()
    return count


def _open(path: Path) -> cv2.VideoCapture:
    try:
        return open_video(path)
    except SourceUnavailable as error:
        raise NoImages("neither pictures nor a video that OpenCV can read", where=str(path)) from error
