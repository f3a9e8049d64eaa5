"""The files of a bundle: names and formats; checksums are verified before anything is parsed.

A bundle is a directory NAME.bundle with these files and no others:

    manifest.json           see manifest.py; holds size and sha256 of each of the others
    model.onnx              uint8 frames, or tiles of one, [N, H, W, 3] BGR -> patch features [N*h*w, D] float32
    bank.safetensors        `bank` float32 [k, D], in greedy order
    neighbours.safetensors  `neighbours` int32 [k, b]: for each bank entry the b nearest, itself first
    measure.safetensors     what distances are measured in: `scale` float32 [D], which the features of model.onnx are
                            multiplied by, `spacing` float32 [k] and `mean` float32 [1], whose sum divides distances
    index.hnsw              hnswlib, space l2, over the bank
    golden.safetensors      a few camera frames (`frame_0`, ...: uint8 [H, W, 3] BGR), their `scores` float64 [n], their
                            patch `distances` float32 [n, h*w], the patch and the entry that `decided` int64 [n, 2], and
                            `scene_reference` uint8 [h, w], the thumbnail that detects a moved camera

and optionally

    manifest.sig            see signature.py
    network.onnx            model.onnx without its aggregation, whose weights it reads from there: for `patchedge bench`
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from edge_config.bundle import manifest, signature
from edge_config.bundle.hnsw import header, links
from edge_config.bundle.manifest import FileEntry, Manifest
from edge_config.errors import (
    BundleFileHash,
    BundleFileMissing,
    BundleFileSize,
    BundleFileUnexpected,
    BundleManifestInvalid,
    BundleMissing,
    BundleShapeMismatch,
    BundleSignatureInvalid,
)

MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
MODEL, NETWORK, INDEX = "model.onnx", "network.onnx", "index.hnsw"
BANK, NEIGHBOURS, MEASURE = "bank.safetensors", "neighbours.safetensors", "measure.safetensors"
GOLDEN = "golden.safetensors"
PARTS = (MODEL, BANK, NEIGHBOURS, MEASURE, INDEX, GOLDEN)
NAMES = frozenset({MANIFEST, SIGNATURE, *PARTS, NETWORK})
"""All files that a bundle may contain."""

MAX_MANIFEST_BYTES, MAX_GOLDEN_BYTES = 1 << 20, 64 << 20
_HASH_CHUNK_BYTES = 1 << 20

SignatureCheck = Callable[[bytes, bytes | None, str], None]
"""Receives the bytes of manifest.json and manifest.sig (None without one) before they are parsed, and the path of the
latter; raises a BundleError if the bundle must not be served."""

_MAKE = "make one with `patchedge learn`"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose files match the hashes in its manifest.

    Attributes:
        path: its directory.
        manifest: its manifest.
        id: sha256 of manifest.json in hex; it names the bundle in every message.
    """

    path: Path
    manifest: Manifest
    id: str

    def file(self, name: str) -> Path:
        """Return the path of one of its files."""
        return self.path / name


def read(path: str | Path, judge: SignatureCheck | None = None, *, index: bool = True) -> Bundle:
    """Open a bundle and verify every file of it.

    Args:
        path: its directory.
        judge: checks the signature, before anything else is read.
        index: False skips index.hnsw, for callers that do not use it.

    Raises:
        BundleError: a subclass for each kind of fault; nothing but the manifest was parsed.
    """
    folder = Path(path)
    if not os.path.isdir(folder):  # unlike Path.is_dir, False for names that no disk can hold
        raise _nothing_at(folder)
    if not any(os.path.lexists(folder / name) for name in (MANIFEST, *PARTS)):
        raise BundleMissing("a folder, but not a bundle", where=str(path), remedy=_MAKE)
    text = read_manifest(folder)
    if judge:
        judge(text, read_signature(folder), str(folder / SIGNATURE))
    found = manifest.decode(text, where=str(folder / MANIFEST))
    verify_table(found, str(folder / MANIFEST))
    verify_files(folder, found.files, {MANIFEST, SIGNATURE}, unread=() if index else (INDEX,))
    if index:
        _verify_index(folder / INDEX, found)
    return Bundle(path=folder, manifest=found, id=hashlib.sha256(text).hexdigest())


def _nothing_at(path: Path) -> BundleMissing:
    """Return the error about a path that is no folder, by what was probably meant."""
    if not os.path.isfile(path):
        return BundleMissing("no bundle here", where=str(path), remedy=f"correct the path, or {_MAKE}")
    if path.name == MANIFEST:
        return BundleMissing("a file of a bundle", where=str(path), remedy="name the folder that it is in")
    remedy = "a bundle is a folder: `patchedge bundle unpack` makes it from a packed one"
    return BundleMissing("a file, not a bundle", where=str(path), remedy=remedy)


def read_manifest(folder: Path, name: str = MANIFEST) -> bytes:
    """Return the bytes of manifest.json, or of a file in its place.

    Raises:
        BundleError: there is none, or it is larger than any manifest.
    """
    path = folder / name
    text = _read_small(path, MAX_MANIFEST_BYTES)
    if text is None:
        raise BundleFileMissing("file is missing", where=str(path), remedy="copy the bundle again")
    if len(text) > MAX_MANIFEST_BYTES:
        raise BundleManifestInvalid(f"larger than {MAX_MANIFEST_BYTES} bytes", where=str(path))
    return text


def read_signature(folder: Path, name: str = SIGNATURE) -> bytes | None:
    """Return the bytes of manifest.sig, or of a file in its place; None if there is none.

    Raises:
        BundleError: it is larger than any signature, or no plain file.
    """
    path = folder / name
    if not os.path.lexists(path):
        return None
    text = _read_small(path, signature.MAX_BYTES)
    if text is None:
        raise BundleFileUnexpected("does not belong to the bundle", where=str(path), remedy="remove it")
    if len(text) > signature.MAX_BYTES:
        raise BundleSignatureInvalid(f"larger than {signature.MAX_BYTES} bytes", where=str(path))
    return text


def verify_table(found: Manifest, where: str) -> None:
    """Check that a manifest lists the files of the format and no others.

    Raises:
        BundleManifestInvalid: it does not.
    """
    if set(found.files) - {NETWORK} != set(PARTS):
        raise BundleManifestInvalid(
            f"lists {', '.join(sorted(found.files))} instead of {', '.join(sorted(PARTS))}", where=where
        )
    if found.files[GOLDEN].size > MAX_GOLDEN_BYTES:
        raise BundleShapeMismatch(f"golden frames of more than {MAX_GOLDEN_BYTES} bytes", where=where)


def file_table(folder: Path) -> dict[str, FileEntry]:
    """Measure the files of a bundle that is being written."""
    paths = [folder / name for name in (*PARTS, NETWORK)]
    return {path.name: FileEntry(size=path.stat().st_size, sha256=file_sha256(path)) for path in paths if path.exists()}


def names_of(found: Manifest) -> list[str]:
    """Return the names of the files that a manifest lists, in the order of the format."""
    return [name for name in (*PARTS, NETWORK) if name in found.files]


def file_sha256(path: Path) -> str:
    """Hash a file without holding it in memory."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_HASH_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _read_small(path: Path, most: int) -> bytes | None:
    """Read at most `most` bytes of a plain file, and one more; None if there is none, or a link in its place."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (FileNotFoundError, IsADirectoryError):
        return None
    except OSError as error:
        if path.is_symlink():
            return None
        raise BundleFileMissing(f"cannot be read ({error.strerror})", where=str(path)) from error
    with open(descriptor, "rb") as stream:  # noqa: PTH123 - of a descriptor
        return stream.read(most + 1) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None


def verify_files(
    folder: Path, files: Mapping[str, FileEntry], beside: AbstractSet[str], unread: Collection[str] = ()
) -> None:
    """Check that a folder contains these files with their hashes, and no others.

    Args:
        folder: the folder.
        files: its files, by name.
        beside: names of files that may be beside them.
        unread: names of files that are not hashed.

    Raises:
        BundleError: a subclass for each kind of fault.
    """
    _verify_names(folder, files, beside)
    for name, entry in files.items():
        if name not in unread:
            _verify_file(folder / name, entry)


def _verify_names(folder: Path, names: Iterable[str], beside: AbstractSet[str]) -> None:
    present = set()
    with os.scandir(folder) as entries:
        for entry in entries:  # the first unexpected one ends it: there may be any number
            if entry.name not in beside | set(names) or not entry.is_file(follow_symlinks=False):
                raise BundleFileUnexpected("does not belong to the bundle", where=entry.path, remedy="remove it")
            present.add(entry.name)
    for name in names:
        if name not in present:
            raise BundleFileMissing("file is missing", where=str(folder / name), remedy="copy the bundle again")


def _verify_index(path: Path, found: Manifest) -> None:
    """Check the index as far as possible without the bank."""
    size, dimension, m = found.coreset.size, found.features.dimension, found.index.M
    header.verify(path, size=size, dimension=dimension, m=m)
    links.verify(path, size=size, dimension=dimension, m=m)


def _verify_file(path: Path, entry: FileEntry) -> None:
    size = path.stat().st_size
    if size != entry.size:
        raise BundleFileSize(f"{size} bytes instead of {entry.size}", where=str(path), remedy="copy the bundle again")
    if file_sha256(path) != entry.sha256:
        raise BundleFileHash("its content has changed", where=str(path), remedy="copy the bundle again")
