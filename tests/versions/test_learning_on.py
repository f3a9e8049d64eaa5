"""Learning on, from a request to a bundle in service: real learners' processes, and an engine that loads at once."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from edge_config.bundle import files as bundles
from edge_config.errors import NotWritten
from edge_config.settings.sections import Trust
from edge_config.wire.versions import LearnOn, OfVersions, Rollback, StopLearning, Versions
from runtime.events import Asked, Reloaded, ReloadRefused
from runtime.frame import BundleInfo
from runtime.security.children import read_child
from runtime.versions.events import LearnerEnded, LearnerMoved, Pointed, TargetFound
from runtime.versions.keeper import VersionKeeper
from runtime.versions.learner_process import LearnerLimits
from runtime.versions.learner_queue import MAX_STARTS, LearnerQueue, QueueOptions
from runtime.versions.lessons import LessonPictures
from runtime.versions.listing import Bounds
from runtime.versions.seal import Seal
from runtime.versions.shelf import Shelf
from runtime.versions.shelves import Shelves
from tests.support.fakes.learner import COMMAND, REPORTED
from tests.support.forge import public, sign
from tests.support.processes import ENOUGH_S
from tests.support.tiny import with_threshold

pytestmark = pytest.mark.slow

ME = "k" * 40


class Taught:
    """Stored pictures: those that were not learnt yet."""

    def __init__(self) -> None:
        self.waiting: dict[str, list[str]] = {}
        self.held_out: dict[str, list[str]] = {}
        self.rejected: list[str] = []

    def pictures(self, camera: str) -> LessonPictures:
        held_out = {name: f"/pictures/{name}" for name in self.held_out.get(camera, [])}
        return LessonPictures(tuple(f"/pictures/{name}" for name in self.waiting.get(camera, [])), held_out)

    def learnt(self, camera: str, learnt: Sequence[str], held_out: Sequence[str]) -> None:
        self.waiting[camera] = [name for name in self.waiting.get(camera, []) if name not in {*learnt, *held_out}]
        self.held_out[camera] = sorted({*self.held_out.get(camera, []), *held_out})
        self.rejected = [name for name in self.rejected if name not in {*learnt, *held_out}]

    def learn_again(self, camera: str, learnt: Sequence[str], held_out: Sequence[str]) -> None:
        names = [*learnt, *held_out]
        self.held_out[camera] = [name for name in self.held_out.get(camera, []) if name not in names]
        self.waiting[camera] = [*self.waiting.get(camera, []), *names]

    def taken_back(self, camera: str, pictures: Sequence[str]) -> None:
        self.held_out[camera] = [name for name in self.held_out.get(camera, []) if name not in pictures]
        self.rejected += pictures


class Rig:
    """A device with two cameras, its main loop, and an engine that answers at once.

    Attributes:
        answers: number of the request -> its reply, or the reason why it was refused.
        loses: how often the worker dies while it loads.
        refuses: why the engine refuses bundles; empty: it does not.
    """

    def __init__(self, folder: Path, bundle: Path) -> None:
        self.folder = folder
        self.roots = {"top": str(bundle), "side": str(bundle)}
        self.taught = Taught()
        self.inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.answers: dict[int, Any] = {}
        self.loses, self.refuses = 0, ""
        self.loaded: list[str] = []
        self.key: SigningKey | None = None
        self._numbers = 0
        self.start()

    def start(self) -> None:
        """Start, as after a restart of the device."""
        self.shelves = Shelves(self.roots, self.folder)
        self.serving = {camera: _info(path) for camera, path in self.shelves.at_start().items()}
        limits = LearnerLimits(command=COMMAND)
        learners = LearnerQueue(self.inbox.put, Seal(self.key), QueueOptions(limits, shortest_s=0.01, longest_s=0.02))
        parts = (self.shelves, self, self, self.serving.__getitem__, self.taught)
        self.keeper = VersionKeeper(*parts, tell=self.inbox.put, queue=learners, bounds=Bounds())
        self.keeper.ready()

    def teach(self, *names: str, camera: str = "top") -> None:
        """Accept pictures."""
        self.taught.waiting[camera] = list(names)

    def ask(self, request: OfVersions) -> int:
        """Send a request; return its number."""
        self._numbers += 1
        self.keeper.ask(Asked(self._numbers, request, ME))
        return self._numbers

    def answer(self, request: OfVersions) -> Any:
        """Send a request, and wait for the answer."""
        number = self.ask(request)
        self.until(lambda: number in self.answers)
        return self.answers[number]

    def until(self, wanted: Callable[[], bool]) -> None:
        """Run the main loop until something is the case."""
        while not wanted():
            self.turn()

    def turn(self) -> None:
        """Handle an event."""
        match self.inbox.get(timeout=ENOUGH_S):
            case LearnerMoved() | LearnerEnded() | TargetFound() | Pointed() as event:
                self.keeper.handle(event)
            case Reloaded() as event:
                self.serving[event.cameras[0]] = event.info
                self.keeper.taken(event)
            case ReloadRefused() as event:
                self.keeper.refused(event)
            case None:
                pass

    def state(self, camera: str = "top") -> dict[str, Any]:
        """Return what the status says."""
        return self.keeper.status()[camera]

    def until_state(self, *states: str, camera: str = "top") -> dict[str, Any]:
        """Run until learning of a camera is in a state."""
        self.until(lambda: self.state(camera)["state"] in states)
        return self.state(camera)

    def learn(self, *names: str, camera: str = "top") -> str:
        """Learn pictures, and wait until the new bundle serves; return its id."""
        self.teach(*names, camera=camera)
        self.answer(LearnOn(camera=camera))
        state = self.until_state("done", "failed", "waiting", camera=camera)
        assert state["state"] == "done", state
        assert self.serving[camera].id == state["version"]
        return str(state["version"])

    def learner(self) -> int:
        """Wait for a learner, and return its process id."""
        self.until(lambda: self.state()["step"] != "")
        return int(self.keeper._queue._process.pid)

    # The engine

    def reload(self, camera: str | None = None, path: str | None = None) -> set[str]:
        assert camera is not None
        assert path is not None
        self.loaded.append(path)
        if self.loses:
            self.loses -= 1
            self.inbox.put(ReloadRefused((camera,), path, "the worker died", lost=True))
        elif self.refuses:
            self.inbox.put(ReloadRefused((camera,), path, self.refuses))
        else:
            self.inbox.put(Reloaded((camera,), _info(path)))
        return {path}

    # The control socket

    def reply(self, asked: Asked, payload: Any) -> None:
        self.answers[asked.number] = payload
        self.inbox.put(None)

    def refuse(self, asked: Asked, error: str) -> None:
        self.reply(asked, error)


def _info(path: str) -> BundleInfo:
    found = bundles.read(path)
    return BundleInfo(found.id, path, found.manifest.calibration.threshold, 0.01)


@pytest.fixture
def rig(tiny_bundle: Path, tmp_path: Path) -> Iterator[Rig]:
    """Yield the device."""
    rig = Rig(tmp_path / "learning", Path(shutil.copytree(tiny_bundle, tmp_path / "line.bundle")))
    yield rig
    rig.keeper.close()


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_request_becomes_a_bundle_in_service(rig: Rig) -> None:
    """The new bundle serves, is a child of the one before, serves after a restart, and nothing is left of the work."""
    root = rig.serving["top"].id
    made = rig.learn("a.png", "b.png")
    lineage = bundles.read(rig.serving["top"].path).manifest.lineage
    assert lineage is not None
    assert (lineage.root, lineage.parent, lineage.camera) == (root, root, "top")
    assert rig.serving["side"].id == root
    rig.keeper.close()
    assert files(rig.folder / "top") == {"versions", "active.json"}
    rig.start()
    assert rig.serving["top"].id == made
    assert rig.taught.waiting["top"] == []
    assert rig.taught.held_out["top"] == ["a.png"]


def test_device_signs_what_it_learns(rig: Rig) -> None:
    """With a key of its own its bundles are trusted where the settings' bundle is, and stay so round after round."""
    workshop, rig.key = SigningKey(b"w" * 32), SigningKey(b"d" * 32)
    root = Path(rig.roots["top"])
    sign(root, workshop)
    rig.keeper.close()
    rig.start()
    for names in (("a.png", "b.png"), ("c.png", "d.png")):
        made = rig.learn(*names)
        trust = Trust(keys=(public(workshop),))
        assert read_child(rig.serving["top"].path, root, trust, public(rig.key)).id == made


def test_rollback_goes_back_one_by_one_and_to_any(rig: Rig) -> None:
    """A rollback serves the parent, of the first version the settings' bundle; any version can be named; it lasts."""
    root = rig.serving["top"].id
    made = [rig.learn("a.png", "b.png"), rig.learn("c.png", "d.png")]
    assert rig.answer(Rollback(camera="top")).bundle == made[0]
    assert rig.taught.rejected == ["d.png", "c.png"]
    assert rig.answer(Rollback(camera="top")).bundle == root
    assert sorted(rig.taught.rejected) == ["a.png", "b.png", "c.png", "d.png"]
    assert "nothing to go back to" in rig.answer(Rollback(camera="top"))
    assert rig.answer(Rollback(camera="top", to=made[1][:8])).before == root
    assert rig.serving["top"].id == made[1]
    assert rig.taught.rejected == []
    assert "is in service already" in rig.answer(Rollback(camera="top", to=made[1][:8]))
    assert "there is no version `abcdef`; known: root, " in rig.answer(Rollback(camera="top", to="abcdef"))
    rig.answer(Rollback(camera="top", to="root"))
    rig.keeper.close()
    rig.start()
    assert rig.serving["top"].id == root
    kept = rig.answer(Versions(camera="top"))
    assert [(one.id, one.active) for one in kept.versions] == [(root, True), (made[0], False), (made[1], False)]
    assert [one.by for one in kept.versions] == ["", ME, ME]


def test_safety_report_is_kept_with_the_version(rig: Rig) -> None:
    """The list of versions has the report, after a restart too: of many pictures those with the highest scores."""
    rig.learn("a.png", "b.png")
    rig.keeper.close()
    rig.start()
    root, learnt = rig.answer(Versions(camera="top")).versions
    assert root.report is None
    assert (learnt.report.faults.shown, learnt.report.faults.lost, learnt.report.golden) == (9, 1, ())
    assert learnt.report.threshold_after == learnt.report.threshold_before + 1
    assert [one.before for one in learnt.report.learnt] == [float(n) for n in reversed(range(50, REPORTED))]
    assert (learnt.report.learnt[0].found_before, learnt.report.learnt[0].found_after) == (True, False)


def test_held_out_pictures_of_a_bundle_that_was_taken_back_count_no_more(rig: Rig) -> None:
    """After a rollback only pictures that were held out by the ancestors of the bundle in service set the threshold."""
    rig.learn("a.png", "b.png")
    rig.learn("c.png", "d.png")
    shelf = Shelf(rig.folder, "top")
    assert [one.held_out for one in shelf.versions()] == [("a.png",), ("a.png", "c.png")]
    rig.answer(Rollback(camera="top"))
    rig.learn("e.png", "f.png")
    assert shelf.versions()[-1].held_out == ("a.png", "e.png")


def test_bundle_with_problems_waits_for_a_person(rig: Rig) -> None:
    """It does not serve, not after a restart either, until a second request with force; the key is written down."""
    root = rig.serving["top"].id
    rig.teach("problem.png", "b.png")
    rig.answer(LearnOn(camera="top"))
    state = rig.until_state("waiting")
    assert state["problems"] == ("1 of 9 synthetic faults is lost.",) or state["problems"] == [
        "1 of 9 synthetic faults is lost."
    ]
    waiting = str(state["version"])
    assert "waits for consent" in rig.answer(Rollback(camera="top", to=waiting[:8]))
    rig.keeper.close()
    rig.start()
    assert rig.state()["state"] == "waiting"
    assert rig.serving["top"].id == root
    rig.answer(LearnOn(camera="top", force=True))
    rig.until_state("done")
    assert rig.serving["top"].id == waiting
    (version,) = Shelf(rig.folder, "top").versions()
    assert (version.consent, version.waits) == (ME, False)
    assert rig.loaded == [rig.serving["top"].path]


def test_bundle_that_waits_is_deleted_by_a_stop(rig: Rig) -> None:
    """A person who does not want it stops learning: it is gone, also after a restart; its pictures stay accepted."""
    root = rig.serving["top"].id
    rig.teach("problem.png", "b.png")
    rig.answer(LearnOn(camera="top"))
    rig.until_state("waiting")
    assert rig.answer(StopLearning(camera="top")).state == "idle"
    assert rig.taught.waiting["top"] == ["problem.png", "b.png"]
    rig.keeper.close()
    assert not list(Shelf(rig.folder, "top").versions())
    rig.start()
    assert rig.state()["state"] == "idle"
    assert rig.serving["top"].id == root
    assert len(rig.answer(Versions(camera="top")).versions) == 1


def test_one_learner_at_a_time(rig: Rig) -> None:
    """A second camera waits for the first; a second request for the same camera is refused; a stop frees both."""
    rig.teach("slow.png", "b.png")
    rig.teach("c.png", "d.png", camera="side")
    rig.answer(LearnOn(camera="top"))
    rig.learner()
    assert rig.answer(LearnOn(camera="side")).ahead == 1
    assert "is learning already" in rig.answer(LearnOn(camera="top"))
    rig.answer(StopLearning(camera="top"))
    assert rig.until_state("idle")["reason"] == "stopped by a request"
    rig.until_state("done", camera="side")
    assert rig.taught.waiting["top"] == ["slow.png", "b.png"]
    rig.keeper.close()
    assert files(rig.folder / "top") == set()


def test_rollback_stops_learning(rig: Rig) -> None:
    """What is being learnt is a child of the bundle that was taken back: it is stopped."""
    root = rig.serving["top"].id
    rig.learn("a.png", "b.png")
    rig.teach("slow.png", "c.png")
    rig.answer(LearnOn(camera="top"))
    rig.learner()
    assert rig.answer(Rollback(camera="top")).bundle == root
    assert rig.until_state("idle")["reason"] == "stopped by a rollback"


def test_learner_that_is_killed_goes_on_by_itself(rig: Rig) -> None:
    """A learner that is killed once is started again; one that is always killed is given up, with the reason."""
    rig.teach("die_once.png", "b.png")
    rig.answer(LearnOn(camera="top"))
    assert rig.until_state("done", "failed")["starts"] == 2
    assert rig.state()["state"] == "done"
    rig.teach("die.png", "c.png")
    rig.answer(LearnOn(camera="top"))
    assert rig.until_state("done", "failed")["reason"] == f"given up after {MAX_STARTS} starts: killed by SIGKILL"
    rig.keeper.close()
    assert "work" not in files(rig.folder / "top")


def test_learning_goes_on_after_a_restart(rig: Rig) -> None:
    """Where the device is stopped while it learns, it learns on after the next start, and counts no failure."""
    rig.teach("slow.png", "b.png")
    rig.answer(LearnOn(camera="top"))
    pid = rig.learner()
    rig.keeper.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    rig.teach("a.png", "b.png")
    rig.start()
    assert rig.until_state("done", "failed")["starts"] == 1
    assert rig.state()["state"] == "done"


def test_learner_that_refuses_is_not_started_again(rig: Rig) -> None:
    """What the learner says in one line is the reason, and the device serves on."""
    rig.teach("bad.png", "b.png")
    rig.answer(LearnOn(camera="top"))
    assert rig.until_state("failed")["reason"] == "patchedge: the pictures are bad"
    assert rig.state()["starts"] == 1
    assert rig.taught.waiting["top"] == ["bad.png", "b.png"]


def test_bundle_of_another_root_is_not_taken(rig: Rig) -> None:
    """What the learner made is checked: a bundle that is no child of the settings' bundle goes nowhere."""
    rig.teach("stranger.png", "b.png")
    rig.answer(LearnOn(camera="top"))
    assert "was learnt from bundle ffffffffffff" in rig.until_state("failed")["reason"]
    assert rig.loaded == []
    rig.keeper.close()
    assert files(rig.folder / "top") == {"versions"} or files(rig.folder / "top") == set()


def test_worker_that_dies_while_it_loads_is_asked_again(rig: Rig) -> None:
    """Twice is a chance; a bundle that kills three workers is not served."""
    rig.loses = 2
    rig.learn("a.png", "b.png")
    rig.loses = 3
    rig.teach("c.png", "d.png")
    rig.answer(LearnOn(camera="top"))
    assert rig.until_state("done", "failed")["reason"] == "the worker died"


def test_refused_bundle_leaves_all_as_it_was(rig: Rig) -> None:
    """Where the worker refuses the new bundle, the old one serves, also after a restart, and the reason is told."""
    root = rig.serving["top"].id
    rig.refuses = "golden frames differ"
    rig.teach("a.png", "b.png")
    rig.answer(LearnOn(camera="top"))
    assert rig.until_state("done", "failed")["reason"] == "golden frames differ"
    rig.keeper.close()
    rig.start()
    assert rig.serving["top"].id == root


def test_full_disk_is_told_and_the_old_bundle_serves_after_a_restart(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `active.json` cannot be written, the bundle serves now, and the request is told that this will not last."""

    def full(_self: Shelf, _active: Any) -> None:
        raise NotWritten("cannot be written (No space left on device)")

    monkeypatch.setattr(Shelf, "point", full)
    rig.teach("a.png", "b.png")
    rig.answer(LearnOn(camera="top"))
    reason = rig.until_state("done", "failed")["reason"]
    assert reason == ("it is in service, but will not be after a restart: cannot be written (No space left on device)")


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda _rig: None, "no accepted pictures"),
        (lambda rig: rig.teach("a.png", camera="top") or _elsewhere(rig), "because of a request"),
    ],
)
def test_what_cannot_be_learnt_is_refused_at_once(rig: Rig, prepare: Callable[[Rig], None], words: str) -> None:
    """Without accepted pictures, or with a bundle that the settings do not name, the request is refused in a line."""
    prepare(rig)
    assert words in rig.answer(LearnOn(camera="top"))
    assert rig.state()["state"] == "idle"


def _elsewhere(rig: Rig) -> None:
    path = Path(rig.roots["top"]).with_name("other.bundle")
    rig.serving["top"] = _info(str(shutil.copytree(rig.roots["top"], path)))


def test_settings_bundle_that_is_replaced_drops_what_was_learnt(rig: Rig) -> None:
    """Where another bundle is put at the path of the settings, a reload serves it, now and after a restart."""
    rig.learn("a.png", "b.png")
    assert rig.keeper.new_roots() == {}
    assert rig.keeper.watched() == [rig.roots["top"]]
    root = Path(rig.roots["top"])
    other = with_threshold(root, root.with_name("new.bundle"), 99.0)
    root.rename(root.with_name("old.bundle"))
    other.rename(root)
    assert rig.keeper.new_roots("side") == {}
    assert rig.keeper.new_roots() == {"top": str(root)}
    assert "what was learnt is dropped" in rig.state()["notice"]
    rig.keeper.close()
    rig.start()
    assert rig.serving["top"].id == bundles.read(root).id


def test_killed_learner_is_really_killed_with_its_signal(rig: Rig) -> None:
    """A learner that somebody kills by hand is started again."""
    rig.teach("steps.png", "b.png")
    rig.answer(LearnOn(camera="top"))
    os.kill(rig.learner(), signal.SIGKILL)
    assert rig.until_state("done", "failed")["starts"] == 2


def state_of(pid: int) -> str:
    """Return the state of a process as the kernel writes it; `T` is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def until_stopped(rig: Rig, pid: int, *, busy: bool, stopped: bool) -> None:
    """Turn the loop until the learner is stopped, or is not."""
    until_s = time.monotonic() + ENOUGH_S
    while (state_of(pid) == "T") != stopped:
        rig.keeper.give_way(busy=busy)
        assert time.monotonic() < until_s


def test_learner_gives_way_to_frames_but_never_for_long(rig: Rig) -> None:
    """While frames are scored the learner is stopped; it goes on when none is, and after a while in any case."""
    rig.teach("slow.png", "b.png")
    rig.answer(LearnOn(camera="top"))
    pid = rig.learner()
    until_stopped(rig, pid, busy=True, stopped=True)
    until_stopped(rig, pid, busy=False, stopped=False)
    for stopped in (True, False, True):
        until_stopped(rig, pid, busy=True, stopped=stopped)
    rig.keeper.close()
    assert not Path(f"/proc/{pid}").exists()
    rig.start()
