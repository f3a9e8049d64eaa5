"""Clips that are read from a device in parts."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from edge_config.errors import RequestError, UnavailableError
from edge_config.wire.fetch import ClipPart
from runtime.page.media.fetch_clip import MAX_CLIP_BYTES, NextPart, fetch_clip

CLIP = bytes(range(256)) * 10
PART = 1000


def device(clips: list[bytes], *, size: int | None = None) -> NextPart:
    """Return what answers like a device; with each part the next of the clips is the one on its disk."""
    turn = iter([*clips, *[clips[-1]] * 100])

    async def ask(offset: int) -> tuple[ClipPart, tuple[bytes, ...]]:
        clip = next(turn)
        if not clip:
            raise RequestError("there is no clip `a.avi`: it is too old, or was not recorded")
        sha256 = hashlib.sha256(clip).hexdigest()
        part = ClipPart(camera="top", clip="a.avi", offset=offset, size=size or len(clip), sha256=sha256)
        return part, (clip[offset : offset + PART],)

    return ask


def test_parts_become_the_clip(tmp_path: Path) -> None:
    """The parts are joined into the very bytes of the clip."""
    asyncio.run(fetch_clip(device([CLIP]), tmp_path / "clip"))
    assert (tmp_path / "clip").read_bytes() == CLIP


@pytest.mark.parametrize(
    ("answers", "kind", "said"),
    [
        (device([CLIP, CLIP[::-1]]), UnavailableError, "changed while"),
        (device([CLIP, CLIP[:-1]]), UnavailableError, "changed while"),
        (device([CLIP], size=len(CLIP) + 1), UnavailableError, "changed while"),
        (device([CLIP], size=len(CLIP) - 1), UnavailableError, "changed while"),
        (device([CLIP], size=MAX_CLIP_BYTES + 1), UnavailableError, "can be shown"),
        (device([CLIP, b""]), RequestError, "too old"),
    ],
)
def test_clip_that_is_not_whole_is_refused(tmp_path: Path, answers: NextPart, kind: type[Exception], said: str) -> None:
    """A clip that changes or vanishes between two parts, or is too large, is an error and never half a clip."""
    with pytest.raises(kind, match=said):
        asyncio.run(fetch_clip(answers, tmp_path / "clip"))
