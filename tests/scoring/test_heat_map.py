"""The heat map as it travels: any library opens it, and it says which distances it shows."""

from __future__ import annotations

import zlib

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edge_config.wire.messages import Part
from runtime.scoring import heat_map

AREA = (3, 4, 320, 240)
STEP = 1 / 65535
"""Of the range of the distances: half of it is lost at most; the rest is float32."""

ROUNDING = 1e-6
DISTANCES = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.floats(0, 2**20, width=32)
)


def plain(data: bytes) -> np.ndarray:
    """Read a grey PNG of 16 bits, by the book: the filters of its rows undone with integers, no picture library."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4])
        kind = data[at + 4 : at + 8]
        chunks[kind] = chunks.get(kind, b"") + data[at + 8 : at + 8 + length]
        at += length + 12
    width, height = (int.from_bytes(chunks[b"IHDR"][i : i + 4]) for i in (0, 4))
    assert tuple(chunks[b"IHDR"][8:]) == (16, 0, 0, 0, 0)
    raw, size = zlib.decompress(chunks[b"IDAT"]), 2 * width
    rows, above = [], [0] * size
    for start in range(0, len(raw), size + 1):
        row: list[int] = []
        for place, byte in enumerate(raw[start + 1 : start + 1 + size]):
            left, up, corner = (
                (row[place - 2] if place > 1 else 0),
                above[place],
                (above[place - 2] if place > 1 else 0),
            )
            paeth = min((left, up, corner), key=lambda one: abs(left + up - corner - one))
            row.append((byte + (0, left, up, (left + up) // 2, paeth)[raw[start]]) % 256)
        rows.append(row)
        above = row
    return np.array(rows, np.uint8).view(">u2").reshape(height, width)


@given(distances=DISTANCES)
def test_map_comes_back_as_it_was(distances: np.ndarray) -> None:
    """Whatever the distances, each is there again to half a step of 65,535, with the least and the largest."""
    part, data = heat_map.encode(distances, AREA)
    part = msgspec.json.decode(msgspec.json.encode(part), type=Part)
    found = heat_map.decode(part, data)
    assert (found.dtype, found.shape) == (np.float32, distances.shape)
    assert (part.min, part.max, part.area) == (distances.min(), distances.max(), AREA)
    most = np.ptp(distances.astype(float)) * STEP / 2 + distances.max() * ROUNDING
    assert np.abs(found.astype(float) - distances).max() <= most


def test_map_is_a_png_as_every_browser_reads_it() -> None:
    """Read by the rules of the format alone, its pixels go from 0 at the least distance to 65,535 at the largest."""
    distances = np.random.default_rng(0).random((12, 9), dtype=np.float32) * 40 + 5
    part, data = heat_map.encode(distances, AREA)
    levels = plain(data)
    assert (part.media_type, part.dtype, part.shape) == ("image/png", "uint16", (12, 9))
    assert (levels.min(), levels.max()) == (0, 65535)
    assert np.abs(part.min + levels * STEP * (part.max - part.min) - distances).max() < 40 * STEP


def test_map_is_small() -> None:
    """A map of 40 x 40 patches takes no more than its pixels and a header, where it took 409,600 bytes."""
    distances = np.random.default_rng(0).random((40, 40), dtype=np.float32)
    assert len(heat_map.encode(distances, AREA)[1]) < 2 * 40 * 40 + 200


GOOD, BYTES = heat_map.encode(np.eye(3, dtype=np.float32), AREA)


@pytest.mark.parametrize(
    ("changes", "data"),
    [
        ({}, b""),
        ({}, b"no picture"),
        ({}, BYTES[:60]),
        ({"shape": (3, 4)}, BYTES),
        ({"min": None}, BYTES),
        ({"max": None}, BYTES),
        ({"media_type": "application/octet-stream"}, BYTES),
    ],
)
def test_what_is_no_heat_map_is_refused(changes: dict[str, object], data: bytes) -> None:
    """Bytes that are not what the part says are a ValueError, and so are those of a part of another type."""
    with pytest.raises(ValueError, match=r"heat map|picture"):
        heat_map.decode(msgspec.structs.replace(GOOD, **changes), data)
