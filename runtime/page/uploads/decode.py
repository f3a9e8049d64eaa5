"""Decode an uploaded picture in a child process that may die, hang or run out of memory; the page goes on."""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import dataclass

from runtime.client.within import within
from runtime.page.refused import Refused
from runtime.page.uploads import decoder
from runtime.process.child import module

DECODE_S = 20.0
"""Time-out for a picture; most of it is for a device that is busy with its main work."""

MAX_WAITING = 4
"""Maximum number of pictures that wait for their turn; one is decoded at a time."""

_KINDS = "JPEG, PNG, WebP, BMP or TIFF"
_REFUSALS = {
    decoder.NOT_A_PICTURE: (415, f"this is not a picture, or it is damaged; send a whole {_KINDS}"),
    decoder.TOO_LARGE: (413, f"this picture is too large; at most {decoder.MAX_PIXELS // 1_000_000} megapixels"),
    decoder.NO_OPENCV: (503, "this page cannot decode pictures; install OpenCV: pip install 'patchedge[cpu]'"),
    decoder.NO_MEMORY: (413, "this picture needs too much memory; send a smaller one"),
}


@dataclass(frozen=True, slots=True)
class DecodedPicture:
    """The pixels of a picture.

    Attributes:
        pixels: uint8, [height, width, 3], BGR, without gaps.
        height, width: of the pixels.
        original_hw: height and width of the picture as it was sent; it was made smaller where this differs.
    """

    pixels: bytes
    height: int
    width: int
    original_hw: tuple[int, int]


class PictureDecoder:
    """Decodes one picture at a time."""

    def __init__(self) -> None:
        """Start nothing yet: there is a child for each picture."""
        self._one = asyncio.Lock()
        self._waiting = 0

    async def decode(self, data: bytes, most_bytes: int) -> DecodedPicture:
        """Return the pixels of a picture, made smaller to fit into `most_bytes`.

        Raises:
            Refused: it is no picture, it is too large, or too many others wait.
        """
        if not decoder.is_allowed(data[:16]):
            raise Refused(*_REFUSALS[decoder.NOT_A_PICTURE])
        if self._waiting >= MAX_WAITING:
            raise Refused(503, "other pictures are being decoded; try again", headers={"Retry-After": "2"})
        self._waiting += 1
        try:
            async with self._one:
                output = await _in_a_child(data, most_bytes)
        finally:
            self._waiting -= 1
        mark, height, width, *original = decoder.HEAD.unpack_from(output.ljust(decoder.HEAD.size, b"\0"))
        pixels = output[decoder.HEAD.size :]
        if mark != decoder.GOOD or len(pixels) != height * width * 3 or len(pixels) > most_bytes:
            raise Refused(*_REFUSALS[decoder.NOT_A_PICTURE])
        return DecodedPicture(pixels, height, width, (original[0], original[1]))


async def _in_a_child(data: bytes, most_bytes: int) -> bytes:
    command = (*module(decoder.__name__), str(os.getpid()), str(most_bytes))
    pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    child = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=nowhere, env=_environment())
    try:
        output, _ = await within(DECODE_S, child.communicate(data))
    except asyncio.TimeoutError:
        raise Refused(422, f"this picture could not be decoded within {DECODE_S:.0f} s; send another") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()
    if code := child.returncode:
        raise Refused(*_REFUSALS.get(code, _REFUSALS[decoder.NOT_A_PICTURE]))
    return output


def _environment() -> dict[str, str]:
    """Return the environment of the child: nothing in it is secret."""
    kept = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV", "LANG")
    return {name: os.environ[name] for name in kept if name in os.environ}
