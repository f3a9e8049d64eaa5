"""Detect frozen cameras: pictures that repeat, even while their timestamps advance."""

from __future__ import annotations

import zlib
from collections import deque

import numpy as np
from numpy.typing import NDArray

from runtime.frame import Image
from runtime.scene.thumbnail import Thumbnail

FROZEN_S = 5.0
"""Time without a new picture after which a camera is frozen: more than the usual two seconds between the key frames of
a compressed stream, which may repeat a still scene exactly in between."""
FROZEN_FRAMES = 5
"""Minimum number of repeated pictures, for cameras with few pictures a minute."""

OVERLAY_S = 30.0
"""Time without anything new outside of a small region after which a picture is frozen under a running clock."""
OVERLAY_SHARE = 0.05
"""Maximum size of such a region, as a share of the textured tiles."""

BUFFERS = 8
"""Maximum number of pictures that a stuck ring of buffers may show in turn."""

_ROWS, _COLUMNS = 32, 16  # tiles; of each, one row of pixels is compared


class Frozen:
    """Detects for each frame whether its camera is frozen.

    Real sensors have noise: two pictures of the same scene always differ in some pixels. Some 32 rows of the frame are
    compared byte by byte, and the thumbnail, to which the other rows contribute.
    """

    def __init__(self) -> None:
        self._seen: deque[int] = deque(maxlen=BUFFERS)
        self._repeats = 0
        self._new_ns = 0
        self._tiles: NDArray[np.uint8] | None = None
        self._changed_ns = np.zeros((0, _COLUMNS), np.int64)
        self._quiet = 0

    def __call__(self, image: Image, thumbnail: Thumbnail, t_mono_ns: int) -> str | None:
        """Return the reason why a frame is frozen, or None.

        Args:
            image: uint8 [H, W, 3] BGR.
            thumbnail: its thumbnail.
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
        # A tile without texture, such as a black sky, may repeat even in a picture that does not.
        textured = np.count_nonzero(tiles.max(axis=2) != tiles.min(axis=2))
        return bool(moving <= OVERLAY_SHARE * textured)


def _tiles(image: Image) -> NDArray[np.uint8]:
    """Return rows of a frame as tiles, uint8 [rows, columns of tiles, bytes], without the remainder of the columns."""
    rows = image[:: max(1, image.shape[0] // _ROWS)]
    rows = rows.reshape(len(rows), -1)
    columns = min(_COLUMNS, rows.shape[1])  # a frame may have fewer bytes in a row
    length = rows.shape[1] // columns
    # A copy, also where every row of a small frame is taken: the next frame may come in the same memory.
    return rows[:, : length * columns].copy().reshape(len(rows), columns, length)
