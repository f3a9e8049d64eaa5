"""The list of attacks on a bundle, and that each is refused by its own error before it can do harm.

The device that is attacked trusts one key. The attacker knows the format, has bundles that this key has signed, and can
write whatever he likes where the bundle comes from. Where the attack is one on a parser, he even has the key: what
reads a file must not rely on its signature.
"""

from __future__ import annotations

import gzip
import io
import os
import shutil
import struct
import tarfile
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import pytest
from nacl.signing import SigningKey
from onnx import TensorProto, helper

from edge_config import errors
from edge_config.bundle import files as bundles
from edge_config.bundle import pack
from edge_config.bundle.hnsw import header
from edge_config.settings.sections import Trust
from runtime.inference.load import load
from runtime.security.trust import Judge
from tests.support.forge import (
    edit_arrays,
    edit_manifest,
    flip,
    member,
    members,
    public,
    reseal,
    safetensors_of,
    sign,
    write_tar,
)
from tests.support.tiny import make_bundle

MAX_S = 2.0
"""A refusal takes no longer, whatever sizes are claimed; the tiny bundle is loaded in a tenth of that."""

MAX_BYTES = 160 << 20
"""Nor does it allocate more."""

HUGE = 1 << 40


@dataclass
class Case:
    """Two bundles that the trusted key has signed, of which the first is attacked."""

    folder: Path
    bundle: Path
    other: Path
    key: SigningKey = field(default_factory=lambda: SigningKey(b"k" * 32))
    stranger: SigningKey = field(default_factory=lambda: SigningKey(b"s" * 32))

    @property
    def trust(self) -> Trust:
        return Trust(keys=(public(self.key),))

    def file(self, name: str) -> Path:
        return self.bundle / name

    def resign(self) -> None:
        """Make everything right again, as one can who has the key."""
        reseal(self.bundle)
        sign(self.bundle, self.key)

    def tar(self, *more: tuple[tarfile.TarInfo, bytes], at: int | None = None, end: bytes = bytes(1024)) -> Path:
        """Pack the bundle with other members before the member `at`; by default at the end."""
        entries = members(self.bundle)
        at = len(entries) if at is None else at
        return write_tar(self.folder / "crafted.pack", [*entries[:at], *more, *entries[at:]], end)


# ---- what is done: each gives the bundle, or the packed file, that the device is to take


def flipped(name: str) -> Callable[[Case], Path]:
    def attack(case: Case) -> Path:
        flip(case.file(name), -2)
        return case.bundle

    return attack


def swapped(*names: str) -> Callable[[Case], Path]:
    def attack(case: Case) -> Path:
        for name in names:
            shutil.copy(case.other / name, case.file(name))
        return case.bundle

    return attack


def truncated(case: Case) -> Path:
    os.truncate(case.file(bundles.BANK), case.file(bundles.BANK).stat().st_size - 1)
    return case.bundle


def linked(name: str) -> Callable[[Case], Path]:
    def attack(case: Case) -> Path:
        case.file(name).unlink()
        case.file(name).symlink_to(case.other / name)
        return case.bundle

    return attack


def pipe(name: str) -> Callable[[Case], Path]:
    def attack(case: Case) -> Path:
        case.file(name).unlink()
        os.mkfifo(case.file(name))
        return case.bundle

    return attack


def added(name: str) -> Callable[[Case], Path]:
    def attack(case: Case) -> Path:
        case.file(name).write_bytes(b"more")
        return case.bundle

    return attack


def many_added(case: Case) -> Path:
    for number in range(500):
        case.file(f"{number}.safetensors").touch()
    return case.bundle


def stripped(case: Case) -> Path:
    case.file(bundles.SIGNATURE).unlink()
    return case.bundle


def by_a_stranger(case: Case) -> Path:
    sign(case.bundle, case.stranger)
    return case.bundle


def in_another_name(case: Case) -> Path:
    sign(case.bundle, case.stranger, name=case.key)
    return case.bundle


def no_signature_at_all(case: Case) -> Path:
    case.file(bundles.SIGNATURE).write_bytes(b'{"key": "none"}')
    return case.bundle


def huge_signature(case: Case) -> Path:
    os.truncate(case.file(bundles.SIGNATURE), HUGE)
    return case.bundle


def resigned_over_old_files(case: Case) -> Path:
    edit_manifest(case.bundle, lambda tree: tree["files"][bundles.BANK].update(sha256="a" * 64))
    sign(case.bundle, case.key)
    return case.bundle


def from_the_future(case: Case) -> Path:
    edit_manifest(case.bundle, lambda tree: tree.update(format_version=6))
    sign(case.bundle, case.key)
    return case.bundle


def file_outside(case: Case) -> Path:
    edit_manifest(
        case.bundle, lambda tree: tree["files"].update({"../bank.safetensors": tree["files"].pop(bundles.BANK)})
    )
    sign(case.bundle, case.key)
    return case.bundle


def huge_manifest(case: Case) -> Path:
    os.truncate(case.file(bundles.MANIFEST), HUGE)
    return case.bundle


def manifest_of(text: bytes) -> Callable[[Case], Path]:
    def attack(case: Case) -> Path:
        case.file(bundles.MANIFEST).write_bytes(text)
        sign(case.bundle, case.key)
        return case.bundle

    return attack


def index_with(offset: int, kind: str, value: int) -> Callable[[Case], Path]:
    """Change a number of the index: in its header, or (a negative offset) from its end."""

    def attack(case: Case) -> Path:
        data = bytearray(case.file(bundles.INDEX).read_bytes())
        struct.pack_into(kind, data, offset, value)
        case.file(bundles.INDEX).write_bytes(data)
        case.resign()
        return case.bundle

    return attack


def link_beside_its_level(case: Case) -> Path:
    """Have a list of level 1 name an element that has no lists there: hnswlib would read where nothing is."""
    found = bundles.read(case.bundle).manifest
    size, m = found.coreset.size, found.index.M
    data = bytearray(case.file(bundles.INDEX).read_bytes())
    at = header.SIZE + header.record(found.features.dimension, m).itemsize * size
    low, list_at = None, None
    for element in range(size):
        (length,) = struct.unpack_from("<I", data, at)
        if length == 0:
            low = element
        elif struct.unpack_from("<I", data, at + 4)[0]:
            list_at = at + 4
        at += 4 + length
    assert low is not None
    assert list_at is not None
    struct.pack_into("<I", data, list_at + 4, low)
    case.file(bundles.INDEX).write_bytes(data)
    case.resign()
    return case.bundle


def index_of_another_bank(case: Case) -> Path:
    edit_arrays(case.file(bundles.BANK), lambda found: {"bank": found["bank"][::-1]})
    case.resign()
    return case.bundle


def arrays_of(name: str, header: bytes, data: bytes = b"", *, length: int | None = None) -> Callable[[Case], Path]:
    def attack(case: Case) -> Path:
        case.file(name).write_bytes(safetensors_of(header, data, length=length))
        case.resign()
        return case.bundle

    return attack


def no_numbers(case: Case) -> Path:
    edit_arrays(case.file(bundles.BANK), lambda found: {"bank": found["bank"] * np.float32("nan")})
    case.resign()
    return case.bundle


def pickled(case: Case) -> Path:
    with case.file(bundles.BANK).open("wb") as stream:
        np.save(stream, np.array([print], dtype=object), allow_pickle=True)
    case.resign()
    return case.bundle


def graph_that_reads(location: str) -> Callable[[Case], Path]:
    """Have the graph take its numbers from a file that it names."""

    def attack(case: Case) -> Path:
        (case.folder / "secret").write_bytes(bytes(16))
        weight = TensorProto(name="weight", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
        for key, value in (("location", location.format(case.folder)), ("offset", "0"), ("length", "16")):
            weight.external_data.add(key=key, value=value)
        taken = helper.make_tensor_value_info("frame", TensorProto.UINT8, [1, 32, 32, 3])
        given = helper.make_tensor_value_info("weight", TensorProto.FLOAT, [4])
        graph = helper.make_graph([], "reader", [taken], [given], [weight])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
        model.ir_version = 10
        case.file(bundles.MODEL).write_bytes(model.SerializeToString())
        case.resign()
        return case.bundle

    return attack


def more_golden(case: Case) -> Path:
    more = {f"frame_{number}": np.zeros((1, 1, 3), np.uint8) for number in range(2, 100)}
    edit_arrays(case.file(bundles.GOLDEN), lambda found: {**found, **more})
    case.resign()
    return case.bundle


def huge_golden(case: Case) -> Path:
    """Have golden frames of more than 64 MiB, all of them there."""
    header = b'{"frame_0":{"dtype":"U8","shape":[5000,4500,3],"data_offsets":[0,67500000]}}'
    case.file(bundles.GOLDEN).write_bytes(safetensors_of(header))
    os.truncate(case.file(bundles.GOLDEN), len(safetensors_of(header)) + 67_500_000)
    case.resign()
    return case.bundle


@cache
def _bomb() -> bytes:
    """Pack 128 MiB of zeros into 128 KiB."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bank", bytes(1 << 27))
    return buffer.getvalue()


def packed(attack: Callable[[Case], Path]) -> Callable[[Case], Path]:
    """Do it to the bundle, and pack that with no look at it."""

    def attack_on_a_pack(case: Case) -> Path:
        attack(case)
        return case.tar()

    return attack_on_a_pack


def pack_with(name: str, kind: bytes, target: str = "", at: int | None = None) -> Callable[[Case], Path]:
    return lambda case: case.tar(member(name, type=kind, linkname=target), at=at)


def pack_in_place_of(name: str, kind: bytes, target: str) -> Callable[[Case], Path]:
    def attack(case: Case) -> Path:
        entries = [
            member(name, type=kind, linkname=target) if info.name == name else (info, content)
            for info, content in members(case.bundle)
        ]
        return write_tar(case.folder / "crafted.pack", entries)

    return attack


def pack_twice(name: str, at: int | None) -> Callable[[Case], Path]:
    return lambda case: case.tar(member(name, case.file(name).read_bytes()), at=at)


def pack_renamed(old: str, new: str) -> Callable[[Case], Path]:
    def attack(case: Case) -> Path:
        entries = members(case.bundle)
        next(info for info, _ in entries if info.name == old).name = new
        return write_tar(case.folder / "crafted.pack", entries)

    return attack


def pack_resized(name: str, size: int) -> Callable[[Case], Path]:
    def attack(case: Case) -> Path:
        entries = members(case.bundle)
        next(info for info, _ in entries if info.name == name).size = size
        return write_tar(case.folder / "crafted.pack", entries)

    return attack


def pack_of(make: Callable[[], bytes]) -> Callable[[Case], Path]:
    def attack(case: Case) -> Path:
        path = case.folder / "crafted.pack"
        path.write_bytes(make())
        return path

    return attack


def pack_truncated(share: float) -> Callable[[Case], Path]:
    def attack(case: Case) -> Path:
        path = case.tar()
        os.truncate(path, int(path.stat().st_size * share))
        return path

    return attack


def pack_that_is_a_pipe(case: Case) -> Path:
    path = case.folder / "crafted.pack"
    os.mkfifo(path)
    return path


def pack_with_padding(case: Case) -> Path:
    """Hide something behind the signature, where its block is filled up."""
    path = case.tar()
    data = bytearray(path.read_bytes())
    at = data.index(b"patchedge-signature")
    data[at + 511] = 1
    path.write_bytes(data)
    return path


def pack_with_sizes(case: Case) -> Path:
    """Have the manifest, rightly signed, list more bytes than any bundle has."""
    edit_manifest(case.bundle, lambda tree: tree["files"][bundles.BANK].update(size=HUGE))
    sign(case.bundle, case.key)
    return case.tar()


def set_off(**fields: object) -> Callable[[Case], Path]:
    """Return the first header other fields than packing does."""

    def attack(case: Case) -> Path:
        entries = members(case.bundle)
        for name, value in fields.items():
            setattr(entries[0][0], name, value)
        return write_tar(case.folder / "crafted.pack", entries)

    return attack


LEVEL, ENTRY = 48, 52
DEEP = b'{"format_version": ' + b"[" * 200_000

# What is done -> how it is done, and the error that it must end with.
ATTACKS: dict[str, tuple[Callable[[Case], Path], type[errors.PatchedgeError]]] = {
    # changed on the way
    "byte flipped in model.onnx": (flipped(bundles.MODEL), errors.BundleFileHash),
    "byte flipped in bank.safetensors": (flipped(bundles.BANK), errors.BundleFileHash),
    "byte flipped in neighbours.safetensors": (flipped(bundles.NEIGHBOURS), errors.BundleFileHash),
    "byte flipped in index.hnsw": (flipped(bundles.INDEX), errors.BundleFileHash),
    "byte flipped in golden.safetensors": (flipped(bundles.GOLDEN), errors.BundleFileHash),
    "byte flipped in manifest.json": (flipped(bundles.MANIFEST), errors.BundleSignatureInvalid),
    "byte flipped in manifest.sig": (flipped(bundles.SIGNATURE), errors.BundleSignatureInvalid),
    "file of another signed bundle": (swapped(bundles.BANK), errors.BundleFileHash),
    "manifest and signature of another bundle": (
        swapped(bundles.MANIFEST, bundles.SIGNATURE),
        errors.BundleFileHash,
    ),
    "truncated file": (truncated, errors.BundleFileSize),
    # signatures
    "signature stripped": (stripped, errors.BundleUnsigned),
    "signature by another key": (by_a_stranger, errors.BundleKeyUnknown),
    "signature by another key that claims to be ours": (in_another_name, errors.BundleSignatureInvalid),
    "signature of another bundle": (swapped(bundles.SIGNATURE), errors.BundleSignatureInvalid),
    "signature that is none": (no_signature_at_all, errors.BundleSignatureInvalid),
    "signature of a terabyte": (huge_signature, errors.BundleSignatureInvalid),
    "signature that is a link": (linked(bundles.SIGNATURE), errors.BundleFileUnexpected),
    "manifest signed anew, files old": (resigned_over_old_files, errors.BundleFileHash),
    # the directory
    "symbolic link for a file": (linked(bundles.BANK), errors.BundleFileUnexpected),
    "symbolic link for the manifest": (linked(bundles.MANIFEST), errors.BundleFileMissing),
    "named pipe for a file": (pipe(bundles.BANK), errors.BundleFileUnexpected),
    "named pipe for the manifest": (pipe(bundles.MANIFEST), errors.BundleFileMissing),
    "file beside the listed ones": (added("libonnxruntime.so"), errors.BundleFileUnexpected),
    "file that differs by case only": (added("Bank.safetensors"), errors.BundleFileUnexpected),
    "hundreds of files": (many_added, errors.BundleFileUnexpected),
    # the manifest
    "version from the future": (from_the_future, errors.BundleVersionUnknown),
    "manifest that names a file outside": (file_outside, errors.BundleManifestInvalid),
    "manifest of a terabyte": (huge_manifest, errors.BundleManifestInvalid),
    "manifest as deep as it is long": (manifest_of(DEEP), errors.BundleManifestInvalid),
    # the parsers, by one who has the key
    "index of more elements than there are": (index_with(16, "<Q", HUGE), errors.BundleIndexInvalid),
    "index with room for a trillion": (index_with(8, "<Q", HUGE), errors.BundleIndexInvalid),
    "index whose records overflow": (index_with(24, "<Q", 2**64 - 1), errors.BundleIndexInvalid),
    "index whose data lie elsewhere": (index_with(40, "<Q", 2**63), errors.BundleIndexInvalid),
    "index with two billion levels": (index_with(LEVEL, "<i", 2**31 - 1), errors.BundleIndexInvalid),
    "index with one level more": (index_with(LEVEL, "<i", 63), errors.BundleIndexInvalid),
    "index that begins nowhere": (index_with(ENTRY, "<I", 2**32 - 1), errors.BundleIndexInvalid),
    "index with more links than fit": (index_with(header.SIZE, "<I", 2**16 - 1), errors.BundleIndexInvalid),
    "index with an element deleted": (index_with(header.SIZE, "<I", 1 << 16 | 5), errors.BundleIndexInvalid),
    "index with a link to nowhere": (index_with(header.SIZE + 4, "<I", 2**32 - 1), errors.BundleIndexInvalid),
    "index with a list of four gigabytes": (index_with(-4, "<I", 2**32 - 1), errors.BundleIndexInvalid),
    "index with a link to what is not on the level": (link_beside_its_level, errors.BundleIndexInvalid),
    "index of another bank": (index_of_another_bank, errors.BundleIndexInvalid),
    "array that is pickled": (pickled, errors.BundleShapeMismatch),
    "bank of what is no number": (no_numbers, errors.BundleShapeMismatch),
    "array of a trillion numbers": (
        arrays_of(bundles.BANK, b'{"bank":{"dtype":"F32","shape":[1000000000,1000],"data_offsets":[0,4000000000000]}}'),
        errors.BundleShapeMismatch,
    ),
    "array whose size overflows": (
        arrays_of(bundles.BANK, b'{"bank":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}'),
        errors.BundleShapeMismatch,
    ),
    "array whose header is as deep as it is long": (
        arrays_of(bundles.BANK, b'{"bank":' + b"[" * 200_000),
        errors.BundleShapeMismatch,
    ),
    "array whose header is an exabyte": (arrays_of(bundles.BANK, b"{}", length=1 << 60), errors.BundleShapeMismatch),
    "golden frames of more than 64 MiB": (huge_golden, errors.BundleShapeMismatch),
    "golden frames of ten billion numbers": (
        arrays_of(bundles.GOLDEN, b'{"scores":{"dtype":"F64","shape":[9999999999],"data_offsets":[0,79999999992]}}'),
        errors.BundleShapeMismatch,
    ),
    "golden frames with a hundred arrays more": (more_golden, errors.BundleShapeMismatch),
    "graph that reads a file beside the bundle": (graph_that_reads("../secret"), errors.BundleGraphInvalid),
    "graph that reads a file by its whole path": (graph_that_reads("{}/secret"), errors.BundleGraphInvalid),
    # the packed file
    "pack: byte flipped": (packed(flipped(bundles.BANK)), errors.BundleFileHash),
    "pack: signature stripped": (packed(stripped), errors.BundleUnsigned),
    "pack: signature by another key": (packed(by_a_stranger), errors.BundleKeyUnknown),
    "pack: manifest changed": (packed(flipped(bundles.MANIFEST)), errors.BundleSignatureInvalid),
    "pack: version from the future": (packed(from_the_future), errors.BundleVersionUnknown),
    "pack: truncated in a file": (pack_truncated(0.5), errors.BundlePackTruncated),
    "pack: truncated before its end": (pack_truncated(0.999), errors.BundlePackTruncated),
    "pack: empty": (pack_of(lambda: b""), errors.BundlePackTruncated),
    "pack: parent path": (pack_with("../../etc/cron.d/x", tarfile.REGTYPE), errors.BundlePackPath),
    "pack: parent path in place of a file": (pack_renamed(bundles.BANK, "../bank.safetensors"), errors.BundlePackPath),
    "pack: absolute path": (pack_with("/etc/passwd", tarfile.REGTYPE, at=2), errors.BundlePackPath),
    "pack: path with backslashes": (pack_with("..\\bank.safetensors", tarfile.REGTYPE, at=2), errors.BundlePackPath),
    "pack: symbolic link": (pack_in_place_of(bundles.BANK, tarfile.SYMTYPE, "/etc/passwd"), errors.BundlePackSpecial),
    "pack: hard link": (pack_in_place_of(bundles.GOLDEN, tarfile.LNKTYPE, bundles.BANK), errors.BundlePackSpecial),
    "pack: device": (pack_in_place_of(bundles.MODEL, tarfile.CHRTYPE, ""), errors.BundlePackSpecial),
    "pack: named pipe": (pack_with("pipe", tarfile.FIFOTYPE), errors.BundlePackSpecial),
    "pack: folder": (pack_with("folder", tarfile.DIRTYPE, at=2), errors.BundlePackSpecial),
    "pack: long name by an extension": (pack_with("././@LongLink", tarfile.GNUTYPE_LONGNAME), errors.BundlePackPath),
    "pack: extended header": (pack_with("pax", tarfile.XHDTYPE, at=0), errors.BundlePackSpecial),
    "pack: file twice": (pack_twice(bundles.MODEL, 3), errors.BundlePackDuplicate),
    "pack: file again at the end": (pack_twice(bundles.MODEL, None), errors.BundlePackDuplicate),
    "pack: manifest twice": (pack_twice(bundles.MANIFEST, 2), errors.BundlePackDuplicate),
    "pack: name that differs by case only": (
        pack_with("BANK.SAFETENSORS", tarfile.REGTYPE),
        errors.BundleFileUnexpected,
    ),
    "pack: unexpected file": (pack_with("x.so", tarfile.REGTYPE, at=2), errors.BundleFileUnexpected),
    "pack: file left out": (
        lambda case: write_tar(case.folder / "crafted.pack", members(case.bundle)[:-1]),
        errors.BundleFileMissing,
    ),
    "pack: garbage behind its end": (lambda case: case.tar(end=bytes(1024) + b"x"), errors.BundlePackTrailing),
    "pack: another archive behind its end": (
        lambda case: case.tar(end=bytes(1024) + bytes(10240)),
        errors.BundlePackTrailing,
    ),
    "pack: something between the files": (pack_with_padding, errors.BundlePackInvalid),
    "pack: other mode": (set_off(mode=0o4755), errors.BundlePackInvalid),
    "pack: other owner": (set_off(uid=1), errors.BundlePackInvalid),
    "pack: file longer than the manifest says": (pack_resized(bundles.BANK, 1 << 30), errors.BundleFileSize),
    "pack: manifest of four gigabytes": (pack_resized(bundles.MANIFEST, 1 << 32), errors.BundlePackTooLarge),
    "pack: manifest that lists a terabyte": (pack_with_sizes, errors.BundlePackTooLarge),
    "pack: zip bomb": (pack_of(_bomb), errors.BundlePackInvalid),
    "pack: compressed bomb": (pack_of(lambda: gzip.compress(bytes(1 << 24))), errors.BundlePackInvalid),
    "pack: named pipe in its place": (pack_that_is_a_pipe, errors.BundlePackInvalid),
}


@pytest.fixture(scope="module")
def another(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a second bundle: as good as the first, with another threshold and another bank."""
    bundle = make_bundle(tmp_path_factory.mktemp("another") / "other.bundle")
    found = bundles.read(bundle).manifest
    flip(bundle / bundles.BANK)
    reseal(bundle, calibration=msgspec.structs.replace(found.calibration, threshold=1.0))
    return bundle


@pytest.fixture
def case(tiny_bundle: Path, another: Path, tmp_path: Path) -> Case:
    """Return the two bundles, signed."""
    folder = tmp_path / "work"
    folder.mkdir()
    found = Case(folder, *(Path(shutil.copytree(it, folder / it.name)) for it in (tiny_bundle, another)))
    for bundle in (found.bundle, found.other):
        sign(bundle, found.key)
    return found


def take(crafted: Path, case: Case) -> object:
    """Do what a device does with a bundle or a packed one."""
    if crafted == case.bundle:
        return load(crafted, 1, trust=case.trust)
    return pack.unpack(crafted, case.folder / "unpacked.bundle", Judge(case.trust))


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_refused_by_its_own_error(case: Case, name: str) -> None:
    """Every attack of the list ends with its own error, in one line, soon, in little memory, and leaves nothing."""
    attack, error = ATTACKS[name]
    crafted = attack(case)
    before = sorted(path.name for path in case.folder.iterdir())
    tracemalloc.start()
    start = time.perf_counter()
    try:
        with pytest.raises(errors.PatchedgeError) as caught:
            take(crafted, case)
        seconds = time.perf_counter() - start
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert type(caught.value) is error
    assert caught.value.exit_code == 65
    assert str(caught.value).isprintable()  # one line, and nothing for the terminal to obey
    assert seconds < MAX_S
    assert peak < MAX_BYTES
    assert sorted(path.name for path in case.folder.iterdir()) == before


def test_the_bundle_that_nobody_attacked_is_served(case: Case) -> None:
    """What the list attacks is good: signed as it is, and packed and unpacked."""
    load(case.bundle, 1, trust=case.trust)
    assert take(case.tar(), case)
    load(case.folder / "unpacked.bundle", 1, trust=case.trust)


@pytest.mark.slow
def test_bomb_of_the_attacks_is_one() -> None:
    """The bomb of the list is what it claims: zipfile takes it."""
    assert zipfile.ZipFile(io.BytesIO(_bomb())).testzip() is None


def test_everybody_may_sign_where_no_key_is_named(case: Case) -> None:
    """Without keys no signature is looked at: a stranger's bundle is served."""
    sign(case.bundle, case.stranger)
    load(case.bundle, 1, trust=Trust())


def test_unsigned_is_served_where_the_settings_say_so(case: Case) -> None:
    """With keys and `unsigned: allow`, a bundle without a signature is served, and one by a stranger is not."""
    trust = Trust(keys=case.trust.keys, unsigned="allow")
    sign(case.bundle, case.stranger)
    with pytest.raises(errors.BundleKeyUnknown):
        load(case.bundle, 1, trust=trust)
    case.file(bundles.SIGNATURE).unlink()
    load(case.bundle, 1, trust=trust)
