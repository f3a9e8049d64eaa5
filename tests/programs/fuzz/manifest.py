"""Reader: `manifest.decode`, with the manifest's own hash made right where it can be."""

from __future__ import annotations

import contextlib
import hashlib
import json

from edge_config.bundle import files as bundles
from edge_config.bundle import manifest
from edge_config.errors import PatchedgeError
from tests.programs.fuzz import small
from tests.programs.fuzz.mutate import mutate_json

FOUND: tuple[bytes, ...] = ()


def seeds() -> list[bytes]:
    """Return a good manifest, and such as tests know."""
    return [(small.bundle() / bundles.MANIFEST).read_bytes(), b"{}", b"[" * 2000, b'{"format_version": 5}', b"\xff"]


def check(data: bytes) -> None:
    """Read a manifest as it is, and with its hash made right; what was read can be written and read again."""
    for text in (data, resealed(data)):
        with contextlib.suppress(PatchedgeError):
            found = manifest.decode(text, "fuzz")
            assert manifest.decode(manifest.encode(found), "fuzz") == manifest.decode(manifest.encode(found), "fuzz")


def mutate(data: bytes, seed: int) -> bytes:
    """Change the JSON."""
    return mutate_json(data, seed)


def resealed(data: bytes) -> bytes:
    """Make the hash of a manifest right, if it is an object at all."""
    try:
        tree = json.loads(data)
        text = json.dumps({**tree, "manifest_sha256": "0" * 64}).encode()
    except (ValueError, TypeError, RecursionError):
        return data
    return text.replace(b"0" * 64, hashlib.sha256(text).hexdigest().encode(), 1)
