"""What can be wrong with a bundle: each has an error of its own."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_config import bundle as bundles
from edge_config import errors
from runtime.load import load
from tests.tiny import tiny_bank, write_manifest


@pytest.fixture
def copy(tiny_bundle: Path, tmp_path: Path) -> Path:
    """Give a copy of the bundle that a test may spoil."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "copy.bundle"))


def edit_manifest(bundle: Path, change: Callable[[dict], None]) -> None:
    """Change the manifest and make its own hash right again, as the format says."""
    tree = json.loads((bundle / "manifest.json").read_text())
    change(tree)
    text = json.dumps({**tree, "manifest_sha256": "0" * 64})
    own = hashlib.sha256(text.encode()).hexdigest()
    (bundle / "manifest.json").write_text(text.replace("0" * 64, own, 1))


def flip_byte(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_whole_bundle_is_read(tiny_bundle: Path) -> None:
    """A whole bundle is read, and its id is the sha256 of its manifest."""
    bundle, _ = load(tiny_bundle)
    assert bundle.id == hashlib.sha256((tiny_bundle / "manifest.json").read_bytes()).hexdigest()


@pytest.mark.parametrize("name", bundles.PARTS)
def test_changed_byte_is_found(copy: Path, name: str) -> None:
    """One changed bit in any file is found before the file is parsed."""
    flip_byte(copy / name, -1)
    with pytest.raises(errors.BundleFileHash, match=name):
        bundles.read(copy)


def test_changed_manifest_is_found(copy: Path) -> None:
    """A threshold that was changed by one digit, or a space that was added, is found."""
    text = (copy / bundles.MANIFEST).read_text()
    for changed in (text.replace('"threshold": 6', '"threshold": 9'), text + " "):
        assert changed != text
        (copy / bundles.MANIFEST).write_text(changed)
        with pytest.raises(errors.BundleFileHash, match=r"manifest\.json"):
            bundles.read(copy)


@pytest.mark.parametrize("name", [*bundles.PARTS, bundles.MANIFEST])
def test_missing_file_is_named(copy: Path, name: str) -> None:
    """A missing file is named."""
    (copy / name).unlink()
    with pytest.raises(errors.BundleFileMissing, match=name):
        bundles.read(copy)


@pytest.mark.parametrize("name", bundles.PARTS)
def test_truncated_file_is_found(copy: Path, name: str) -> None:
    """A file that is a byte short is found by its size."""
    (copy / name).write_bytes((copy / name).read_bytes()[:-1])
    with pytest.raises(errors.BundleFileSize, match=name):
        bundles.read(copy)


def test_extra_file_is_named(copy: Path) -> None:
    """A file that the manifest does not list is refused."""
    (copy / "notes.txt").write_text("hello")
    with pytest.raises(errors.BundleFileUnexpected, match=r"notes\.txt"):
        bundles.read(copy)


def test_symbolic_link_is_refused(copy: Path, tiny_bundle: Path) -> None:
    """A link in place of a file is refused, even to the very file."""
    (copy / bundles.BANK).unlink()
    (copy / bundles.BANK).symlink_to(tiny_bundle / bundles.BANK)
    with pytest.raises(errors.BundleFileUnexpected):
        bundles.read(copy)


def test_absent_bundle_is_said() -> None:
    """A path with no bundle is said to have none."""
    with pytest.raises(errors.BundleMissing):
        bundles.read("/nowhere/at.bundle")


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_other_version_is_refused(copy: Path, version: object) -> None:
    """A bundle of another format version is refused as such."""
    edit_manifest(copy, lambda tree: tree.update(format_version=version))
    with pytest.raises(errors.BundleVersionUnknown):
        bundles.read(copy)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"format_version": 1}', b" " * (2 << 20)]
)
def test_damaged_manifest_is_refused(copy: Path, text: bytes) -> None:
    """A manifest that is not what the format says is refused, whatever it is."""
    (copy / bundles.MANIFEST).write_bytes(text)
    with pytest.raises(errors.BundleError):
        bundles.read(copy)


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: tree.update(surprise=1),
        lambda tree: tree["scoring"].update(mode="best"),
        lambda tree: tree["files"].pop("bank.npy"),
        lambda tree: tree["files"].update({"../../etc/passwd": tree["files"]["bank.npy"]}),
        lambda tree: tree["files"]["bank.npy"].update(sha256="no hash"),
        lambda tree: tree["coreset"].update(size=-1),
        lambda tree: tree["calibration"].update(threshold="high"),
        lambda tree: tree["index"].update(ef=10**30),
        lambda tree: tree["preprocessing"].update(resize_hw=[10**9, 10**9]),
        lambda tree: tree["parity"].update(golden_relative=1e9),
    ],
)
def test_manifest_with_other_content_is_refused(copy: Path, change: Callable[[dict], None]) -> None:
    """Unknown keys, wrong types and other file names make the manifest invalid."""
    edit_manifest(copy, change)
    with pytest.raises(errors.BundleManifestInvalid):
        bundles.read(copy)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        (bundles.BANK, tiny_bank()[:, :2]),
        (bundles.BANK, tiny_bank().astype(np.float64)),
        (bundles.NEIGHBOURS, np.zeros((len(tiny_bank()), 2), np.int32)),
        (bundles.NEIGHBOURS, np.full((len(tiny_bank()), 5), len(tiny_bank()), np.int32)),
    ],
)
def test_arrays_that_do_not_fit_are_refused(copy: Path, name: str, array: np.ndarray) -> None:
    """Whole files of other shapes, or that name entries beyond the bank, are refused."""
    np.save(copy / name, array)
    write_manifest(copy, len(tiny_bank()))
    with pytest.raises(errors.BundleShapeMismatch, match=name):
        load(copy)


@pytest.mark.parametrize("name", [bundles.BANK, bundles.NEIGHBOURS, bundles.GOLDEN])
@pytest.mark.parametrize("content", [b"", b"garbage", b"\x93NUMPY\x01\x00", b"PK\x03\x04"])
def test_file_of_another_kind_is_refused(copy: Path, name: str, content: bytes) -> None:
    """A listed file that is no array, or no golden frames, is refused."""
    (copy / name).write_bytes(content)
    write_manifest(copy, len(tiny_bank()))
    with pytest.raises(errors.BundleShapeMismatch, match=name):
        load(copy)


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"scores": np.zeros(0)},
        {"scores": np.ones(1)},
        {"scores": np.ones(1), "frame_0": np.zeros((4, 4), np.uint8)},
        {"scores": np.ones(1), "frame_0": np.zeros((4, 4, 3), np.float32)},
    ],
)
def test_golden_frames_must_be_pictures(copy: Path, arrays: dict[str, np.ndarray]) -> None:
    """A bundle without golden frames, or whose golden frames are no pictures, is refused."""
    np.savez(copy / bundles.GOLDEN, **arrays)
    write_manifest(copy, len(tiny_bank()))
    with pytest.raises(errors.BundleShapeMismatch, match="golden"):
        load(copy)


def test_crop_larger_than_the_picture_is_refused(copy: Path) -> None:
    """A manifest that crops more than it resizes to is refused."""
    edit_manifest(copy, lambda tree: tree["preprocessing"].update(resize_hw=[8, 8]))
    with pytest.raises(errors.BundleShapeMismatch, match="crops"):
        load(copy)


def test_pickled_array_is_never_loaded(copy: Path) -> None:
    """An array that would run code when loaded is refused."""
    np.save(copy / bundles.BANK, np.array([print], dtype=object), allow_pickle=True)
    write_manifest(copy, len(tiny_bank()))
    with pytest.raises(errors.BundleShapeMismatch):
        load(copy)


def test_index_of_another_bank_is_refused(copy: Path) -> None:
    """An index whose header does not match the bank is refused before hnswlib sees it."""
    write_manifest(copy, len(tiny_bank()) + 1)
    with pytest.raises(errors.BundleIndexInvalid):
        bundles.read(copy)


def test_graph_that_is_none_is_refused(copy: Path) -> None:
    """A model.onnx that ONNX Runtime does not take is refused in one line."""
    (copy / bundles.MODEL).write_bytes(b"no graph")
    write_manifest(copy, len(tiny_bank()))
    with pytest.raises(errors.BundleGraphInvalid) as caught:
        load(copy)
    assert "\n" not in str(caught.value)


def test_other_golden_scores_are_refused(copy: Path) -> None:
    """A machine that computes other scores than the exporter must not serve."""
    with np.load(copy / bundles.GOLDEN) as golden:
        arrays = dict(golden)
    arrays["scores"] = arrays["scores"] * 1.01
    np.savez(copy / bundles.GOLDEN, **arrays)
    write_manifest(copy, len(tiny_bank()))
    with pytest.raises(errors.BundleParity, match="golden frame 0"):
        load(copy)


def test_nothing_is_left_where_writing_fails(tmp_path: Path) -> None:
    """A bundle whose writing fails leaves neither the bundle nor a temporary folder."""
    with pytest.raises(ZeroDivisionError), bundles.staging(tmp_path / "new.bundle") as folder:
        (folder / bundles.MODEL).write_bytes(b"half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_existing_target_is_kept(tmp_path: Path) -> None:
    """What is at the target stays, unless the new bundle is complete and was to replace it."""
    target = tmp_path / "old.bundle"
    target.mkdir()
    (target / bundles.BANK).write_text("old")
    with pytest.raises(errors.TargetExists), bundles.staging(target):
        pass
    with pytest.raises(ZeroDivisionError), bundles.staging(target, force=True):
        raise ZeroDivisionError
    with pytest.raises(KeyboardInterrupt), bundles.staging(target, force=True):
        raise KeyboardInterrupt
    assert (target / bundles.BANK).read_text() == "old"
    with bundles.staging(target, force=True) as folder:
        (folder / bundles.MODEL).write_text("new")
    assert [entry.name for entry in target.iterdir()] == [bundles.MODEL]
    assert [entry.name for entry in tmp_path.iterdir()] == ["old.bundle"]


@pytest.mark.parametrize("name", ["pictures", "pictures/../pictures/", "file.txt"])
def test_what_is_no_bundle_is_never_replaced(tmp_path: Path, name: str) -> None:
    """--force replaces a bundle, and never a folder of pictures or a file that was named by mistake."""
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "one.png").write_bytes(b"dear")
    (tmp_path / "file.txt").write_bytes(b"dear")
    with pytest.raises(errors.TargetExists, match="not a bundle"), bundles.staging(tmp_path / name, force=True):
        pass
    assert (tmp_path / "pictures" / "one.png").read_bytes() == b"dear"
    assert (tmp_path / "file.txt").read_bytes() == b"dear"
