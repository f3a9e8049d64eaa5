"""Reader: a bundle's directory, one of whose files is random, with a manifest that is right about it."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from edge_config.bundle import files as bundles
from edge_config.errors import PatchedgeError
from edge_config.settings.sections import Trust
from runtime.inference import golden_frames, load
from runtime.security.trust import read
from tests.programs.fuzz import small
from tests.support.forge import reseal

FOUND: tuple[bytes, ...] = ()

_NAMES = (*bundles.PARTS, bundles.MANIFEST, bundles.SIGNATURE, "Bank.safetensors")
_TRUST = Trust(keys=("ed25519:" + "0" * 64,), unsigned="allow")


def seeds() -> list[bytes]:
    """Return each file as it is, after the number of its name."""
    signature = b"patchedge-signature-v1 ed25519:" + b"0" * 64 + b" " + b"0" * 128 + b"\n"
    contents = [(small.bundle() / name).read_bytes() for name in (*bundles.PARTS, bundles.MANIFEST)]
    return [bytes([number]) + content for number, content in enumerate([*contents, signature, b"", b""])]


def check(data: bytes) -> None:
    """Read the bundle, and then all of it that is read without ONNX Runtime."""
    name = _NAMES[data[0] % len(_NAMES)] if data else bundles.BANK
    folder = small.scratch() / "fuzzed.bundle"
    if not folder.exists():
        shutil.copytree(small.bundle(), folder)
    (folder / name).write_bytes(data[1:])
    if name in bundles.PARTS:
        reseal(folder)
    try:
        _read(folder)
    finally:
        (folder / name).unlink()
        for changed in {name, bundles.MANIFEST} - {bundles.SIGNATURE, "Bank.safetensors"}:
            shutil.copyfile(small.bundle() / changed, folder / changed)


def _read(folder: Path) -> None:
    with contextlib.suppress(PatchedgeError):
        found = read(folder, _TRUST)
        load.scene_reference(found)
        golden_frames.read_golden(found.file(bundles.GOLDEN), small.PATCHES, small.SIZE)
        load._neighbours(found)
        load._graph(found, load._bank(found), 1)(small.bank())
