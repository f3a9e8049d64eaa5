"""The memory bank of all patches, embedded by the very stages that the device uses."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from io import FileIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_config.errors import UsageError
from export.progress import progress
from runtime.embed import Embed
from runtime.frame import Image
from runtime.preprocess import Preprocess

MOST_IN_MEMORY = 1 << 30
"""Bytes of features beyond which they go into a file."""

_FLOAT32_BYTES = 4
_REMEDY = "make room, or learn from fewer pictures (--max-images)"


def embed_pictures(
    pictures: Iterable[tuple[str, Image]],
    count: int,
    preprocess: Preprocess,
    embed: Embed,
    folder: Path | None = None,
) -> NDArray[np.float32]:
    """Embed every picture.

    Args:
        pictures: names and pictures uint8 [H, W, 3] BGR.
        count: at most so many.
        preprocess: the runtime's stage.
        embed: the runtime's stage.
        folder: on the disk that takes features too large for memory; None means the system's temporary folder.

    Returns:
        Patch features, float32 [pictures, patches, D]; those of a file are mapped, and cannot be written.

    Raises:
        UsageError: they need a file, and the disk is too small.
    """
    patches, dimension = embed.output_shape
    embedded = (
        embed(preprocess(image)) for _name, image in progress(pictures, "embed pictures", total=count, unit="picture")
    )
    if count * patches * dimension * _FLOAT32_BYTES > MOST_IN_MEMORY:
        return _to_file(embedded, (count, patches, dimension), folder or Path(tempfile.gettempdir()))
    features = np.empty((count, patches, dimension), dtype=np.float32)
    done = 0
    for picture in embedded:
        features[done] = picture
        done += 1
    return features[:done]


def _to_file(embedded: Iterable[NDArray[np.float32]], shape: tuple[int, int, int], folder: Path) -> NDArray[np.float32]:
    """Write features to a file without a name, which the system removes however this process ends, and map it."""
    _, patches, dimension = shape
    needed = shape[0] * patches * dimension * _FLOAT32_BYTES
    _require_space(folder, needed)
    done = 0
    with tempfile.TemporaryFile(dir=folder, buffering=0) as stream:
        for picture in embedded:
            _append(stream, picture, folder)
            done += 1
        if not done:  # nothing cannot be mapped
            return np.empty((0, patches, dimension), dtype=np.float32)
        return np.asarray(np.memmap(stream, dtype=np.float32, mode="r", shape=(done, patches, dimension)))


def _append(stream: FileIO, picture: NDArray[np.float32], folder: Path) -> None:
    """Write the features of a picture; not through a map, where a disk that is full kills the process."""
    try:
        rest = np.ascontiguousarray(picture, dtype=np.float32).data.cast("B")
        while rest:  # the last write before a disk is full may take a part
            rest = rest[stream.write(rest) :]
    except OSError as error:
        raise UsageError(
            f"patch features cannot be written ({error.strerror})", where=str(folder), remedy=_REMEDY
        ) from error


def _require_space(folder: Path, needed: int) -> None:
    """Look before the work rather than fail after it.

    Raises:
        UsageError: the disk is too small.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UsageError(
            f"{needed / 1e9:.1f} GB of patch features do not fit on this disk, {free / 1e9:.1f} GB are free",
            where=str(folder),
            remedy=_REMEDY,
        )
