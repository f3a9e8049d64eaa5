"""Reader: the arrays of a bundle, whose header is JSON; what is taken is what the library itself reads."""

from __future__ import annotations

import contextlib
import struct

import numpy as np
from safetensors.numpy import load

from edge_config.bundle import arrays
from edge_config.bundle import files as bundles
from edge_config.errors import PatchedgeError
from tests.programs.fuzz import small
from tests.programs.fuzz.mutate import mutate_json

FOUND: tuple[bytes, ...] = ()

NAMES = (bundles.BANK, bundles.NEIGHBOURS, bundles.MEASURE, bundles.GOLDEN)

_LENGTH = struct.Struct("<Q")


def seeds() -> list[bytes]:
    """Return the files of arrays of a good bundle."""
    return [(small.bundle() / name).read_bytes() for name in NAMES]


def check(data: bytes) -> None:
    """Read a file; no array is larger than the file."""
    file = small.scratch() / "it.safetensors"
    file.write_bytes(data)
    with contextlib.suppress(PatchedgeError):
        found = arrays.read(file)
        assert sum(array.nbytes for array in found.values()) <= len(data)
        for name, array in load(data).items():
            np.testing.assert_array_equal(found[name], array)


def mutate(data: bytes, seed: int) -> bytes:
    """Change the header, and say how long it is."""
    if len(data) < _LENGTH.size:
        return data
    end = _LENGTH.size + min(_LENGTH.unpack_from(data)[0], len(data))
    header = mutate_json(data[_LENGTH.size : end], seed)
    return _LENGTH.pack(len(header)) + header + data[end:]
