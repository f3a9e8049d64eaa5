"""Requests about candidates, and what a shadow counts, by the clock of the test."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge_config.settings.sections import Alerts
from edge_config.wire.candidates import (
    ActivateBundle,
    CandidateNow,
    GoBack,
    ReadStaged,
    ShadowBundle,
    StageBundle,
    UnstageBundle,
)
from runtime.alerts.monitored_camera import MonitoredCamera
from runtime.app.candidate_shadow import MAX_SHARE, STRAINED_EVERY_S, CandidateShadow
from runtime.app.candidates.candidate_requests import CandidateRequests
from runtime.app.candidates.staging_folders import StagingFolders
from runtime.events import Asked, CandidateLoaded, EngineLost, Scored, ShadowScored
from runtime.frame import BundleInfo, Result, SharedFrame
from tests.support.fakes.parts import Control, Publisher

NOW = BundleInfo("a" * 64, "/bundles/now", 5.0, 0.01, median=1.0)
NEW = BundleInfo("b" * 64, "", 10.0, 0.01, median=2.0)
MB = 1 << 20
STEP_NS = 100_000_000


class Beside:
    """What loads candidates: it takes each, and a test answers."""

    def __init__(self) -> None:
        self.loads: list[tuple[str, str]] = []
        self.dropped: list[str] = []
        self.there = True

    def load(self, camera: str, path: str) -> int | None:
        self.loads.append((camera, path))
        return len(self.loads) if self.there else None

    def drop(self, camera: str) -> None:
        self.dropped.append(camera)


class Roots:
    """Nothing is assigned; what is asked for is kept."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.staged: set[str] = set()
        self.pointer: Any = None

    def of(self, _camera: str) -> Any:
        return self.pointer

    def stage(self, _camera: str, path: str) -> None:
        self.staged.add(path)

    def collect(self, _camera: str, needed: Collection[str], delete: Any) -> None:
        delete(self.staged - set(needed))
        self.staged &= set(needed)

    def activate(self, *asked: Any) -> None:
        self.asked.append(asked)

    def go_back(self, *asked: Any) -> None:
        self.asked.append(asked)


class Rig:
    """What answers, and all around it."""

    def __init__(self, folder: Path) -> None:
        self.fleet = folder / "fleet"
        self.beside, self.roots, self.control = Beside(), Roots(), Control()
        self.free: int | None = 100 * MB
        cameras = {name: MonitoredCamera(name, Publisher()) for name in ("top", "side")}
        self.channels: Any = {name: SimpleNamespace(camera=camera, shadow=None) for name, camera in cameras.items()}
        for camera in cameras.values():
            camera.serve(NOW)
        settings: Any = SimpleNamespace(fleet=SimpleNamespace(folder=str(self.fleet)))
        folders = StagingFolders(settings)
        parts: Any = self.channels, self.control, self.beside, self.roots, folders, lambda: self.free
        self.requests = CandidateRequests(*parts)
        self._number = 0

    def bundle(self, name: str) -> str:
        """Put something into the folder of the fleet that may be a bundle, of 1 MB."""
        path = self.fleet / name
        path.mkdir(parents=True)
        (path / "bank").write_bytes(bytes(MB))
        return str(path)

    def ask(self, request: Any) -> Any:
        """Send a request; return its reply, or the reason why it was refused."""
        self._number += 1
        assert self.requests.answer(Asked(self._number, request))
        return next((answer[2] for answer in self.control.answers if answer[0] == self._number), None)

    def stage(self, name: str = "new", camera: str = "top") -> str:
        """Stage a candidate that gets ready; return its path."""
        path = self.bundle(name)
        assert self.ask(StageBundle(camera=camera, path=path)).state == "checking"
        self.loaded(path, camera)
        return path

    def loaded(self, path: str, camera: str = "top", problem: str = "") -> None:
        """Answer for the worker."""
        info = None if problem else replace(NEW, path=path)
        event = CandidateLoaded(camera, len(self.beside.loads), info, 1e-6, 10.0, 11.0, problem)
        assert self.requests.handle(event)

    def now(self, camera: str = "top") -> CandidateNow:
        """Return what `staged` says."""
        found = self.ask(ReadStaged(camera=camera))
        assert isinstance(found, CandidateNow)
        return found


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Return what is tested."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    return Rig(tmp_path)


def test_candidate_is_ready_with_its_figures(rig: Rig) -> None:
    """`staged` has what was measured; the same path again changes nothing; `unstage` lets go and deletes it."""
    path = rig.stage()
    found = rig.now()
    assert (found.state, found.id, found.golden_difference) == ("ready", NEW.id, 1e-6)
    assert found.frame_ms is not None
    assert (found.frame_ms.now, found.frame_ms.candidate) == (10.0, 11.0)
    assert rig.ask(StageBundle(camera="top", path=path)).state == "ready"
    assert len(rig.beside.loads) == 1
    assert rig.ask(UnstageBundle(camera="top")).state == "none"
    assert (rig.beside.dropped, Path(path).exists()) == (["top"], False)
    status = rig.requests.status("top")
    assert (status["assigned"], status["candidate"]["state"]) == ("", "none")


def test_one_candidate_of_a_camera(rig: Rig) -> None:
    """Another one replaces it, but not while it is checked; what is left of the first is deleted."""
    first = rig.bundle("first")
    rig.ask(StageBundle(camera="top", path=first))
    second = rig.bundle("second")
    assert rig.ask(StageBundle(camera="top", path=second)).startswith("busy: another candidate of camera `top`")
    rig.loaded(first)
    assert rig.ask(StageBundle(camera="top", path=second)).path == second
    assert (Path(first).exists(), Path(second).exists()) == (False, True)
    rig.loaded(second, problem="golden frames differ")
    assert (rig.now().state, rig.now().reason) == ("refused", "golden frames differ")
    assert rig.ask(ShadowBundle(camera="top", seconds=1)) == "camera `top` has no candidate that is ready"
    assert "has no candidate bbbbbbbbbbbb that is ready" in rig.ask(ActivateBundle(camera="top", bundle=NEW.id))
    assert rig.now("side").state == "none"


def test_bundle_that_other_cameras_need_is_not_deleted(rig: Rig) -> None:
    """A bundle that is the candidate of two cameras is deleted with the second of them."""
    path = rig.stage()
    rig.ask(StageBundle(camera="side", path=path))
    rig.ask(UnstageBundle(camera="top"))
    assert Path(path).exists()
    rig.ask(UnstageBundle(camera="side"))
    assert not Path(path).exists()


def test_candidate_that_there_is_no_memory_for_is_never_loaded(rig: Rig) -> None:
    """With less than twice its size of free memory it is refused, with both figures."""
    rig.free = 2 * MB - 1
    found = rig.ask(StageBundle(camera="top", path=rig.bundle("large")))
    assert (found.state, rig.beside.loads) == ("refused", [])
    assert "it may need 2 MB, 1 MB are free" in found.reason


def test_candidate_goes_with_its_worker(rig: Rig) -> None:
    """When the worker is lost the candidate is refused with the reason, and its shadow ends."""
    rig.stage()
    rig.ask(ShadowBundle(camera="top", seconds=60))
    assert rig.channels["top"].shadow is not None
    assert rig.requests.handle(EngineLost("crashed", "SIGKILL"))
    assert rig.channels["top"].shadow is None
    assert (rig.now().state, rig.now().reason) == ("refused", "the inference worker was lost (SIGKILL): stage it again")
    rig.beside.there = False
    assert rig.ask(StageBundle(camera="top", path=rig.bundle("next"))).startswith("busy: ")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("relative.bundle", "is not an absolute path"),
        ("{fleet}/../elsewhere", "is not an absolute path"),
        ("{fleet}", "is not below"),
        ("/etc", "is not below"),
        ("{fleet}/link", "is a symbolic link"),
        ("{fleet}/linked/new", "is a symbolic link"),
        ("{fleet}/files", "is a symbolic link"),
        ("{fleet}/nothing", "cannot be read"),
    ],
)
def test_where_bundles_may_be_staged_from(rig: Rig, path: str, reason: str) -> None:
    """Other places and symbolic links are refused before anything is read."""
    whole = Path(rig.bundle("whole"))
    (rig.fleet / "link").symlink_to(whole)
    (rig.fleet / "linked").symlink_to(rig.fleet)
    (rig.fleet / "files").mkdir()
    (rig.fleet / "files" / "bank").symlink_to("/etc/passwd")
    assert reason in rig.ask(StageBundle(camera="top", path=path.format(fleet=rig.fleet)))
    assert rig.beside.loads == []


def test_requests_that_change_the_root_are_passed_on(rig: Rig) -> None:
    """`activate` names path and id of the candidate; one that is asked for again is answered."""
    path = rig.stage()
    rig.ask(ActivateBundle(camera="top", bundle=NEW.id, user="Anna"))
    assert rig.roots.asked[0][:4] == ("top", path, NEW.id, "for Anna")
    rig.ask(UnstageBundle(camera="top"))
    before = SimpleNamespace(id="c" * 64, root="d" * 64, path="/fleet/before")
    rig.roots.pointer = SimpleNamespace(id=NEW.id, path=path, before=before)
    again = rig.ask(ActivateBundle(camera="top", bundle=NEW.id))
    assert (again.bundle, again.before) == (NOW.id, before.id)
    now = rig.now()
    assert (now.root, now.before, now.before_root) == (NEW.id, before.id, before.root)
    rig.ask(GoBack(camera="top"))
    assert rig.roots.asked[1][0] == "top"


class ShadowRig:
    """A shadow and its camera; the clock is the test's."""

    def __init__(self, seconds: float = 10.0, frame_s: float = 0.05) -> None:
        self.now_s = 100.0
        self.camera = MonitoredCamera("top", Publisher(), Alerts(min_frames=2, min_ms=100, merge_ms=0))
        self.camera.serve(NOW)
        self.shadow = CandidateShadow(self.camera, NEW, seconds, frame_s, lambda: self.now_s)
        self._frames = 0

    def frame(self, now: float | None, new: float | None, problem: str = "") -> None:
        """Have a frame scored by both."""
        self._frames += 1
        frame = SharedFrame(1, 0, (48, 64), self._frames, 0, self._frames * STEP_NS)
        self.shadow.see(Scored("top", frame, None if now is None else Result(value=now)))
        self.shadow.compare(ShadowScored("top", frame, new, 0.05, problem))


def test_shadow_counts_labels_alerts_and_differences() -> None:
    """Labels and excess are by the threshold of each bundle, alerts by the camera's own alert settings."""
    rig = ShadowRig()
    for now, new in [(1.0, 2.0), (6.0, 9.0), (6.0, 11.0), (6.0, 11.0), (6.0, 11.0), (1.0, 2.0), (1.0, 11.0)]:
        rig.frame(now, new)
    rig.frame(None, 3.0)
    rig.frame(1.0, None, "ValueError: no")
    rig.now_s += 4.0
    found = rig.shadow.figures()
    assert (found.frames, found.differing, found.failed) == (7, 2, 1)
    assert (found.alerts_now, found.alerts_candidate) == (1, 1)
    assert found.max_difference == pytest.approx((11.0 - 10.0) / 8.0 - (1.0 - 5.0) / 4.0)
    assert (found.seconds, found.wanted_s) == (4.0, 10.0)


def test_candidate_with_more_alerts_is_noticed() -> None:
    """Alerts are counted for each bundle, several of them; a threshold of the camera holds for both."""
    rig = ShadowRig()
    for _ in range(3):
        for now, new in [(1.0, 11.0), (1.0, 11.0), (1.0, 11.0), (1.0, 1.0)]:
            rig.frame(now, new)
    assert (rig.shadow.figures().alerts_now, rig.shadow.figures().alerts_candidate) == (0, 3)
    rig.camera.configure(Alerts(threshold=20.0, min_frames=2, min_ms=100, merge_ms=0))
    before = rig.shadow.figures()
    rig.frame(19.0, 19.0)
    rig.frame(21.0, 21.0)
    assert rig.shadow.figures().differing == before.differing


@pytest.mark.parametrize(("sharing", "strained"), [(1, False), (3, False), (1, True)])
def test_shadow_takes_a_share_of_the_time(sharing: int, *, strained: bool) -> None:
    """At 100 frames a second the shadows of all cameras take a tenth of the time; a strained device less."""
    rig = ShadowRig(seconds=60.0, frame_s=0.02)
    rig.shadow.sharing = sharing
    taken = 0
    for _ in range(6001):
        taken += rig.shadow.take(strained=strained)
        rig.now_s += 0.01
    every_s = STRAINED_EVERY_S if strained else 0.02 * sharing / MAX_SHARE
    assert taken == pytest.approx(60 / every_s, abs=2)
    assert rig.shadow.is_over


def test_settings_without_a_fleet_have_the_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the section `fleet` bundles are staged from the state folder, and nothing outside `fleet` is deleted."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    settings: Any = SimpleNamespace(fleet=None)
    folders = StagingFolders(settings)
    for name in ("learnt", "fleet/new"):
        (tmp_path / name).mkdir(parents=True)
        assert folders.why_not(str(tmp_path / name)) == ""
    folders.delete({str(tmp_path / "learnt"), str(tmp_path / "fleet" / "new"), str(tmp_path / "fleet")})
    assert sorted(one.name for one in tmp_path.iterdir()) == ["fleet", "learnt"]
    assert list((tmp_path / "fleet").iterdir()) == []
