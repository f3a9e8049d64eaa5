"""Pack a bundle into one file and unpack it: equal bundles give equal bytes, and no other bytes are accepted.

The file is a tar archive (ustar, not compressed): manifest.json first, then manifest.sig if the bundle is signed, then
the others in the order of the format; every header has the same mode, time and owner; two blocks of zeros end it. `tar
tf` lists it. What is unpacked must begin each file with the very header that packing would have written, so that links,
devices, paths, extensions and whatever else tar can hold have no meaning here; and nothing is written before the
signature was judged and the manifest said how long each file is.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

from edge_config.bundle import files as bundles
from edge_config.bundle import manifest as manifests
from edge_config.bundle import signature as signatures
from edge_config.bundle.files import MANIFEST, MAX_MANIFEST_BYTES, SIGNATURE, Bundle, SignatureCheck
from edge_config.bundle.manifest import Manifest
from edge_config.bundle.staging import refuse_target, staging
from edge_config.errors import (
    BundleError,
    BundleFileHash,
    BundleFileMissing,
    BundleFileSize,
    BundleFileUnexpected,
    BundlePackDuplicate,
    BundlePackInvalid,
    BundlePackPath,
    BundlePackSpecial,
    BundlePackTooLarge,
    BundlePackTrailing,
    BundlePackTruncated,
    TargetExists,
)
from edge_config.saving import not_written, writing

MAX_TOTAL_BYTES = 8 << 30
"""Maximum size of all files of a bundle, and of the size field of a ustar header."""

_BLOCK = tarfile.BLOCKSIZE
_END = bytes(2 * _BLOCK)
_CHUNK_BYTES = 1 << 20
_MODE = 0o644
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE)
_REMEDY = "copy it again, or pack the bundle again"


def pack(bundle: Bundle, target: Path, *, force: bool = False) -> None:
    """Pack a verified bundle into one file.

    Args:
        bundle: the bundle; it is hashed again while packing.
        target: the file.
        force: replace an existing file.

    Raises:
        BundleError: the bundle was changed meanwhile.
        TargetExists: something is at `target`, and `force` is false or it is not a file.
        NotWritten: the disk does not take it; nothing is left behind.
    """
    with _written(target, force=force) as stream:
        _put(stream, MANIFEST, bundles.read_manifest(bundle.path), bundle.id)
        signature = bundles.read_signature(bundle.path)
        if signature is not None:
            _put(stream, SIGNATURE, signature)
        for name in bundles.names_of(bundle.manifest):
            entry = bundle.manifest.files[name]
            stream.write(_header(name, entry.size))
            with bundle.file(name).open("rb") as source:
                _copy(source, stream, entry, str(bundle.file(name)))
            stream.write(_padding(entry.size))
        stream.write(_END)


def unpack(source: Path, target: Path, judge: SignatureCheck | None = None, *, force: bool = False) -> Bundle:
    """Unpack a file into a bundle, which is verified before it appears at `target`.

    Args:
        source: a file made by `pack`.
        target: the directory.
        judge: checks the signature, as in `bundle.read`.
        force: replace an existing bundle.

    Raises:
        BundleError: a subclass for each thing that can be wrong with the file; nothing is left behind.
        TargetExists: something is at `target`, and `force` is false or it is not a bundle.
        UsageError: the folder of `target` cannot be written.
        NotWritten: the disk does not take it; nothing is left behind.
    """
    refuse_target(target, force=force)
    with _opened(source) as stream, staging(target, force=force) as folder:
        _Unpacking(stream, source, folder).run(judge)
        found = bundles.read(folder, judge)
    return replace(found, path=target)


class _Unpacking:
    """One file that is unpacked into a folder of its own."""

    def __init__(self, stream: IO[bytes], source: Path, folder: Path) -> None:
        self._stream = stream
        self._where = str(source)
        self._folder = folder
        self._seen: list[str] = []

    def run(self, judge: SignatureCheck | None) -> None:
        text = self._small(MANIFEST, MAX_MANIFEST_BYTES)
        header = self._block()
        signature = None
        if _name(header) == SIGNATURE:
            signature = self._small(SIGNATURE, signatures.MAX_BYTES, header)
            header = self._block()
        if judge:
            judge(text, signature, f"{self._where}: {SIGNATURE}")
        found = manifests.decode(text, where=f"{self._where}: {MANIFEST}")
        bundles.verify_table(found, f"{self._where}: {MANIFEST}")
        self._check_sizes(found)
        for name in bundles.names_of(found):
            entry = found.files[name]
            self._expect(header, name, entry.size)
            with self._new(name) as written:
                _copy(self._stream, written, entry, f"{self._where}: {name}")
            self._pass_padding(entry.size)
            self._seen.append(name)
            header = self._block()
        self._check_end(header)

    def _small(self, name: str, most: int, header: bytes = b"") -> bytes:
        """Unpack a small file into memory; its header has its size."""
        header = header or self._block()
        size = _size(header)
        self._expect(header, name, size)
        if size > most:
            raise BundlePackTooLarge(f"{name} is larger than {most} bytes", where=self._where)
        content = self._stream.read(size)
        if len(content) < size:
            raise self._truncated()
        self._pass_padding(size)
        with self._new(name) as written:
            written.write(content)
        self._seen.append(name)
        return content

    def _expect(self, header: bytes, name: str, size: int) -> None:
        """Check that a header is the one that packing would have written; raise the fault of any other."""
        if 0 <= size <= MAX_TOTAL_BYTES and header == _header(name, size):
            return
        if header == bytes(_BLOCK):
            raise BundleFileMissing("file is missing", where=f"{self._where}: {name}", remedy=_REMEDY)
        if (found := _parse(header)) is None:
            raise BundlePackInvalid("not a packed bundle", where=self._where, remedy=_REMEDY)
        said = repr(found.name[:100])
        problems: list[tuple[bool, type[BundleError], str]] = [
            (_leads_out(found.name), BundlePackPath, f"{said} leads out of the bundle"),
            (found.type not in _PLAIN, BundlePackSpecial, f"{said} is not a plain file"),
            (found.name in self._seen, BundlePackDuplicate, f"{said} occurs twice"),
            (found.name not in bundles.NAMES, BundleFileUnexpected, f"{said} does not belong to the bundle"),
            (found.name != name, BundlePackInvalid, f"{said} where {name or 'the end'} belongs"),
            (found.size > MAX_TOTAL_BYTES, BundlePackTooLarge, f"{said} is larger than any bundle"),
            (found.size != size, BundleFileSize, f"{said} has {found.size} bytes instead of {size}"),
            (True, BundlePackInvalid, f"the header of {said} is not one of a packed bundle"),
        ]
        kind, what = next((kind, what) for wrong, kind, what in problems if wrong)
        raise kind(what, where=self._where, remedy=_REMEDY)

    def _check_sizes(self, found: Manifest) -> None:
        total = sum(entry.size for entry in found.files.values())
        if total > MAX_TOTAL_BYTES:
            raise BundlePackTooLarge(f"holds {total} bytes, more than any bundle", where=self._where)

    def _check_end(self, header: bytes) -> None:
        rest = self._stream.read(len(_END))
        if header + rest != _END:
            if header == bytes(_BLOCK) and len(rest) < _BLOCK:
                raise self._truncated()
            if _parse(header) is not None:
                self._expect(header, "", 0)
            raise BundlePackTrailing("does not end where the bundle does", where=self._where, remedy=_REMEDY)

    def _new(self, name: str) -> IO[bytes]:
        return (self._folder / name).open("xb")

    def _block(self) -> bytes:
        block = self._stream.read(_BLOCK)
        if len(block) < _BLOCK:
            raise self._truncated()
        return block

    def _pass_padding(self, size: int) -> None:
        padding = self._stream.read(len(_padding(size)))
        if len(padding) < len(_padding(size)):
            raise self._truncated()
        if padding != _padding(size):
            raise BundlePackInvalid("something is hidden between the files", where=self._where, remedy=_REMEDY)

    def _truncated(self) -> BundlePackTruncated:
        return BundlePackTruncated("ends too early", where=self._where, remedy=_REMEDY)


def _put(stream: IO[bytes], name: str, content: bytes, sha256: str = "") -> None:
    if sha256 and hashlib.sha256(content).hexdigest() != sha256:
        raise BundleFileHash("its content has changed", where=name)
    stream.write(_header(name, len(content)))
    stream.write(content)
    stream.write(_padding(len(content)))


def _copy(source: IO[bytes], target: IO[bytes], entry: manifests.FileEntry, where: str) -> None:
    """Copy one file of the bundle, and no more bytes than it has."""
    digest, left = hashlib.sha256(), entry.size
    while left:
        part = source.read(min(left, _CHUNK_BYTES))
        if not part:
            raise BundlePackTruncated(f"ends {left} bytes too early", where=where, remedy=_REMEDY)
        digest.update(part)
        target.write(part)
        left -= len(part)
    if digest.hexdigest() != entry.sha256:
        raise BundleFileHash("its content has changed", where=where, remedy="copy the bundle again")


def _header(name: str, size: int) -> bytes:
    """Return the header of a file, which depends on nothing but name and size."""
    zero = b"%07o\0" % 0
    before = name.encode().ljust(100, b"\0") + b"%07o\0" % _MODE + 2 * zero + b"%011o\0%011o\0" % (size, 0)
    behind = b"0".ljust(101, b"\0") + b"ustar\00000".ljust(8 + 64, b"\0") + 2 * zero
    header = (before + b" " * 8 + behind).ljust(_BLOCK, b"\0")
    return before + b"%06o\0 " % sum(header) + header[len(before) + 8 :]


def _size(header: bytes) -> int:
    """Return the size in a header; 0 without one, as the header is then compared with the packed one."""
    try:
        return int(header[124:135], 8)
    except ValueError:
        return 0


def _name(header: bytes) -> str:
    return header[:100].rstrip(b"\0").decode("latin-1")


def _parse(block: bytes) -> tarfile.TarInfo | None:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return None


def _leads_out(name: str) -> bool:
    return name.startswith(("/", "\\")) or not {"", ".", ".."}.isdisjoint(name.replace("\\", "/").split("/"))


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)


@contextmanager
def _opened(source: Path) -> Iterator[IO[bytes]]:
    """Open a plain file; anything else in its place is refused."""
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        raise BundlePackInvalid(f"cannot be read ({said})", where=str(source), remedy="correct the path") from error
    with open(descriptor, "rb") as stream:  # noqa: PTH123 - of a descriptor
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise BundlePackInvalid("is not a file", where=str(source), remedy="name a file made by `bundle pack`")
        yield stream


@contextmanager
def _written(target: Path, *, force: bool) -> Iterator[IO[bytes]]:
    """Yield a file beside `target` that becomes `target` if the block succeeds and vanishes if it fails."""
    if os.path.lexists(target) and (not force or target.is_symlink() or not target.is_file()):
        raise TargetExists("exists already", where=str(target), remedy="choose another name, or --force for a file")
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        stream = part.open("xb")
    except OSError as error:
        raise not_written(target, error) from error
    try:
        with writing(target, full_only=True):  # the bundle is also read in the block
            with stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(target)
    finally:
        part.unlink(missing_ok=True)
