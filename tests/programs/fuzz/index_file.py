"""Reader: the checks of an index; what they let pass is given to hnswlib, which must survive it."""

from __future__ import annotations

import contextlib
import random
import struct

from edge_config.bundle import files as bundles
from edge_config.bundle.hnsw import header, links
from edge_config.errors import PatchedgeError
from runtime.search.full import GraphSearch
from tests.programs.fuzz import small

FOUND: tuple[bytes, ...] = ()

_ODD = (0, 1, 2, 23, 24, 25, 2**16 - 1, 2**16, 2**31, 2**32 - 1)


def seeds() -> list[bytes]:
    """Return a good index."""
    whole = (small.bundle() / bundles.INDEX).read_bytes()
    return [whole, whole[: header.SIZE], whole[:-4], b""]


def check(data: bytes) -> None:
    """Check an index, and search in what passed."""
    file = small.scratch() / "it.hnsw"
    file.write_bytes(data)
    with contextlib.suppress(PatchedgeError):
        header.verify(file, size=small.SIZE, dimension=small.DIMENSION, m=small.M)
        links.verify(file, size=small.SIZE, dimension=small.DIMENSION, m=small.M)
        header.is_over(file, small.bank(), m=small.M)
        GraphSearch.load(file, dimension=small.DIMENSION, ef=20, threads=1)(small.bank())


def mutate(data: bytes, seed: int) -> bytes:
    """Put odd numbers where the file has numbers."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    changed = bytearray(data)
    if len(changed) < struct.calcsize("<I"):
        return data
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(0, len(changed) - 3, 4)
        struct.pack_into("<I", changed, at, chance.choice((*_ODD, chance.getrandbits(5))))
    return bytes(changed)
