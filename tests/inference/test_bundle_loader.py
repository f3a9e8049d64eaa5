"""Bundles in the inference worker: shared by cameras, taken over by the next one, and read as a whole."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest

from edge_config.bundle import files as bundles
from edge_config.errors import BundleError, BundleMissing
from runtime.frame import Wanted
from runtime.inference.bundle_loader import BundleLoader
from runtime.inference.protocol import ScoringOptions
from tests.support.fakes.worker import Marked
from tests.support.tiny import THRESHOLD, normal_picture, with_threshold

PLAIN = Wanted(THRESHOLD, math.inf)


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """Return a bundle that may be changed."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "mine.bundle"))


def test_cameras_with_the_same_bundle_share_all_but_what_they_remember(bundle: Path, tmp_path: Path) -> None:
    """One session and one bank serve two cameras, at once or one after the other; each has its own search."""
    loader = BundleLoader(ScoringOptions(1))
    _, stages = loader.load(["cam1", "cam2"], str(bundle))
    elsewhere = shutil.copytree(bundle, tmp_path / "same.bundle")
    stages |= loader.load(["cam3"], str(elsewhere))[1]
    scorers = [stages[name].scorer for name in ("cam1", "cam2", "cam3")]
    assert len({id(scorer.embed) for scorer in scorers}) == 1
    assert len({id(scorer.whole) for scorer in scorers}) == 1
    assert len({id(scorer.search) for scorer in scorers}) == 3


def test_inspection_goes_on_over_a_swap(bundle: Path, tmp_path: Path) -> None:
    """What the first stage of a camera has found is handed on to the next bundle, and to no other camera."""

    class Inspection:
        def __init__(self, bundle: bundles.Bundle) -> None:
            self.reason = str(bundle.manifest.calibration.threshold)

        def after(self, before: Inspection) -> Inspection:
            self.reason += f" after {before.reason}"
            return self

        def __call__(self, _picture: object, _t_mono_ns: int) -> Marked:
            return Marked(reason=self.reason)

    loader = BundleLoader(ScoringOptions(1), inspection=Inspection)
    (old, other), new_bundle = loader.load(["cam1", "cam2"], str(bundle))[1].values(), tmp_path / "new.bundle"
    old, other = old.take_over(None), other.take_over(None)
    new = loader.load(["cam1"], str(with_threshold(bundle, new_bundle, 70.0)))[1]["cam1"].take_over(old)
    first = str(bundles.read(bundle).manifest.calibration.threshold)
    found = [one.score(one.embed(normal_picture(1), 0), PLAIN)[0].scene_reason for one in (old, other, new)]
    assert found == [first, first, f"70.0 after {first}"]


def test_bundle_that_is_replaced_while_it_is_read_is_read_again(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of two bundles never make one: what was replaced half-way is read from the start."""
    new = with_threshold(bundle, tmp_path / "new.bundle", 70.0)
    read = bundles.read

    def read_and_replace(path: str, *how: object, **also: object) -> bundles.Bundle:
        monkeypatch.setattr(bundles, "read", read)
        found = read(path, *how, **also)
        bundle.rename(tmp_path / "old.bundle")
        new.rename(bundle)
        return found

    monkeypatch.setattr(bundles, "read", read_and_replace)
    info, _ = BundleLoader(ScoringOptions(1)).load(["cam1"], str(bundle))
    assert info.threshold == 70.0
    assert info.id == read(bundle).id


def test_no_bundle_at_all_is_said(tmp_path: Path) -> None:
    """The service passes on what is wrong with a path."""
    with pytest.raises(BundleMissing):
        BundleLoader(ScoringOptions(1)).load(["cam1"], str(tmp_path / "none"))
    assert issubclass(BundleMissing, BundleError)
