"""Labelled pictures: a folder in MVTec layout, or a CSV list of frames in time order.

DIR/test/good/*.png                     a list has the columns `frame` and `label`, and may have `mask`:
DIR/test/crack/001.png                      frame,label
DIR/ground_truth/crack/001_mask.png         1,normal
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.manifest import FULL_DEPTH
from edge_config.errors import NoImages, SourceUnavailable, UnreadableImage, UsageError
from runtime.camera import image_files
from runtime.camera.sources.recording import open_video, read_video
from runtime.frame import Image

NORMAL, ANOMALOUS = frozenset({"good", "normal"}), frozenset({"bad", "anomalous"})
"""Labels of a list; in a folder, every kind that is not one of `NORMAL` is an anomaly."""

GOOD, BAD = "good", "anomalous"
"""The kinds of pictures in a list, which names no others."""

_DIGITS = 18  # of the longest frame number; int() refuses thousands of them with an error of its own


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture and its truth.

    Attributes:
        name: as the report shows it: a path in the data set, a path of the list, or VIDEO#NUMBER.
        file: the picture, or the video that it is a frame of.
        frame: its number in the video, from 1; None where the file is a picture.
        place: in time or in the data set, what is left out counted too, from 1: a gap here is a gap there.
        anomalous: the truth.
        kind: such as "good" or "crack".
        mask: file of its ground truth; None for normal pictures, and where there is none.
    """

    name: str
    file: Path
    frame: int | None
    place: int
    anomalous: bool
    kind: str
    mask: Path | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """What is evaluated.

    Attributes:
        path: of the folder or the list.
        samples: in order; at least one.
        in_time: the order is that of time.
        left_out: pictures or rows that are neither normal nor anomalous.
        notes: plain sentences about them.
    """

    path: Path
    samples: tuple[Sample, ...]
    in_time: bool
    left_out: int = 0
    notes: tuple[str, ...] = ()

    def pictures(
        self, numbers: Collection[int] | None = None, *, depth: int = FULL_DEPTH
    ) -> Iterator[tuple[int, Image]]:
        """Yield the number of a sample, from 0, and its picture, uint8 [H, W, 3] BGR, in order.

        Args:
            numbers: of the samples that are wanted; None wants all.
            depth: bits that are used in pictures of 16 bits, as the bundle says.

        Raises:
            UnreadableImage: one is damaged.
            NoImages: the video ends before the last frame that is wanted.
        """
        wanted = sorted(range(len(self.samples)) if numbers is None else set(numbers))
        return self._from_files(wanted, depth) if self.samples[0].frame is None else self._from_video(wanted)

    def _from_files(self, wanted: Sequence[int], depth: int) -> Iterator[tuple[int, Image]]:
        for number in wanted:
            yield number, image_files.read_picture(self.samples[number].file, depth)

    def _from_video(self, wanted: Sequence[int]) -> Iterator[tuple[int, Image]]:
        """Walk the video once; the samples are in the order of their frames, and all are frames of one video."""
        waiting = list(reversed(wanted))
        video, last = self.samples[0].file, 0
        for last, image in enumerate(read_video(_open(video)), start=1):
            while waiting and self.samples[waiting[-1]].frame == last:
                yield waiting.pop(), image
            if not waiting:
                return
        missing = self.samples[waiting[-1]].frame
        raise NoImages(f"ends after {last} frames, the list names frame {missing}", where=str(video))


def open_dataset(path: Path, *, frames: Path | None = None, masks: Path | None = None) -> Dataset:
    """Find the pictures and their truth; only names are looked at.

    Args:
        path: a folder in MVTec layout, or a CSV list.
        frames: for a list: the folder of its frames, or their video. Where it is not given, paths are taken from the
            folder of the list, and, like numbers, from the folder `frames` in it.
        masks: for a list: the folder of its masks, whose names are those of the frames, or their numbers. Where it is
            not given, the folder `masks` beside the list, if there is one.

    Raises:
        NoImages: nothing to evaluate, or a picture is not there.
        UsageError: the list is not a list, names what is not there, or the arguments do not fit together.
    """
    if os.path.isdir(path):  # unlike Path.is_dir, False for names that no disk can hold
        if frames or masks:
            raise UsageError("--frames and --masks go with a CSV list, not with a folder", where=str(path))
        return _from_folder(path)
    if not os.path.isfile(path):
        raise NoImages("no such file or folder", where=str(path))
    for given in (frames, masks):
        if given and not os.path.exists(given):
            raise NoImages("no such file or folder", where=str(given))
    return _from_list(path, frames, masks)


def printable(path: Path | str) -> str:
    """Return a name that UTF-8 can hold; on a disk it may be any bytes."""
    return os.fsencode(path).decode(errors="replace")


def read_mask(path: Path, picture_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Read a mask, bool [H, W]: every pixel that is not black is anomalous.

    Raises:
        UnreadableImage: it is damaged, or of another size than its picture.
    """
    mask = image_files.read_picture(path, image_files.EVERY_BIT).any(axis=2)
    if mask.shape != picture_hw:
        (height, width), (wanted_height, wanted_width) = mask.shape, picture_hw
        raise UnreadableImage(
            f"a mask of {width} x {height} pixels for a picture of {wanted_width} x {wanted_height}", where=str(path)
        )
    return np.asarray(mask, dtype=np.bool_)


def _from_folder(root: Path) -> Dataset:
    test = root / "test"
    if not test.is_dir():
        raise NoImages("has no folder test", where=str(root), remedy="give a folder in MVTec layout, or a CSV list")
    samples: list[Sample] = []
    for folder in sorted(entry for entry in test.iterdir() if entry.is_dir() and not entry.name.startswith(".")):
        anomalous = folder.name not in NORMAL
        for file in image_files.walk(folder):
            mask = _beside(root / "ground_truth", file.relative_to(test)) if anomalous else None
            name, kind = printable(file.relative_to(root)), printable(folder.name)
            samples.append(Sample(name, file, None, len(samples) + 1, anomalous, kind, mask))
    if not samples:
        raise NoImages("no pictures in its folders", where=str(test), remedy="put them into test/good and test/<kind>")
    stray = sum(image_files.is_picture(entry) for entry in test.iterdir() if entry.is_file())
    others = image_files.passed_over(test)
    notes = (
        *([f"{stray} pictures lie directly in test, without a kind: left out"] if stray else []),
        *([f"{others.total()} files are passed over: {image_files.in_words(others)}"] if others else []),
    )
    return Dataset(root, tuple(samples), in_time=False, left_out=stray, notes=notes)


def _from_list(path: Path, frames: Path | None, masks: Path | None) -> Dataset:
    rows = _read_rows(path)  # before its folders: what is no list has none
    finder = _Finder(path, frames, masks)
    samples, others = [], Counter[str]()
    for place, row in enumerate(rows, start=1):
        label = row["label"].lower()
        if label in NORMAL | ANOMALOUS:
            samples.append(finder.sample(place, row, anomalous=label in ANOMALOUS))
        else:
            others[label or "without a label"] += 1
    if not samples:
        raise NoImages("no row is labelled normal or anomalous", where=str(path))
    left_out = others.total()
    counts = ", ".join(f"{count} {label}" for label, count in others.items())
    notes = (f"{left_out} rows are labelled neither normal nor anomalous ({counts}): left out",) if left_out else ()
    samples.sort(key=lambda sample: sample.frame or 0)  # a video can be walked in one direction only
    return Dataset(path, tuple(samples), in_time=True, left_out=left_out, notes=notes)


def _read_rows(path: Path) -> list[dict[str, str]]:
    """Read a list; every value is stripped, and one that is absent is empty."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, restval="", skipinitialspace=True)
            missing = [name for name in ("frame", "label") if name not in (reader.fieldnames or ())]
            if missing:
                raise UsageError(
                    f"no column {' and no column '.join(missing)}",
                    where=str(path),
                    remedy="a list starts with a line such as frame,label,mask",
                )
            return [{name: row.get(name, "").strip() for name in ("frame", "label", "mask")} for row in reader]
    except OSError as error:
        raise UsageError(f"cannot be read ({error.strerror})", where=str(path)) from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise UsageError(f"not a CSV list ({error})", where=str(path)) from error


class _Finder:
    """Finds the frames and masks that the rows of a list mean.

    Attributes:
        video: the file that the frames are in, if they are in one.
    """

    def __init__(self, path: Path, frames: Path | None, masks: Path | None) -> None:
        self.video = frames if frames and frames.is_file() else None
        self._list = path
        self._frame_folders = [frames] if frames else [path.parent, path.parent / "frames"]
        self._mask_folders = [masks] if masks else [path.parent, path.parent / "masks"]
        self._frames = {} if self.video else _by_number(self._frame_folders[-1])
        self._masks = _by_number(self._mask_folders[-1])

    def sample(self, place: int, row: dict[str, str], *, anomalous: bool) -> Sample:
        """Return the sample of a row."""
        text = row["frame"]
        number = _number(text)
        name, file = (text, self._file(text)) if number is None else self._numbered(number)
        mask = self._mask(row["mask"], text, number) if anomalous else None
        frame = number if self.video else None
        return Sample(name, file, frame, frame or place, anomalous, BAD if anomalous else GOOD, mask)

    def _file(self, text: str) -> Path:
        if self.video:
            raise UsageError(
                f"{text!r} is not the number of a frame of {self.video}", where=str(self._list), remedy="count from 1"
            )
        return self._existing("frame", self._frame_folders, text)

    def _numbered(self, number: int) -> tuple[str, Path]:
        if self.video:
            if number == 0:
                raise UsageError("frame 0 of a video", where=str(self._list), remedy="count from 1")
            return f"{printable(self.video)}#{number}", self.video
        file = self._frames.get(number)
        if file is None:
            folder = self._frame_folders[-1]
            raise NoImages(
                f"no picture with the number {number} in {folder}", where=str(self._list), remedy="give --frames"
            )
        return file.name, file

    def _mask(self, text: str, frame: str, number: int | None) -> Path | None:
        if text:
            return self._existing("mask", self._mask_folders, text)
        return self._masks.get(number) if number is not None else _beside(self._mask_folders[-1], Path(frame))

    def _existing(self, what: str, folders: list[Path], text: str) -> Path:
        for folder in folders:
            if text and os.path.isfile(folder / text):
                return folder / text
        raise NoImages(f"{what} {text!r} is not in {folders[0]}", where=str(self._list), remedy=f"give --{what}s")


def _by_number(folder: Path) -> dict[int, Path]:
    """Find the pictures whose names are numbers, 000012.jpg or 12_mask.png."""
    found: dict[int, Path] = {}
    for file in image_files.walk(folder):
        number = _number(file.stem.removesuffix("_mask"))
        if number is not None and found.setdefault(number, file) != file:
            raise UsageError(f"has the number of {found[number].name} too", where=str(file), remedy="remove one")
    return found


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) <= _DIGITS else None


def _beside(folder: Path, picture_path: Path) -> Path | None:
    """Find the mask of a picture: the same path in another folder, as STEM_mask.png or STEM.png."""
    names = (f"{picture_path.stem}_mask.png", f"{picture_path.stem}.png")
    return next((file for name in names if os.path.isfile(file := folder / picture_path.parent / name)), None)


def _open(video: Path) -> cv2.VideoCapture:
    try:
        return open_video(video)
    except SourceUnavailable as error:
        raise NoImages(error.what, where=str(video)) from error
