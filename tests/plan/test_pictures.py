"""Pictures from anywhere: the same bundle as from a folder, and a picture that changed under way is named."""

from __future__ import annotations

import functools
import hashlib
import json
import pickle
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.asyn import get_loop

from edge_config.bundle import files as bundles
from edge_config.errors import MissingExtra, NoImages, PictureChanged, SourceUnavailable, UsageError
from export.pictures.manifest import read_manifest
from export.pictures.where import source_of
from runtime.learning.pictures.images import Pictures
from tests.support.fakes.http import served
from tests.support.small import call_export, errors_of, small_options

NAMES = ("b.png", "a.png", "shift 2/z.png", "a.d/c.png", "shift 2/deep/q.png")
"""In folders, some of whose names sort before those of files beside them."""


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Write nothing."""


@contextmanager
def _http(folder: Path) -> Iterator[str]:
    """Serve a folder, and yield its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Silent, directory=str(folder)))
    with served(server, threading.Event()):
        yield f"http://127.0.0.1:{server.server_port}"


@pytest.fixture(scope="module", autouse=True)
def _loop() -> None:
    """Start the one thread that fsspec keeps for a process: it is not left behind by a test."""
    get_loop()


@pytest.fixture
def memory() -> Iterator[Any]:
    """Yield fsspec's file system in memory, empty."""
    disk = fsspec.filesystem("memory")
    yield disk
    disk.store.clear()
    disk.pseudo_dirs[:] = [""]


def _write(folder: Path) -> Path:
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    (folder / "notes.txt").write_text("not a picture", encoding="utf-8")
    return folder


def _upload(folder: Path, memory: Any, top: str) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            memory.pipe(f"{top}/{file.relative_to(folder)}", file.read_bytes())


def _list(folder: Path, out: Path, **changes: str) -> Path:
    """Write a list of the pictures of a folder with the tools of a user: hashes by hashlib."""
    rows = []
    for file in sorted(folder.rglob("*.png"), reverse=True):
        data = file.read_bytes()
        row = {"path": str(file.relative_to(out.parent)), "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        rows.append({**row, **changes})
    if out.suffix == ".jsonl":
        out.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    else:
        lines = [",".join(map(str, row.values())) for row in rows]
        out.write_text("\n".join(["path,sha256,size", *lines]), encoding="utf-8")
    return out


@pytest.mark.slow
def test_order_of_folder(tmp_path: Path, memory: Any) -> None:
    """An address, over HTTP and in a store of objects, lists pictures in the order of a folder, and reads the same."""
    pytest.importorskip("aiohttp", reason="aiohttp is not installed (extra `cluster`)")
    folder = _write(tmp_path / "normal")
    _upload(folder, memory, "/bucket/normal")
    local = Pictures(folder)
    with _http(tmp_path) as server:
        for address in ("memory://bucket/normal", "simplecache::memory://bucket/normal", f"{server}/normal/"):
            source = source_of(address)
            assert source is not None
            assert list(source.files) == local.files, address
            assert all(source.read(file) == (folder / file).read_bytes() for file in local.files)
            assert source.passed_over == {".txt": 1}


@pytest.mark.slow
def test_same_bundle(tmp_path: Path, memory: Any) -> None:
    """A bundle that is learnt from a store of objects, or by a list, has the id of one that is learnt from a folder."""
    words = small_options(tmp_path, tmp_path / "line.bundle")
    _upload(tmp_path / "images", memory, "/bucket/normal")
    listed = _list(tmp_path / "images", tmp_path / "pictures.csv")
    ids = []
    for number, images in enumerate((tmp_path / "images", "memory://bucket/normal", listed)):
        out = tmp_path / f"{number}.bundle"
        done = call_export("fit", *words, "--images", images, "--out", out)
        assert (done.code, errors_of(done.err)) == (0, [])
        ids.append(bundles.read(out).id)
    assert ids == ids[:1] * 3


@pytest.mark.parametrize("name", ["pictures.csv", "pictures.jsonl"])
def test_changed_against_list(tmp_path: Path, name: str) -> None:
    """A picture that is not what the list says is refused by name."""
    folder = _write(tmp_path / "normal")
    source = read_manifest(str(_list(folder, tmp_path / name)))
    assert source.read(Path("normal/b.png")) == b"b.png"
    (folder / "b.png").write_bytes(b"other")
    with pytest.raises(PictureChanged, match=rf"normal/b\.png: holds other bytes than .*{name} says"):
        source.read(Path("normal/b.png"))


def test_changed_under_way(memory: Any) -> None:
    """A picture that changes, or goes, between two reads is named; a process that gets the source later knows too."""
    memory.pipe({"/bucket/a.png": b"first", "/bucket/b.png": b"stays"})
    source = source_of("memory://bucket")
    assert source is not None
    assert [source.read(file) for file in source.files] == [b"first", b"stays"]
    memory.pipe("/bucket/a.png", b"second")
    for reader in (source, pickle.loads(pickle.dumps(source))):  # noqa: S301 - our own
        with pytest.raises(PictureChanged, match=r"memory://bucket/a\.png: holds other bytes than when it was first"):
            reader.read(Path("a.png"))
    memory.rm("/bucket/b.png")
    with pytest.raises(PictureChanged, match=r"memory://bucket/b\.png: was read before, and now cannot be"):
        source.read(Path("b.png"))


def test_list_of_addresses(tmp_path: Path, memory: Any) -> None:
    """A list may lie on this machine and name pictures elsewhere."""
    memory.pipe("/bucket/a.png", b"first")
    row = {"path": "memory://bucket/a.png", "sha256": hashlib.sha256(b"first").hexdigest()}
    (tmp_path / "pictures.jsonl").write_text(json.dumps(row), encoding="utf-8")
    source = read_manifest(str(tmp_path / "pictures.jsonl"))
    assert [source.read(file) for file in source.files] == [b"first"]
    memory.pipe("/bucket/a.png", b"other")
    with pytest.raises(PictureChanged, match=r"^memory://bucket/a\.png: holds other bytes than"):
        read_manifest(str(tmp_path / "pictures.jsonl")).read(source.files[0])


@pytest.mark.parametrize("out", ["pictures.csv", "normal/pictures.jsonl", "elsewhere/pictures.csv"])
def test_manifest(tmp_path: Path, out: str) -> None:
    """The list that the command writes names all pictures, wherever it lies, in the order of the folder."""
    folder = _write(tmp_path / "normal")
    (tmp_path / "elsewhere").mkdir()
    done = call_export("manifest", "--images", folder, "--out", tmp_path / out)
    assert (done.code, done.out) == (0, f"{tmp_path / out}: {len(NAMES)} pictures\n")
    source = read_manifest(str(tmp_path / out))
    expected = [(folder / file).read_bytes() for file in Pictures(folder).files]
    assert [source.read(file) for file in source.files] == expected


def test_manifest_of_address(tmp_path: Path, memory: Any) -> None:
    """The list of an address names addresses."""
    memory.pipe("/bucket/a.png", b"first")
    done = call_export("manifest", "--images", "memory://bucket", "--out", tmp_path / "pictures.csv")
    assert (done.code, done.out) == (0, f"{tmp_path / 'pictures.csv'}: 1 pictures\n")
    source = read_manifest(str(tmp_path / "pictures.csv"))
    assert [source.read(file) for file in source.files] == [b"first"]


def test_manifest_with_a_password(tmp_path: Path, memory: Any) -> None:
    """Only the user may read a list in whose addresses there is a password."""
    memory.pipe("/anna:secret@bucket/a.png", b"first")
    words = "--images", "memory://anna:secret@bucket", "--out", tmp_path / "pictures.csv"
    assert call_export("manifest", *words).code == 0
    assert (tmp_path / "pictures.csv").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,sha256\n", "lists no pictures"),
        ("a.png,b.png\n", r"list\.csv:1: is no list of pictures"),
        ("path,sha256\na.png,xyz\n", r"list\.csv:2: .*sha256"),
        (f"path,sha256,size\na.png,{'0' * 64},many\n", r"list\.csv:2: .*size"),
        (f"path,sha256,size,colour\na.png,{'0' * 64},1,red\n", r"list\.csv:2: .*colour"),
        (f"path,sha256\na.png,{'0' * 64}\na.png,{'1' * 64}\n", r"list\.csv:3: `a\.png` is listed twice"),
        (f"path,sha256\na.txt,{'0' * 64}\n", r"list\.csv:2: `a\.txt` is no picture"),
    ],
)
def test_list_refused(tmp_path: Path, text: str, said: str) -> None:
    """A list that is not what it must be is refused, with its line."""
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    with pytest.raises((UsageError, NoImages), match=said):
        read_manifest(str(tmp_path / "list.csv"))


def test_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the package for an address is missing, the error names it."""
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    with pytest.raises(MissingExtra, match=r"s3:// is not installed .*; pip install s3fs"):
        source_of("s3://bucket/normal")


def test_no_such_protocol() -> None:
    """An address that nobody can read is refused."""
    with pytest.raises(UsageError, match=r"nowhere://bucket: cannot be used as an address"):
        source_of("nowhere://bucket")


@pytest.mark.slow
def test_no_answer() -> None:
    """A server that does not answer is not taken for one without pictures."""
    pytest.importorskip("aiohttp", reason="aiohttp is not installed (extra `cluster`)")
    with pytest.raises(SourceUnavailable, match=r"http://127\.0\.0\.1:1/normal: cannot be listed"):
        source_of("http://127.0.0.1:1/normal")


def test_nothing_there(memory: Any) -> None:
    """An address with nothing below it is named."""
    memory.pipe("/bucket/a.png", b"first")
    with pytest.raises(NoImages, match=r"memory://bucket/other: nothing at this address"):
        source_of("memory://bucket/other")
