"""Forge bundles: changes by an attacker that knows the format."""

from __future__ import annotations

import hashlib
import json
import struct
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from nacl.signing import SigningKey
from safetensors.numpy import load_file

from edge_config.bundle import arrays
from edge_config.bundle import files as bundles
from edge_config.bundle import manifest as manifests
from edge_config.bundle import signature as signatures


def public(key: SigningKey) -> str:
    return signatures.key_text(bytes(key.verify_key))


def sign(bundle: Path, key: SigningKey, *, name: SigningKey | None = None) -> None:
    """Sign whatever the manifest is; `name` is the key that the signature claims."""
    text = (bundle / bundles.MANIFEST).read_bytes()
    value = key.sign(signatures.signed_bytes(text)).signature
    (bundle / bundles.SIGNATURE).write_bytes(signatures.encode(signatures.Signature(public(name or key), value)))


def reseal(bundle: Path, **changed: object) -> None:
    """Write the manifest for the files that are there now, its hashes right."""
    manifest = manifests.decode((bundle / bundles.MANIFEST).read_bytes(), "test")
    changed = {"files": bundles.file_table(bundle), **changed}
    (bundle / bundles.MANIFEST).write_bytes(manifests.encode(msgspec.structs.replace(manifest, **changed)))


def edit_manifest(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest and make its own hash right again."""
    tree = json.loads((bundle / bundles.MANIFEST).read_text())
    change(tree)
    text = json.dumps({**tree, "manifest_sha256": "0" * 64})
    own = hashlib.sha256(text.encode()).hexdigest()
    (bundle / bundles.MANIFEST).write_text(text.replace("0" * 64, own, 1))


def flip(path: Path, at: int = -1) -> None:
    """Change a bit of the byte at a place."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def members(bundle: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    """Return what a packed bundle holds, in its order."""
    names = [bundles.MANIFEST, bundles.SIGNATURE, *bundles.PARTS, bundles.NETWORK]
    return [member(name, (bundle / name).read_bytes()) for name in names if (bundle / name).exists()]


def member(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def write_tar(path: Path, entries: Iterable[tuple[tarfile.TarInfo, bytes]], end: bytes = bytes(1024)) -> Path:
    """Write an archive of any entries at all."""
    with path.open("wb") as stream:
        for info, content in entries:
            stream.write(_header(info))
            stream.write(content + bytes(-len(content) % 512))
        stream.write(end)
    return path


def _header(info: tarfile.TarInfo) -> bytes:
    """Write a header with numbers of a device too, as tar does; whether Python writes them depends on its version."""
    header = bytearray(info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "surrogateescape"))
    header[329:345] = b"0000000\0" * 2
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def edit_arrays(path: Path, change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]) -> None:
    """Change the arrays of a file of a bundle."""
    arrays.write(path, **change(load_file(path)))


def edit_golden(bundle: Path, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Change one of the arrays of the golden frames."""
    edit_arrays(bundle / bundles.GOLDEN, lambda found: {**found, name: change(found[name])})


def safetensors_of(header: bytes, data: bytes = b"", *, length: int | None = None) -> bytes:
    """Write a safetensors file whose header is what it is, and claimed to be so long."""
    return struct.pack("<Q", len(header) if length is None else length) + header + data
