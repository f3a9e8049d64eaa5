"""Bundles that a device signs itself: what its key cannot do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from nacl.signing import SigningKey

from edge_config import errors
from edge_config.bundle import files as bundles
from edge_config.settings.sections import Trust
from runtime.security.children import read_child
from runtime.security.trust import Judge
from tests.support.fakes.learner import child
from tests.support.forge import edit_arrays, edit_manifest, public, reseal, sign

WORKSHOP, DEVICE, STRANGER = (SigningKey(bytes([number]) * 32) for number in range(3))
TRUST = Trust(keys=(public(WORKSHOP),))


@pytest.fixture
def root(tiny_bundle: Path, tmp_path: Path) -> Path:
    """Return the bundle of the settings, which the workshop has signed."""
    made = Path(shutil.copytree(tiny_bundle, tmp_path / "root.bundle"))
    sign(made, WORKSHOP)
    return made


@pytest.fixture
def learnt(root: Path) -> Path:
    """Return a child of it that the device has signed."""
    made = root.with_name("learnt.bundle")
    child(root, made)
    sign(made, DEVICE)
    return made


def read(learnt: Path, root: Path, trust: Trust = TRUST, key: SigningKey | None = DEVICE) -> str:
    return read_child(learnt, root, trust, public(key) if key else "").id


def test_child_that_the_device_signed_is_trusted(root: Path, learnt: Path) -> None:
    """A learnt bundle, signed by the device's own key, is read; one that the workshop has signed is, too."""
    assert read(learnt, root) == bundles.read(learnt).id
    sign(learnt, WORKSHOP)
    assert read(learnt, root, key=None) == bundles.read(learnt).id


def test_child_of_a_child_is_a_child(root: Path, learnt: Path) -> None:
    """A bundle of the second round has the same root."""
    second = root.with_name("second.bundle")
    child(learnt, second)
    sign(second, DEVICE)
    assert read(second, root) == bundles.read(second).id


def test_child_of_a_learnt_root_is_a_child(root: Path, learnt: Path) -> None:
    """Where the settings, or a fleet, name a bundle that was learnt itself, a bundle that grew from it is its child."""
    sign(learnt, WORKSHOP)
    second = root.with_name("second.bundle")
    child(learnt, second)
    sign(second, DEVICE)
    assert read(second, learnt) == bundles.read(second).id
    edit_arrays(second / bundles.BANK, lambda found: {"bank": found["bank"][::-1].copy()})
    reseal(second)
    sign(second, DEVICE)
    with pytest.raises(errors.BundleNoChild, match="does not begin with"):
        read(second, learnt)


def of_another_root(learnt: Path) -> None:
    edit_manifest(learnt, lambda tree: tree["lineage"].update(root="f" * 64))


def of_no_root(learnt: Path) -> None:
    edit_manifest(learnt, lambda tree: tree.pop("lineage"))


def with_another_graph(learnt: Path) -> None:
    with (learnt / bundles.MODEL).open("ab") as stream:
        stream.write(b"\0")
    reseal(learnt)


def with_another_picture_size(learnt: Path) -> None:
    edit_manifest(learnt, lambda tree: tree["preprocessing"].update(crop_hw=[16, 16]))


def that_ignores_everything(learnt: Path) -> None:
    edit_manifest(learnt, lambda tree: tree.update(ignore=[[[0, 0], [64, 0], [64, 48]]], regions_hw=[48, 64]))


def with_another_bank(learnt: Path) -> None:
    def change(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"bank": np.roll(found["bank"], 1, axis=0)}

    edit_arrays(learnt / bundles.BANK, change)
    reseal(learnt)


def that_divides_by_more(learnt: Path) -> None:
    def change(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {**found, "mean": found["mean"] + 1}

    edit_arrays(learnt / bundles.MEASURE, change)
    reseal(learnt)


@pytest.mark.parametrize(
    "change",
    [
        of_another_root,
        of_no_root,
        with_another_graph,
        with_another_picture_size,
        that_ignores_everything,
        with_another_bank,
        that_divides_by_more,
    ],
)
def test_device_key_signs_nothing_but_children(root: Path, learnt: Path, change: Callable[[Path], None]) -> None:
    """What is no child of the settings' bundle is refused, though the device's key has signed it."""
    change(learnt)
    sign(learnt, DEVICE)
    with pytest.raises(errors.BundleNoChild):
        read(learnt, root)
    with pytest.raises(errors.BundleKeyUnknown):  # in place of the settings' bundle it is worth nothing at all
        bundles.read(learnt, Judge(TRUST))


def test_copied_signature_is_refused(root: Path, learnt: Path) -> None:
    """A signature of the device on another child, or that of the workshop on the root, fits this one not at all."""
    other = root.with_name("other.bundle")
    child(learnt, other)
    for signed in (learnt, root):
        shutil.copy(signed / bundles.SIGNATURE, other / bundles.SIGNATURE)
        with pytest.raises(errors.BundleSignatureInvalid):
            read(other, root)


def test_child_that_nobody_or_a_stranger_signed_is_refused(root: Path, learnt: Path) -> None:
    """Where keys are named, a child needs a signature, by the device's key or a trusted one."""
    sign(learnt, STRANGER)
    with pytest.raises(errors.BundleKeyUnknown, match="device_key"):
        read(learnt, root)
    (learnt / bundles.SIGNATURE).unlink()
    with pytest.raises(errors.BundleUnsigned):
        read(learnt, root)
    assert read(learnt, root, Trust(keys=TRUST.keys, unsigned="allow")) == bundles.read(learnt).id


def test_child_counts_only_with_a_trusted_root(root: Path, learnt: Path) -> None:
    """Where the settings' bundle itself is not trusted, its child is not either, by whichever key it is signed."""
    (root / bundles.SIGNATURE).unlink()
    with pytest.raises(errors.BundleUnsigned):
        read(learnt, root)
    sign(root, STRANGER)
    with pytest.raises(errors.BundleKeyUnknown):
        read(learnt, root)


def test_device_without_a_key_trusts_no_signature_of_one(root: Path, learnt: Path) -> None:
    """Once `trust.device_key` is taken out of the settings, nothing that it has signed is served any more."""
    with pytest.raises(errors.BundleKeyUnknown):
        read(learnt, root, key=None)


def test_damaged_child_is_refused(root: Path, learnt: Path) -> None:
    """A changed byte of a learnt bundle is found as in any other."""
    with (learnt / bundles.BANK).open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        stream.write(b"\x55")
    with pytest.raises(errors.BundleFileHash):
        read(learnt, root)
