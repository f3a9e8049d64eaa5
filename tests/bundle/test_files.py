"""What can be wrong with a bundle: each has an error of its own."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import msgspec
import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from safetensors.numpy import load_file

import runtime.inference.load
from edge_config import errors
from edge_config.bundle import arrays
from edge_config.bundle import files as bundles
from edge_config.bundle.staging import refuse_target, staging
from runtime.frame import Image
from runtime.inference.load import load
from runtime.learning.bank.index import build_index
from runtime.scoring.preprocess import Preprocess
from tests.support.forge import edit_arrays, edit_golden, edit_manifest, flip, reseal, safetensors_of
from tests.support.processes import DEVICE, call
from tests.support.small import call_device
from tests.support.tiny import tiny_bank, write_manifest

SAME = 1e-6
"""Relative: the machine that sealed and the one that checks are the same here."""


@pytest.fixture
def copy(tiny_bundle: Path, tmp_path: Path) -> Path:
    """Return a copy of the bundle that a test may spoil."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "copy.bundle"))


def test_whole_bundle_is_read(tiny_bundle: Path) -> None:
    """A whole bundle is read, and its id is the sha256 of its manifest."""
    bundle, _ = load(tiny_bundle)
    assert bundle.id == hashlib.sha256((tiny_bundle / "manifest.json").read_bytes()).hexdigest()


@pytest.mark.parametrize("name", bundles.PARTS)
def test_changed_byte_is_found(copy: Path, name: str) -> None:
    """One changed bit in any file is found before the file is parsed."""
    flip(copy / name)
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


def test_bare_network_belongs_to_the_bundle_that_lists_it(copy: Path) -> None:
    """network.onnx may be left out; where it lies it must be listed, and where it is listed it must lie, unchanged."""
    (copy / bundles.NETWORK).write_bytes(b"bare")
    with pytest.raises(errors.BundleFileUnexpected, match=bundles.NETWORK):
        bundles.read(copy)
    reseal(copy)
    assert bundles.NETWORK in bundles.read(copy).manifest.files
    flip(copy / bundles.NETWORK)
    with pytest.raises(errors.BundleFileHash, match=bundles.NETWORK):
        bundles.read(copy)
    (copy / bundles.NETWORK).unlink()
    with pytest.raises(errors.BundleFileMissing, match=bundles.NETWORK):
        bundles.read(copy)


def test_symbolic_link_is_refused(copy: Path, tiny_bundle: Path) -> None:
    """A link in place of a file is refused, even to the very file."""
    (copy / bundles.BANK).unlink()
    (copy / bundles.BANK).symlink_to(tiny_bundle / bundles.BANK)
    with pytest.raises(errors.BundleFileUnexpected):
        bundles.read(copy)


def test_absent_bundle_is_said() -> None:
    """A path with no bundle is said to have none."""
    with pytest.raises(errors.BundleMissing, match="no bundle here; correct the path, or make one"):
        bundles.read("/nowhere/at.bundle")


def test_what_was_meant_as_a_bundle_is_said(copy: Path, tmp_path: Path) -> None:
    """A packed bundle, a file of a bundle, and a folder of pictures are no bundles, and each is told what it needs."""
    (tmp_path / "line.pack").write_bytes(b"x")
    (tmp_path / "normal").mkdir()
    for path, told in (
        (tmp_path / "line.pack", "a file, not a bundle; .*`patchedge bundle unpack`"),
        (copy / bundles.MANIFEST, "a file of a bundle; name the folder that it is in"),
        (tmp_path / "normal", "a folder, but not a bundle; make one with `patchedge learn`"),
    ):
        with pytest.raises(errors.BundleMissing, match=f"{path.name}: {told}"):
            bundles.read(path)


def test_target_in_a_folder_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    """Before anything is learnt: the folder is named, and that it can be made."""
    with pytest.raises(errors.UsageError, match=r"none: no such folder; make it first, or name another"):
        refuse_target(tmp_path / "none" / "x.bundle", force=False)


@pytest.mark.parametrize("version", [0, 1, 2, 3, 4, 6, "5", None])
def test_other_version_is_refused(copy: Path, version: object) -> None:
    """A bundle of another format version is refused as such, and the line says what to do."""
    edit_manifest(copy, lambda tree: tree.update(format_version=version))
    with pytest.raises(errors.BundleVersionUnknown, match="; learn again with this version"):
        bundles.read(copy)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"format_version": 5}', b" " * (2 << 20)]
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
        lambda tree: tree["files"].pop("bank.safetensors"),
        lambda tree: tree["files"].update({"../../etc/passwd": tree["files"]["bank.safetensors"]}),
        lambda tree: tree["files"]["bank.safetensors"].update(sha256="no hash"),
        lambda tree: tree["coreset"].update(size=-1),
        lambda tree: tree["calibration"].update(threshold="high"),
        lambda tree: tree["index"].update(ef=10**30),
        lambda tree: tree["preprocessing"].update(resize_hw=[10**9, 10**9]),
        lambda tree: tree.pop("parity"),
        lambda tree: tree["parity"]["tolerances"]["CPUExecutionProvider"].update(scores=1e9),
        lambda tree: tree["parity"]["tolerances"]["CPUExecutionProvider"].pop("distances_mean"),
        lambda tree: tree["parity"]["search"]["features"].update(largest=-1.0),
        lambda tree: tree["features"].update(precision="int4"),
        lambda tree: tree["features"].pop("stride"),
        lambda tree: tree.update(recalibrated_from="another"),
    ],
)
def test_manifest_with_other_content_is_refused(copy: Path, change: Callable[[dict], None]) -> None:
    """Unknown keys, wrong types and other file names make the manifest invalid."""
    edit_manifest(copy, change)
    with pytest.raises(errors.BundleManifestInvalid):
        bundles.read(copy)


MEASURE = {
    "scale": np.ones(3, np.float32),
    "spacing": np.zeros(len(tiny_bank()), np.float32),
    "mean": np.ones(1, np.float32),
}
HUGE = np.finfo(np.float32).max


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (bundles.BANK, {"bank": tiny_bank()[:, :2]}),
        (bundles.BANK, {"bank": tiny_bank().astype(np.float64)}),
        (bundles.BANK, {"bank": tiny_bank() * np.float32("nan")}),
        (bundles.BANK, {"bank": tiny_bank() * np.float32("-inf")}),
        (bundles.BANK, {"Bank": tiny_bank()}),
        (bundles.NEIGHBOURS, {"neighbours": np.zeros((len(tiny_bank()), 2), np.int32)}),
        (bundles.NEIGHBOURS, {"neighbours": np.full((len(tiny_bank()), 5), len(tiny_bank()), np.int32)}),
        (bundles.MEASURE, {**MEASURE, "scale": np.ones(2, np.float32)}),
        (bundles.MEASURE, {**MEASURE, "scale": np.float32([1, 0, 1])}),
        (bundles.MEASURE, {**MEASURE, "scale": np.float32([1, -1, 1])}),
        (bundles.MEASURE, {**MEASURE, "scale": np.float32([1, np.inf, 1])}),
        (bundles.MEASURE, {**MEASURE, "scale": np.float32([1, np.nan, 1])}),
        (bundles.MEASURE, {**MEASURE, "scale": np.ones(3)}),
        (bundles.MEASURE, {**MEASURE, "spacing": MEASURE["spacing"][1:]}),
        (bundles.MEASURE, {**MEASURE, "spacing": MEASURE["spacing"] - 1}),
        (bundles.MEASURE, {**MEASURE, "spacing": MEASURE["spacing"] * np.float32("nan")}),
        (bundles.MEASURE, {**MEASURE, "spacing": MEASURE["spacing"] + np.float32("inf")}),
        (bundles.MEASURE, {**MEASURE, "spacing": MEASURE["spacing"] + HUGE, "mean": np.full(1, HUGE)}),
        (bundles.MEASURE, {**MEASURE, "mean": np.ones(2, np.float32)}),
        (bundles.MEASURE, {**MEASURE, "mean": np.zeros(1, np.float32)}),
        (bundles.MEASURE, {**MEASURE, "mean": np.float32([np.nan])}),
        (bundles.MEASURE, {"scale": MEASURE["scale"], "spacing": MEASURE["spacing"]}),
        (bundles.MEASURE, {**MEASURE, "scale": np.float32([1, 2, 1])}),
        (bundles.MEASURE, {**MEASURE, "mean": np.float32([2])}),
    ],
)
def test_arrays_that_do_not_fit_are_refused(copy: Path, name: str, found: dict[str, np.ndarray]) -> None:
    """Whole files of other shapes, of what is no number, or that name entries beyond the bank, are refused."""
    arrays.write(copy / name, **found)
    write_manifest(copy, len(tiny_bank()))
    with pytest.raises(errors.BundleShapeMismatch, match=name):
        load(copy)


@pytest.mark.parametrize("name", [bundles.BANK, bundles.NEIGHBOURS, bundles.MEASURE, bundles.GOLDEN])
@pytest.mark.parametrize("content", [b"", b"garbage", b"\x93NUMPY\x01\x00", b"PK\x03\x04", safetensors_of(b"{}")])
def test_file_of_another_kind_is_refused(copy: Path, name: str, content: bytes) -> None:
    """A listed file that is no array, or no golden frames, is refused."""
    (copy / name).write_bytes(content)
    write_manifest(copy, len(tiny_bank()))
    with pytest.raises(errors.BundleShapeMismatch, match=name):
        load(copy)


PICTURE = np.zeros((4, 4, 3), np.uint8)


@pytest.mark.parametrize(
    "changed",
    [
        {"scores": np.zeros(0)},
        {"scores": np.ones(1)},
        {"scores": np.ones(2, np.float32)},
        {"frame_0": np.zeros((4, 4), np.uint8)},
        {"frame_0": np.zeros((4, 4, 3), np.float32)},
        {"frame_0": np.zeros((0, 4, 3), np.uint8)},
        {"frame_2": PICTURE},
        {"frame_3": PICTURE},
        {"more": PICTURE},
        {"distances": np.ones((2, 63), np.float32)},
        {"distances": np.ones((1, 64), np.float32)},
        {"distances": np.ones((2, 64))},
        {"distances": np.array(1, np.float32)},
        {"decided": np.zeros((2, 2), np.int32)},
        {"decided": np.zeros((2, 3), np.int64)},
        {"decided": np.full((2, 2), 64)},
        {"decided": np.array([[0, len(tiny_bank())], [0, 0]])},
    ],
)
def test_golden_frames_must_be_pictures(copy: Path, changed: dict[str, np.ndarray]) -> None:
    """Golden frames that are no pictures, or without a distance for each patch and what decided, are refused."""
    edit_arrays(copy / bundles.GOLDEN, lambda found: {**found, **changed})
    write_manifest(copy, len(tiny_bank()))
    with pytest.raises(errors.BundleShapeMismatch, match="golden"):
        load(copy)


@pytest.mark.parametrize("name", ["frame_0", "frame_1", "scores", "distances", "decided", "scene_reference"])
def test_golden_frames_must_be_whole(copy: Path, name: str) -> None:
    """Golden frames of which one array is missing are refused."""
    edit_arrays(copy / bundles.GOLDEN, lambda found: {key: it for key, it in found.items() if key != name})
    write_manifest(copy, len(tiny_bank()))
    with pytest.raises(errors.BundleShapeMismatch, match="golden"):
        load(copy)


@pytest.mark.parametrize(
    "reference",
    [np.zeros((90, 160, 3), np.uint8), np.zeros((90, 160)), np.zeros((8, 160), np.uint8), np.array(7, np.uint8)],
)
def test_scene_reference_must_be_a_thumbnail(copy: Path, reference: np.ndarray) -> None:
    """A reference of the scene that is no small grey picture is refused."""
    edit_golden(copy, "scene_reference", lambda _: reference)
    write_manifest(copy, len(tiny_bank()))
    with pytest.raises(errors.BundleShapeMismatch, match="scene_reference"):
        load(copy)


def test_map_and_stride_that_give_another_grid_are_refused(copy: Path) -> None:
    """A manifest whose grid is not that of its map and stride is refused."""
    edit_manifest(copy, lambda tree: tree["features"].update(stride=2))
    with pytest.raises(errors.BundleShapeMismatch, match="grid"):
        load(copy)


def test_crop_larger_than_the_picture_is_refused(copy: Path) -> None:
    """A manifest that crops more than it resizes to is refused."""
    edit_manifest(copy, lambda tree: tree["preprocessing"].update(resize_hw=[8, 8]))
    with pytest.raises(errors.BundleShapeMismatch, match="crops"):
        load(copy)


def test_pickled_array_is_never_loaded(copy: Path) -> None:
    """An array that would run code when loaded is refused."""
    with (copy / bundles.BANK).open("wb") as stream:
        np.save(stream, np.array([print], dtype=object), allow_pickle=True)
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
    edit_golden(copy, "scores", lambda scores: scores * 1.01)
    write_manifest(copy, len(tiny_bank()))
    with pytest.raises(errors.BundleParity, match="golden frames differ on this machine"):
        load(copy)


def test_nothing_is_left_where_writing_fails(tmp_path: Path) -> None:
    """A bundle whose writing fails leaves neither the bundle nor a temporary folder."""
    with pytest.raises(ZeroDivisionError), staging(tmp_path / "new.bundle") as folder:
        (folder / bundles.MODEL).write_bytes(b"half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_existing_target_is_kept(tmp_path: Path) -> None:
    """What is at the target stays, unless the new bundle is complete and was to replace it."""
    target = tmp_path / "old.bundle"
    target.mkdir()
    (target / bundles.BANK).write_text("old")
    (target / "bank.npy").write_text("of format 2")
    with pytest.raises(errors.TargetExists), staging(target):
        pass
    with pytest.raises(ZeroDivisionError), staging(target, force=True):
        raise ZeroDivisionError
    with pytest.raises(KeyboardInterrupt), staging(target, force=True):
        raise KeyboardInterrupt
    assert (target / bundles.BANK).read_text() == "old"
    with staging(target, force=True) as folder:
        (folder / bundles.MODEL).write_text("new")
    assert [entry.name for entry in target.iterdir()] == [bundles.MODEL]
    assert [entry.name for entry in tmp_path.iterdir()] == ["old.bundle"]


@pytest.mark.parametrize("name", ["pictures", "pictures/../pictures/", "file.txt"])
def test_what_is_no_bundle_is_never_replaced(tmp_path: Path, name: str) -> None:
    """--force replaces a bundle, and never a folder of pictures or a file that was named by mistake."""
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "one.png").write_bytes(b"dear")
    (tmp_path / "file.txt").write_bytes(b"dear")
    with pytest.raises(errors.TargetExists, match="not a bundle"), staging(tmp_path / name, force=True):
        pass
    assert (tmp_path / "pictures" / "one.png").read_bytes() == b"dear"
    assert (tmp_path / "file.txt").read_bytes() == b"dear"


# A bundle whose files are whole, but not those that were sealed: a device must not serve it.


def edit_graph(bundle: Path, change: Callable[[onnx.GraphProto], None]) -> None:
    model = onnx.load(bundle / bundles.MODEL)
    change(model.graph)
    onnx.checker.check_model(model)
    onnx.save(model, bundle / bundles.MODEL)


def keep_colours(graph: onnx.GraphProto) -> None:
    """Leave out that BGR becomes RGB: the first convolution takes the colours of each pixel the other way round."""
    name = next(node.input[1] for node in graph.node if node.op_type == "Conv")
    weights = next(tensor for tensor in graph.initializer if tensor.name == name)
    rows = numpy_helper.to_array(weights)
    swapped = rows.reshape(*rows.shape[:3], -1, 3)[..., ::-1].reshape(rows.shape)
    weights.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(swapped), name))


def shift_mean(graph: onnx.GraphProto) -> None:
    """Subtract another mean, by one level of 255."""
    name = next(node.input[1] for node in graph.node if node.op_type == "Sub")
    constant = next(tensor for tensor in graph.initializer if tensor.name == name)
    constant.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(constant) + np.float32(1), name))


def swap_index(bundle: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Put the index of another bank of the same size in place."""
    build_index(change(load_file(bundle / bundles.BANK)["bank"])).save_index(str(bundle / bundles.INDEX))


def crop_elsewhere(bundle: Path) -> None:
    """Resize to more and crop: pictures are enlarged beside what was learnt."""
    edit_manifest(bundle, lambda tree: tree["preprocessing"].update(resize_hw=[72, 72]))


CHANGED: dict[str, tuple[Callable[[Path], None], str]] = {
    "colour order": (lambda bundle: edit_graph(bundle, keep_colours), "differ"),
    "mean": (lambda bundle: edit_graph(bundle, shift_mean), "differ"),
    "preprocessing": (crop_elsewhere, "differ"),
    "index of another bank": (lambda bundle: swap_index(bundle, lambda bank: bank * 2), "another bank"),
    "index in another order": (lambda bundle: swap_index(bundle, lambda bank: bank[::-1]), "another bank"),
    "golden scores": (lambda bundle: edit_golden(bundle, "scores", lambda it: it * 1.01), "differ"),
    "golden distances": (lambda bundle: edit_golden(bundle, "distances", lambda it: it * np.float32(1.01)), "differ"),
    "golden scores of no value": (lambda bundle: edit_golden(bundle, "scores", lambda it: it * np.nan), "differ"),
    "one golden distance of no value": (
        lambda bundle: edit_golden(bundle, "distances", lambda it: np.where(it == it.max(), np.float32(np.nan), it)),
        "differ",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGED)
def test_bundle_that_is_not_what_was_sealed_is_not_served(small_bundle: Path, tmp_path: Path, name: str) -> None:
    """`check` and `run` refuse a bundle whose stages differ from those that scored its golden frames: 65, one line."""
    bundle = Path(shutil.copytree(small_bundle, tmp_path / "changed.bundle"))
    change, said = CHANGED[name]
    change(bundle)
    reseal(bundle)
    checked = call_device("check", bundle)
    ran = call(*DEVICE, "run", "--bundle", bundle, "--source", tmp_path, "--bind", f"ipc://{tmp_path}/events")
    for code, line in ((checked.code, checked.err), (ran.returncode, ran.stderr)):
        assert code == 65
        assert len([said for said in line.splitlines() if not said.startswith("{")]) == 1  # the rest is the log
        assert said in line


def test_device_with_another_kernel_does_not_serve(small_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A runtime that resizes by another kernel than the exporter finds it out on the golden frames."""
    monkeypatch.setattr(runtime.inference.load, "Preprocess", NearestPixel)
    with pytest.raises(errors.BundleParity, match="differ on this machine"):
        load(small_bundle)


class NearestPixel(Preprocess):
    """Picks a pixel where it should average."""

    def __call__(self, image: Image) -> np.ndarray:
        """Resize to the input of the graph."""
        return super().__call__(cv2.resize(image, (64, 64), interpolation=cv2.INTER_NEAREST))


def test_provider_without_a_tolerance_is_named(small_bundle: Path, tmp_path: Path) -> None:
    """A manifest that does not say how far this provider may differ is refused, and the provider is named."""
    bundle = Path(shutil.copytree(small_bundle, tmp_path / "changed.bundle"))
    parity = bundles.read(bundle).manifest.parity
    others = {name: it for name, it in parity.tolerances.items() if name != "CPUExecutionProvider"}
    reseal(bundle, parity=msgspec.structs.replace(parity, tolerances=others))
    done = call_device("check", bundle)
    assert done.code == 65
    assert len(done.err.splitlines()) == 1
    assert "no tolerance for CPUExecutionProvider" in done.err
    assert "CUDAExecutionProvider" in done.err


@pytest.mark.slow
def test_check_tells_how_near_this_machine_is(small_bundle: Path) -> None:
    """`check` of a good bundle ends with 0, and gives the figures and what is allowed, for people and for machines."""
    done = call(*DEVICE, "check", small_bundle)
    assert (done.returncode, done.stderr) == (0, "")
    assert "4 golden frames on CPUExecutionProvider" in done.stdout
    shown = json.loads(call_device("check", small_bundle, "--json").out)
    assert shown["good"] is True
    assert shown["bundle"] == bundles.read(small_bundle).id
    assert (shown["provider"], shown["frames"]) == ("CPUExecutionProvider", 4)
    assert shown["scores"] <= SAME
    assert shown["distances_mean"] <= SAME
    assert shown["tolerance"] == {"scores": 1e-3, "distances_mean": 1e-3}


def test_check_gives_the_figures_of_a_bundle_that_it_refuses(small_bundle: Path, tmp_path: Path) -> None:
    """Where this machine differs too much, the figures are given all the same: they say by how much."""
    bundle = Path(shutil.copytree(small_bundle, tmp_path / "changed.bundle"))
    edit_golden(bundle, "scores", lambda scores: scores * 1.01)
    reseal(bundle)
    done = call_device("check", bundle, "--json")
    assert done.code == 65
    shown = json.loads(done.out)
    assert shown["good"] is False
    assert shown["scores"] == pytest.approx(1 - 1 / 1.01, rel=1e-3)
