"""Reading clips in parts: the whole clip, and never anything else."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from edge_config.errors import RequestError
from runtime.clips.read_clip import MAX_HASHES, ClipReader

CLIP = "top-20261127T084611Z-0b6c7f0e-5b0c-4f0e-8a53-9a3d1c2b4e5f.avi"
ALL = 1 << 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of clips beside something that nobody may read."""
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "clips").mkdir()
    return tmp_path / "clips"


def test_parts_make_the_clip(folder: Path) -> None:
    """The parts, one after the other, are the file, and each names the size and the sha256 of the whole."""
    content = bytes(range(256)) * 40
    (folder / CLIP).write_bytes(content)
    reader = ClipReader(str(folder))
    found = [reader.read("top", CLIP, offset, 1000) for offset in range(0, len(content), 1000)]
    assert b"".join(part.data for part in found) == content
    assert {(part.size, part.sha256) for part in found} == {(len(content), hashlib.sha256(content).hexdigest())}
    assert reader.read("top", CLIP, len(content), 1000).data == b""


def test_clip_that_was_replaced_is_hashed_again(folder: Path) -> None:
    """The sha256 is that of the file that is read, not of an earlier one with its name."""
    reader = ClipReader(str(folder))
    for content in (b"one", b"other"):
        (folder / "new").write_bytes(content)
        (folder / "new").replace(folder / CLIP)
        assert reader.read("top", CLIP, 0, ALL).sha256 == hashlib.sha256(content).hexdigest()


def test_only_some_hashes_are_kept(folder: Path) -> None:
    """However many clips are read, memory stays bounded, and each is read right."""
    reader = ClipReader(str(folder))
    for number in range(2 * MAX_HASHES):
        name = CLIP.replace("0b6c7f0e", f"{number:08x}")
        (folder / name).write_bytes(str(number).encode())
        assert reader.read("top", name, 0, ALL).data == str(number).encode()
    assert len(reader._hashes) == MAX_HASHES


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "secret",
        "/etc/passwd",
        "",
        ".",
        f"../clips/{CLIP}",
        f"{CLIP}/",
        f".{CLIP}.part",
        f"{CLIP}\0",
        f"{CLIP}\n",
        CLIP.replace("top-", "side-"),
    ],
)
def test_other_names_are_refused(folder: Path, name: str) -> None:
    """A name that is not that of a clip of this camera is refused, whatever lies there."""
    (folder / CLIP).write_bytes(b"x")
    (folder / CLIP.replace("top-", "side-")).write_bytes(b"x")
    with pytest.raises(RequestError, match="not the name of a clip of camera `top`"):
        ClipReader(str(folder)).read("top", name, 0, ALL)


def test_links_and_pipes_are_refused(folder: Path) -> None:
    """A link out of the folder, a pipe or a folder under the name of a clip is not read, and holds nothing up."""
    reader = ClipReader(str(folder))
    (folder / CLIP).symlink_to(folder.parent / "secret")
    with pytest.raises(RequestError, match="a link, which is never followed"):
        reader.read("top", CLIP, 0, ALL)
    (folder / CLIP).unlink()
    os.mkfifo(folder / CLIP)
    with pytest.raises(RequestError, match="not a regular file"):
        reader.read("top", CLIP, 0, ALL)
    (folder / CLIP).unlink()
    (folder / CLIP).mkdir()
    with pytest.raises(RequestError, match="not a regular file"):
        reader.read("top", CLIP, 0, ALL)


def test_clip_that_cannot_be_read_says_why(folder: Path) -> None:
    """A clip that is being written, one that is gone, and a device without clips are three different reasons."""
    with pytest.raises(RequestError, match="there is no clip"):
        ClipReader(str(folder)).read("top", CLIP, 0, ALL)
    (folder / f".{CLIP}.part").write_bytes(b"x")
    with pytest.raises(RequestError, match="still being written; retry"):
        ClipReader(str(folder)).read("top", CLIP, 0, ALL)
    with pytest.raises(RequestError, match="makes no clips"):
        ClipReader("").read("top", CLIP, 0, ALL)
    with pytest.raises(RequestError, match="there is no clip"):
        ClipReader(str(folder / "absent")).read("top", CLIP, 0, ALL)
