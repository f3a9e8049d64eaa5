"""Bundles that are reloaded: which are, which requests are answered and when, and what counts as another bundle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

import pytest
from structlog.testing import capture_logs

from edge_config.wire.requests import Reload
from runtime.events import Asked, ReloadBundles, Reloaded, ReloadRefused
from runtime.frame import BundleInfo
from tests.support.fakes.parts import NEW, OLD, Clock, Feed, Parts

OTHER = "/bundles/other"
CHANGED = (None, None)
"""A reload of everything."""


class Rig(Parts):
    """Two live cameras and a recording, all of one bundle."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, SimpleQueue().put, {"top": Feed(live=True), "side": Feed(live=True), "clip": Feed()})
        self.serve(OLD)
        for camera in self.cameras.values():
            camera.status.connect("live", "delivers pictures")

    def serve(self, bundle: BundleInfo) -> None:
        """Have all cameras scored with a bundle from the start of the worker."""
        self.bundles.ready(dict.fromkeys(self.cameras, bundle))

    def ask(self, number: int, camera: str | None = None, path: str | None = None) -> None:
        """Ask for a reload."""
        self.requests.handle(Asked(number, Reload(camera=camera, path=path)))

    def take(self, path: str) -> None:
        """Have the engine take a bundle into service."""
        self.bundles.taken(Reloaded(("top",), replace(NEW, path=path)))

    def refuse(self, path: str, error: str) -> None:
        """Have the engine refuse a bundle."""
        self.bundles.refused(ReloadRefused(("top",), path, error))

    def looks(self) -> int:
        """Look for replaced bundles; return how often everything was reloaded for it, so far."""
        self.bundles.look()
        return self.engine.reloads.count(CHANGED)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """Yield what is tested."""
    rig = Rig(tmp_path)
    yield rig
    rig.monitor.close()


def put(path: Path) -> BundleInfo:
    """Put another folder at a path, by renaming."""
    new = path.with_name("new")
    new.mkdir()
    if path.exists():
        path.rename(path.with_name(f"before-{len(list(path.parent.iterdir()))}"))
    new.rename(path)
    return replace(OLD, path=str(path))


def test_renamed_bundle_is_noticed_once(rig: Rig, tmp_path: Path) -> None:
    """Another folder at the path of a bundle in service is loaded once, and so is the next one."""
    bundle = put(tmp_path / "site.bundle")
    rig.serve(bundle)
    assert rig.looks() == 0
    put(tmp_path / "site.bundle")
    assert [rig.looks(), rig.looks()] == [1, 1]
    rig.bundles.taken(Reloaded(tuple(rig.cameras), bundle))
    assert rig.looks() == 1
    put(tmp_path / "site.bundle")
    assert [rig.looks(), rig.looks()] == [2, 2]


def test_bundles_are_looked_at_once_a_second(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The turns of the main loop notice a replaced bundle within a second, and most of them look at no disk."""
    clock = Clock()
    monkeypatch.setattr("runtime.app.answer_requests.time", clock)
    rig.serve(put(tmp_path / "site.bundle"))
    rig.requests.turn()
    put(tmp_path / "site.bundle")
    rig.requests.turn()
    assert rig.engine.reloads == []
    clock.now_s += 1
    rig.requests.turn()
    assert rig.engine.reloads == [CHANGED]


def test_bundle_that_is_put_there_while_another_is_loaded_is_noticed(rig: Rig, tmp_path: Path) -> None:
    """What comes between the notice and the service of the one before is not taken for it."""
    bundle = put(tmp_path / "site.bundle")
    rig.serve(bundle)
    put(tmp_path / "site.bundle")
    assert rig.looks() == 1
    put(tmp_path / "site.bundle")
    rig.bundles.taken(Reloaded(tuple(rig.cameras), bundle))
    assert rig.looks() == 2


def test_bundle_that_is_taken_away_is_no_other_one(rig: Rig, tmp_path: Path) -> None:
    """A path where nothing lies changes nothing, nor does the same bundle put back; another one does."""
    path = tmp_path / "site.bundle"
    rig.serve(put(path))
    away = path.rename(tmp_path / "away")
    assert rig.looks() == 0
    away.rename(path)
    assert rig.looks() == 0
    path.rename(away)
    put(path)
    assert rig.looks() == 1


def test_good_bundle_in_place_of_one_that_failed_is_noticed(rig: Rig, tmp_path: Path) -> None:
    """A camera whose bundle was bad when the worker was restarted has failed until another bundle lies there."""
    bad = put(tmp_path / "top.bundle")
    rig.bundles.ready({"top": bad})
    rig.bundles.refused(ReloadRefused(("top",), bad.path, "damaged", kept=False))
    rig.bundles.ready({"side": OLD, "clip": OLD})
    assert rig.cameras["top"].status.state == "failed"
    good = put(tmp_path / "top.bundle")
    assert rig.looks() == 1
    rig.bundles.taken(Reloaded(("top",), good))
    assert rig.cameras["top"].status.state == "live"


def test_signal_reloads_all_bundles_once(rig: Rig, tmp_path: Path) -> None:
    """On a signal the engine reloads everything, once, also where another bundle was put there before it came."""
    rig.serve(put(tmp_path / "site.bundle"))
    put(tmp_path / "site.bundle")
    rig.requests.handle(ReloadBundles("SIGHUP"))
    assert rig.engine.reloads == [CHANGED]
    assert rig.looks() == 1


def test_another_depth_is_said_of_a_folder_that_is_being_played(rig: Rig) -> None:
    """A folder that is being played at another depth than its new bundle learnt is a warning; cameras have none."""
    with capture_logs() as lines:
        rig.bundles.taken(Reloaded(tuple(rig.cameras), NEW))
        assert [one for one in lines if one["log_level"] == "warning"] == []
        rig.bundles.taken(Reloaded(tuple(rig.cameras), replace(NEW, depth=12)))
    (warning,) = (one for one in lines if one["log_level"] == "warning")
    assert (warning["camera"], warning["depth"], warning["of_the_bundle"]) == ("clip", 16, 12)


@pytest.mark.parametrize("kept", [True, False])
def test_reload_is_refused_once_with_the_reason(rig: Rig, kept: bool) -> None:  # noqa: FBT001
    """A refused bundle, or a worker lost while it loads one, refuses the request; only what serves none has failed."""
    rig.ask(1, "top", NEW.path)
    assert rig.engine.reloads == [("top", NEW.path)]
    assert rig.control.answers == []
    refused = ReloadRefused(("top",), NEW.path, f"{NEW.path}: the inference worker was lost", kept=kept)
    rig.requests.handle(refused)
    rig.requests.handle(refused)
    assert rig.control.answers == [(1, False, refused.error)]
    assert rig.cameras["top"].status.state == ("live" if kept else "failed")
    assert rig.cameras["top"].bundle == OLD


def test_reload_is_answered_once_and_in_every_message_from_then_on(rig: Rig) -> None:
    """The answer comes when the bundle is in service; the next message has its id, and so have the metrics."""
    rig.ask(1, path=NEW.path)
    taken = Reloaded(tuple(rig.cameras), NEW)
    rig.requests.handle(taken)
    rig.requests.handle(taken)
    assert rig.control.answers == [(1, True, {"reloaded": True})]
    assert rig.publisher.of("health", "bundle", camera="top") == [NEW.id]  # at once, and once
    assert rig.cameras["top"].threshold == NEW.threshold
    assert rig.figure(f'bundle_info{{camera="top",id="{NEW.id}"}} 1.0')


def test_new_bundle_below_a_learnt_version_is_loaded(rig: Rig) -> None:
    """Where the settings' bundle was replaced while a version learnt from it serves, a reload loads the new one."""
    rig.versions.roots = {"top": NEW.path}
    rig.ask(1, "top")
    assert rig.engine.reloads == [("top", None), ("top", NEW.path)]
    rig.take(OLD.path)
    assert rig.control.answers == []
    rig.take(NEW.path)
    assert rig.control.answers == [(1, True, {"reloaded": True})]


def test_reload_before_there_is_a_bundle_is_answered(tmp_path: Path) -> None:
    """A request that comes while the worker loads its first bundle waits for that path, and gets an answer."""
    parts = Parts(tmp_path, SimpleQueue().put, {"top": Feed(live=True)})
    parts.requests.handle(Asked(1, Reload(camera="top")))
    parts.bundles.taken(Reloaded(("top",), OLD))
    assert parts.control.answers == [(1, True, {"reloaded": True})]
    parts.monitor.close()


def test_reload_of_an_unknown_camera_is_refused_at_once(rig: Rig) -> None:
    """The refusal names the cameras that there are, and nothing is loaded."""
    rig.ask(1, "bottom")
    assert rig.control.answers == [(1, False, "no camera `bottom`; known: top, side, clip")]
    assert rig.engine.reloads == []


def test_request_is_answered_when_all_its_bundles_are(rig: Rig) -> None:
    """A reload of all cameras is done when the last bundle is, and answered once."""
    rig.engine.serving["side"] = OTHER
    rig.ask(1)
    rig.take(OLD.path)
    assert rig.control.answers == []
    rig.take(OTHER)
    rig.take(OTHER)
    assert rig.control.answers == [(1, True, {"reloaded": True})]


def test_one_bad_bundle_refuses_the_request(rig: Rig) -> None:
    """Of two bundles the bad one is named, whether it is the first or the last to be answered."""
    rig.engine.serving["side"] = OTHER
    for number, bad in enumerate([OLD.path, OTHER], start=1):
        rig.ask(number)
        for path in (OLD.path, OTHER):
            if path == bad:
                rig.refuse(path, f"{path}: damaged")
            else:
                rig.take(path)
        assert rig.control.answers[-1] == (number, False, f"{bad}: damaged")
    assert len(rig.control.answers) == 2


def test_answers_of_others_are_passed_over(rig: Rig) -> None:
    """A request for one bundle does not take the answer about another, or one that nobody asked for."""
    rig.refuse(OLD.path, "nobody asked")
    rig.ask(1, "top", NEW.path)
    rig.refuse(OLD.path, "not this one")
    assert rig.control.answers == []
    rig.take(NEW.path)
    assert rig.control.answers == [(1, True, {"reloaded": True})]


def test_all_who_asked_for_a_bundle_are_answered(rig: Rig) -> None:
    """Two requests for the same bundle get an answer each."""
    for number in (1, 2):
        rig.ask(number, "top")
    rig.take(OLD.path)
    rig.take(OLD.path)
    assert sorted(number for number, _, _ in rig.control.answers) == [1, 2]
