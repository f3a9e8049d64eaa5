"""Reader: `pack.unpack`; what it takes, `pack.pack` gives back byte for byte."""

from __future__ import annotations

import contextlib
import random
import shutil

from edge_config.bundle import pack
from edge_config.errors import PatchedgeError
from tests.programs.fuzz import small

FOUND: tuple[bytes, ...] = ()

_BLOCK = 512
_SUM = slice(148, 156)


def seeds() -> list[bytes]:
    """Return a packed bundle and pieces of it."""
    file = small.scratch() / "seed.pack"
    pack.pack(pack.bundles.read(small.bundle()), file, force=True)
    whole = file.read_bytes()
    return [whole, whole[:_BLOCK], whole[:-_BLOCK], whole + whole, b"", bytes(2 * _BLOCK)]


def check(data: bytes) -> None:
    """Unpack a file; where that succeeds the file is the only one that this bundle makes."""
    file, target, again = (small.scratch() / name for name in ("it.pack", "it.bundle", "again.pack"))
    file.write_bytes(data)
    shutil.rmtree(target, ignore_errors=True)
    with contextlib.suppress(PatchedgeError):
        pack.pack(pack.unpack(file, target), again, force=True)
        assert again.read_bytes() == data
    assert not list(small.scratch().glob(".*")), "something is left behind"


def mutate(data: bytes, seed: int) -> bytes:
    """Change a header and make its sum right, or move, double or drop blocks."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    blocks = [bytearray(data[at : at + _BLOCK]) for at in range(0, len(data), _BLOCK)]
    if not blocks:
        return data
    at = chance.choice([number for number, block in enumerate(blocks) if b"ustar" in block] or [0])
    match chance.randrange(4):
        case 0:
            blocks.insert(chance.randrange(len(blocks) + 1), blocks[chance.randrange(len(blocks))])
        case 1:
            del blocks[chance.randrange(len(blocks))]
        case _ if len(blocks[at]) == _BLOCK:
            block, place = blocks[at], chance.randrange(_BLOCK)
            some = chance.choice([b"\0", b"/", b"..", b"5", b"\x80", b"77777777777\0", chance.randbytes(4)])
            block[place : place + len(some)] = some
            del block[_BLOCK:]
            block[_SUM] = b" " * 8
            block[_SUM] = b"%06o\0 " % sum(block)
    return b"".join(blocks)
