"""Detect frozen cameras: pictures that repeat, even while their timestamps advance."""

from __future__ import annotations

import zlib
from collections import deque

import numpy as np
from numpy.typing import NDArray

from runtime.frame import Image
from runtime.scene.thumbnail import Thumbnail

FROZEN_S = 5.0
"""Nothing new for so long is frozen: more than the usual two seconds between the key frames of a compressed stream,
which may repeat a still scene exactly in between."""
FROZEN_FRAMES = 5
"""And so many pictures without anything new: at one picture in some seconds, time alone says nothing."""

OVERLAY_S = 30.0
"""Nothing new for so long outside of a small region is frozen under a running clock."""
OVERLAY_SHARE = 0.05
"""Largest share of the textured tiles that such a region may have."""

BUFFERS = 8
"""Pictures that a stuck ring of buffers may show in turn."""

_ROWS, _COLUMNS = 32, 16  # tiles; of each, one row of pixels is compared


class Frozen:
    """Tells for each frame whether its camera is frozen.

    Real sensors have noise: two pictures of the same scene are never the same in every pixel. Compared are some 32
    rows of the frame, byte by byte, and the thumbnail, to which the other rows contribute.
    """

    def __init__(self) -> None:
        self._seen: deque[int] = deque(maxlen=BUFFERS)
        self._repeats = 0
        self._new_ns = 0
        self._tiles: NDArray[np.uint8] | None = None
        self._changed_ns = np.zeros((0, _COLUMNS), np.int64)
        self._quiet = 0

    def __call__(self, image: Image, thumbnail: Thumbnail, t_mono_ns: int) -> str | None:
        """Take a frame; give the reason why it is frozen, or None.

        Args:
            image: uint8 [H, W, 3] BGR.
            thumbnail: of it.
            t_mono_ns: the frame's clock, see `Frame.clock_ns`, nanoseconds.
        """
        tiles = _tiles(image)
        digest = zlib.crc32(thumbnail.data, zlib.crc32(tiles.data))
        if digest not in self._seen:
            self._seen.append(digest)
            self._repeats, self._new_ns = 0, t_mono_ns
        else:
            self._repeats += 1
        still_s = (t_mono_ns - self._new_ns) / 1e9
        if self._repeats >= FROZEN_FRAMES - 1 and still_s >= FROZEN_S:
            return f"no new picture for {still_s:.0f} s"
        return "nothing new but in a small region" if self._only_overlay_moves(tiles, t_mono_ns) else None

    def _only_overlay_moves(self, tiles: NDArray[np.uint8], t_mono_ns: int) -> bool:
        before, self._tiles = self._tiles, tiles
        if before is None or before.shape != tiles.shape:
            self._changed_ns = np.full(tiles.shape[:2], t_mono_ns, np.int64)
            self._quiet = 0
            return False
        changed = (tiles != before).any(axis=2)
        self._changed_ns[changed] = t_mono_ns
        most = OVERLAY_SHARE * changed.size
        self._quiet = self._quiet + 1 if np.count_nonzero(changed) <= most else 0
        moving = np.count_nonzero(t_mono_ns - self._changed_ns < OVERLAY_S * 1e9)
        if moving > most or self._quiet < FROZEN_FRAMES - 1:
            return False
        # A tile without texture, such as a black sky, is the same again even in a picture that is not.
        textured = np.count_nonzero(tiles.max(axis=2) != tiles.min(axis=2))
        return bool(moving <= OVERLAY_SHARE * textured)


def _tiles(image: Image) -> NDArray[np.uint8]:
    """Take rows of a frame, uint8 [rows, columns of tiles, bytes]; what the columns do not divide is left out."""
    rows = image[:: max(1, image.shape[0] // _ROWS)]
    rows = rows.reshape(len(rows), -1)
    columns = min(_COLUMNS, rows.shape[1])  # a frame may be narrower than so many bytes
    length = rows.shape[1] // columns
    return np.ascontiguousarray(rows[:, : length * columns]).reshape(len(rows), columns, length)
