"""Uploaded pictures: what is decoded, and what cannot end the page."""

from __future__ import annotations

import asyncio
import os
import struct
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from runtime.page.refused import Refused
from runtime.page.uploads import decode, decoder
from runtime.page.uploads.decode import DecodedPicture, PictureDecoder

MOST = 36_000_000
PICTURE = np.random.default_rng(1).integers(0, 255, (40, 60, 3), dtype=np.uint8)


def decoded(data: bytes, most_bytes: int = MOST) -> DecodedPicture:
    return asyncio.run(PictureDecoder().decode(data, most_bytes))


def encoded(ending: str) -> bytes:
    good, data = cv2.imencode(ending, PICTURE)
    assert good
    return data.tobytes()


def png(width: int, height: int) -> bytes:
    """Return a PNG that says it has this size, with few bytes of black: a bomb if it is large."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".png", ".bmp", ".tiff", ".webp", ".jpg"])
def test_pictures_of_all_kinds_are_decoded(ending: str) -> None:
    """The pixels are those that OpenCV reads here."""
    data = encoded(ending)
    found = decoded(data)
    wanted = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert (found.height, found.width, found.original_hw) == (40, 60, (40, 60))
    assert found.pixels == wanted.tobytes()


@pytest.mark.slow
def test_a_picture_that_is_too_large_for_the_device_is_made_smaller() -> None:
    """It keeps its shape, fits, and its own size is said."""
    found = decoded(png(3000, 1500), 1_000_000)
    assert found.original_hw == (1500, 3000)
    assert 900_000 < len(found.pixels) <= 1_000_000
    assert found.width / found.height == pytest.approx(2, rel=0.01)  # whole pixels


@pytest.mark.slow
def test_a_decompression_bomb_is_refused() -> None:
    """10 kB that say they are 900 megapixels cost one clear refusal."""
    bomb = png(60_000, 15_000)
    assert len(bomb) < 200_000
    with pytest.raises(Refused, match="at most 50 megapixels") as error:
        decoded(bomb)
    assert error.value.status == 413


@pytest.mark.parametrize(
    "data", [b"", b"GIF89a", b"#?RADIANCE\n", b"v/1\x01", b"P6 1 1 255\n...", b"<svg/>", b"RIFF0000WAVE"]
)
def test_other_kinds_reach_no_decoder(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not begin like an allowed picture is refused before a child is started."""
    monkeypatch.setattr(asyncio, "create_subprocess_exec", None)
    with pytest.raises(Refused, match="not a picture") as error:
        decoded(data)
    assert error.value.status == 415


@pytest.mark.slow
@pytest.mark.parametrize("data", [encoded(".png")[:2000], b"\xff\xd8\xff" + bytes(1000), b"BM" + b"\xff" * 100])
def test_damaged_pictures_are_refused(data: bytes) -> None:
    """A truncated or invented file is one clear refusal."""
    with pytest.raises(Refused, match="not a picture, or it is damaged") as error:
        decoded(data)
    assert error.value.status == 415


def fake_child(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(decode, "module", lambda _name: (sys.executable, "-c", program))


@pytest.mark.slow
def test_a_decoder_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """After the time-out the child is gone, and the client has its answer."""
    place = tmp_path / "pid"
    program = f"import os, select; open({str(place)!r}, 'w').write(str(os.getpid())); select.select([], [], [])"
    fake_child(monkeypatch, program)
    monkeypatch.setattr(decode, "DECODE_S", 1.0)
    with pytest.raises(Refused, match="within 1 s") as error:
        decoded(encoded(".png"))
    assert error.value.status == 422
    with pytest.raises(ProcessLookupError):
        os.kill(int(place.read_text(encoding="ascii")), 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "program", ["import os; os.kill(os.getpid(), 11)", "import os; os._exit(1)", "print('BGR')", ""]
)
def test_a_decoder_that_dies_or_lies_is_one_refusal(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """A crash, a wrong exit code and an answer that is none are all refusals."""
    fake_child(monkeypatch, program)
    with pytest.raises(Refused) as error:
        decoded(encoded(".png"))
    assert error.value.status == 415


@pytest.mark.slow
def test_without_opencv_the_page_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where OpenCV is not installed the answer names the command that installs it."""
    fake_child(monkeypatch, f"import sys; sys.exit({decoder.NO_OPENCV})")
    with pytest.raises(Refused, match="pip install") as error:
        decoded(encoded(".png"))
    assert error.value.status == 503


@pytest.mark.slow
def test_the_child_can_open_neither_files_nor_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it decodes, the kernel refuses it every new file and socket: this program tries, in place of decoding."""
    root = str(Path(decoder.__file__).parents[3])
    program = f"""
import sys; sys.path.insert(0, {root!r})
from runtime.page.uploads import decoder
def tries(*_):
    import socket
    for attempt in (lambda: open('/etc/passwd'), lambda: open('/dev/shm/x', 'w'), socket.socket):
        try: attempt()
        except OSError as error: assert error.errno == 24, error
        else: return 99
    return decoder.TOO_LARGE
decoder._decode = tries
sys.exit(decoder.main())
"""
    fake_child(monkeypatch, program)
    with pytest.raises(Refused, match="at most 50 megapixels"):
        decoded(encoded(".png"))


def test_only_a_few_pictures_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond four the next client is told to come again."""

    async def never(*_: object) -> bytes:
        await asyncio.Event().wait()
        raise AssertionError

    async def all_at_once() -> None:
        pictures = PictureDecoder()
        waiting = [asyncio.create_task(pictures.decode(encoded(".png"), MOST)) for _ in range(decode.MAX_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(Refused, match="try again") as error:
            await pictures.decode(encoded(".png"), MOST)
        assert error.value.status == 503
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    monkeypatch.setattr(decode, "_in_a_child", never)
    asyncio.run(all_at_once())
