"""Embed all training patches for the memory bank, by the same stages that the device uses."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable
from io import FileIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_config.errors import NotWritten, UsageError
from edge_config.saving import writing
from runtime.frame import Image
from runtime.learning.bank.in_slices import in_turn
from runtime.learning.bank.over_grid import over_grid
from runtime.learning.progress import progress
from runtime.scoring.embed import Embed
from runtime.scoring.preprocess import Preprocess

MAX_IN_MEMORY = 1 << 28
"""Bytes of features beyond which they go into a file, and are read from it in slices: the system keeps in its cache as
much of it as there is room for, and gives that back when somebody else needs it."""

_FLOAT32_BYTES = 4
_REMEDY = "make room, or learn from fewer pictures (--max-images)"


class Adjusted:
    """Rows of float32 features that are adjusted when they are read: what was stored stays as it is.

    Attributes:
        shape: rows, D.
        offset: what is subtracted from what is read, one after the other and then from the start, float32 [n, D]; None:
            nothing.
        scale: factor of each channel of the rest, float32 [D]; 1 at first.
    """

    offset: NDArray[np.float32] | None = None
    scale: NDArray[np.float32] | np.float32 = np.float32(1)

    def __init__(self, dimension: int) -> None:
        """Begin without rows."""
        self.shape = (0, dimension)

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.shape[0]

    def append(self, rows: NDArray[np.float32]) -> None:
        """Store further rows float32 [n, D]."""
        self._store(rows)
        self.shape = (len(self) + len(rows), self.shape[1])

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read rows int64 [n], from 0 on: float32 [n, D]."""
        found = self._read(rows)
        if self.offset is not None:
            found -= self.offset[rows % len(self.offset)]
        if np.ndim(self.scale):
            found *= self.scale
        return found

    def _store(self, rows: NDArray[np.float32]) -> None:
        raise NotImplementedError

    def _read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        raise NotImplementedError


class PatchMemory(Adjusted):
    """Rows of float32 in memory."""

    def __init__(self, room: NDArray[np.float32]) -> None:
        """Take an array with room for rows, float32 [n, D]."""
        super().__init__(room.shape[1])
        self._room = room

    def _store(self, rows: NDArray[np.float32]) -> None:
        end = len(self) + len(rows)
        if len(self._room) < end:
            self._room = np.concatenate([self._room[: len(self)], rows])
        self._room[len(self) : end] = rows

    def _read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return self._room[: len(self)][rows]


class PatchFile(Adjusted):
    """Rows of float32 in a file without a name, which the system removes however this process ends.

    They are read and not mapped: a map of the whole counts against a limit of address space. Use it from any thread.
    """

    def __init__(self, folder: Path, dimension: int) -> None:
        """Make an empty one.

        Raises:
            NotWritten: there can be none in this folder.
        """
        super().__init__(dimension)
        self._folder = folder
        with writing(folder, _REMEDY):
            self._stream = _unnamed(folder)
        weakref.finalize(self, self._stream.close)

    def _store(self, rows: NDArray[np.float32]) -> None:
        """Write further rows.

        Raises:
            NotWritten: the disk is full.
        """
        rest = np.ascontiguousarray(rows, dtype=np.float32).data.cast("B")
        with writing(self._folder, _REMEDY):
            while rest:  # the last write before a disk is full may take a part
                rest = rest[self._stream.write(rest) :]

    def _read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read rows; those that follow each other are read at once."""
        found = np.empty((len(rows), self.shape[1]), dtype=np.float32)
        ends = np.append(np.flatnonzero(np.diff(rows) != 1) + 1, len(rows))
        start = 0
        for end in ends[: len(rows)].tolist():
            self._read_run(found[start:end], int(rows[start]))
            start = end
        return found

    def _read_run(self, room: NDArray[np.float32], row: int) -> None:
        rest, at = room.data.cast("B"), row * self.shape[1] * _FLOAT32_BYTES
        while rest:
            count = os.preadv(self._stream.fileno(), [rest], at)
            if not count:
                raise IndexError(f"row {row} of {len(self)}")
            rest, at = rest[count:], at + count


Rows = NDArray[np.float32] | Adjusted
"""Patch features [rows, D], read by numbers of rows: in memory or in a file."""


class FeatureTable:
    """Patch features of pictures, one after the other; after those of all pictures, those of altered copies of some.

    Attributes:
        rows: of all pictures and copies, [(pictures + copies) * patches, D].
        patches: of a picture, only those that are judged.
        pictures: number of the picture that each picture (itself) and copy shows, int64 [pictures + copies].
        judged: which patches of the grid they are, bool [grid]; None: all.
    """

    def __init__(self, rows: Adjusted, patches: int, judged: NDArray[np.bool_] | None = None) -> None:
        """Take the features of pictures.

        Args:
            rows: of the pictures.
            patches: of a picture.
            judged: which patches of the grid they are; None: all.
        """
        self.rows = rows
        self.patches = patches
        self.judged = judged
        self.pictures = np.arange(len(rows) // patches)
        self._count = len(self.pictures)

    def __len__(self) -> int:
        """Return the number of pictures, without copies."""
        return self._count

    def add_copy(self, picture: int, features: NDArray[np.float32]) -> int:
        """Append the features of an altered copy of a picture, float32 [grid, D], and return its number."""
        self.rows.append(features if self.judged is None else features[self.judged])
        self.pictures = np.append(self.pictures, picture)
        return len(self.pictures) - 1

    def rows_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows of pictures and copies, by their numbers."""
        return np.asarray(numbers[:, None] * self.patches + np.arange(self.patches)).reshape(-1)

    def pictures_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of the picture that each row belongs to; for a row of a copy, that of the copied one."""
        return np.asarray(self.pictures[rows // self.patches])

    def subtract(self, offset: NDArray[np.float32]) -> None:
        """Subtract an offset at each patch, float32 [patches, D], before they are multiplied."""
        self.rows.offset = offset

    def multiply(self, scale: NDArray[np.float32]) -> None:
        """Multiply the features by a factor for each channel, float32 [D], above 0."""
        self.rows.scale = scale

    def restore(self) -> None:
        """Undo what they are multiplied by, and what is subtracted."""
        self.rows.offset, self.rows.scale = None, np.float32(1)

    def judged_rows(self, picture: int) -> NDArray[np.float32]:
        """Return the features of the judged patches of a picture or copy, float32 [patches, D]."""
        if not 0 <= picture < len(self.pictures):
            raise IndexError(picture)
        first = picture * self.patches
        return np.asarray(self.rows[np.arange(first, first + self.patches)])

    def __getitem__(self, picture: int) -> NDArray[np.float32]:
        """Return the features of a picture or copy over the grid, float32 [grid, D]; 0 where it is not judged."""
        return self.over_grid(self.judged_rows(picture))

    def over_grid(self, judged: NDArray[np.float32]) -> NDArray[np.float32]:
        """Put what belongs to the judged patches, float32 [patches, D], in their places: [grid, D], 0 elsewhere."""
        return over_grid(judged, self.judged)


def embed_pictures(
    pictures: Iterable[tuple[str, Image]],
    count: int,
    preprocess: Preprocess,
    embed: Embed,
    folder: Path,
    *,
    copies: int = 0,
    judged: NDArray[np.bool_] | None = None,
    in_memory: int | None = None,
    shown: bool = True,
    streams: int = 1,
) -> FeatureTable:
    """Embed every picture.

    Args:
        pictures: names and pictures uint8 [H, W, 3] BGR.
        count: at most so many.
        preprocess: the runtime's stage.
        embed: the runtime's stage.
        folder: on the disk that takes features too large for memory.
        copies: number of altered copies that will be added.
        judged: patches to keep, bool [grid]; None: all.
        in_memory: bytes beyond which they go into a file; by default `MAX_IN_MEMORY`.
        shown: show the progress.
        streams: pictures that are embedded at the same time.

    Raises:
        UsageError: they need a file, and the disk is too small; or they are no numbers.
    """
    grid, dimension = embed.output_shape
    kept, patches = (slice(None), grid) if judged is None else (judged, int(judged.sum()))
    done = in_turn(streams, lambda named: _finite(embed(preprocess(named[1]))[kept], named[0]), pictures)
    embedded = progress(done, "embed pictures", total=count, unit="picture") if shown else done
    rows = _into((count + copies) * patches, dimension, folder, MAX_IN_MEMORY if in_memory is None else in_memory)
    for picture in embedded:
        rows.append(picture)
    return FeatureTable(rows, patches, judged)


def in_file(rows: int, dimension: int) -> bool:
    """Return whether so many features go into a file."""
    return rows * dimension * _FLOAT32_BYTES > MAX_IN_MEMORY


def _finite(features: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    if not np.isfinite(features).all():
        raise UsageError(
            "the network gives features that are no numbers (infinite, or NaN)",
            where=name,
            remedy="check the network, its --mean and --std",
        )
    return features


def _into(count: int, dimension: int, folder: Path, in_memory: int) -> Adjusted:
    """Return what takes so many features: a file where they are too many for memory.

    It is no map of a file, where a disk that is full kills the process.
    """
    needed = count * dimension * _FLOAT32_BYTES
    if needed <= in_memory:
        return PatchMemory(np.empty((count, dimension), dtype=np.float32))
    require_space(folder, needed)
    return PatchFile(folder, dimension)


def require_space(folder: Path, needed: int) -> None:
    """Look before the work rather than fail after it.

    Raises:
        NotWritten: the disk is too small.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise NotWritten(
            f"{needed / 1e9:.1f} GB of patch features do not fit on this disk, {free / 1e9:.1f} GB are free",
            where=str(folder),
            remedy=_REMEDY,
        )


def _unnamed(folder: Path) -> FileIO:
    stream = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed with its PatchFile
    assert isinstance(stream, FileIO)  # noqa: S101 - not buffered
    return stream
