"""Learning on, from a request to a bundle in service: real learners' processes, and an engine that loads at once."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from edge_config.bundle import files as bundles
from edge_config.errors import NotWritten
from edge_config.settings.sections import Trust
from edge_config.wire.versions import LearnOn, Rollback, StopLearning, Versions
from runtime.security.children import read_child
from runtime.versions.learner_queue import MAX_STARTS
from runtime.versions.shelf import Shelf
from tests.support.fakes.learner import REPORTED
from tests.support.fakes.learning_device import ME, LearningDevice, info_at
from tests.support.forge import public, sign
from tests.support.processes import ENOUGH_S
from tests.support.tiny import with_threshold

pytestmark = pytest.mark.slow


@pytest.fixture
def rig(tiny_bundle: Path, tmp_path: Path) -> Iterator[LearningDevice]:
    """Yield the device."""
    rig = LearningDevice(tmp_path / "learning", Path(shutil.copytree(tiny_bundle, tmp_path / "line.bundle")))
    yield rig
    rig.keeper.close()


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_request_becomes_a_bundle_in_service(rig: LearningDevice) -> None:
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


def test_device_signs_what_it_learns(rig: LearningDevice) -> None:
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


def test_rollback_goes_back_one_by_one_and_to_any(rig: LearningDevice) -> None:
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


def test_safety_report_is_kept_with_the_version(rig: LearningDevice) -> None:
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


def test_held_out_pictures_of_a_bundle_that_was_taken_back_count_no_more(rig: LearningDevice) -> None:
    """After a rollback only pictures held out by the ancestors of the bundle in service set the threshold.

    The versions are numbered on: no two of them have the same number.
    """
    rig.learn("a.png", "b.png")
    rig.learn("c.png", "d.png")
    shelf = Shelf(rig.folder, "top")
    assert [one.held_out for one in shelf.versions()] == [("a.png",), ("a.png", "c.png")]
    rig.answer(Rollback(camera="top"))
    rig.learn("e.png", "f.png")
    assert shelf.versions()[-1].held_out == ("a.png", "e.png")
    listed = rig.answer(Versions(camera="top")).versions
    assert [(one.round, one.number) for one in listed] == [(0, 0), (1, 1), (2, 2), (2, 3)]


def test_bundle_with_problems_waits_for_a_person(rig: LearningDevice) -> None:
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


def test_bundle_that_waits_is_deleted_by_a_stop(rig: LearningDevice) -> None:
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


def test_one_learner_at_a_time(rig: LearningDevice) -> None:
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


def test_rollback_stops_learning(rig: LearningDevice) -> None:
    """What is being learnt is a child of the bundle that was taken back: it is stopped."""
    root = rig.serving["top"].id
    rig.learn("a.png", "b.png")
    rig.teach("slow.png", "c.png")
    rig.answer(LearnOn(camera="top"))
    rig.learner()
    assert rig.answer(Rollback(camera="top")).bundle == root
    assert rig.until_state("idle")["reason"] == "stopped by a rollback"


def test_learner_that_is_killed_goes_on_by_itself(rig: LearningDevice) -> None:
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


def test_learning_goes_on_after_a_restart(rig: LearningDevice) -> None:
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


def test_learner_that_refuses_is_not_started_again(rig: LearningDevice) -> None:
    """What the learner says in one line is the reason, and the device serves on."""
    rig.teach("bad.png", "b.png")
    rig.answer(LearnOn(camera="top"))
    assert rig.until_state("failed")["reason"] == "patchedge: the pictures are bad"
    assert rig.state()["starts"] == 1
    assert rig.taught.waiting["top"] == ["bad.png", "b.png"]


def test_bundle_of_another_root_is_not_taken(rig: LearningDevice) -> None:
    """What the learner made is checked: a bundle that is no child of the settings' bundle goes nowhere."""
    rig.teach("stranger.png", "b.png")
    rig.answer(LearnOn(camera="top"))
    assert "was learnt from bundle ffffffffffff" in rig.until_state("failed")["reason"]
    assert rig.loaded == []
    rig.keeper.close()
    assert files(rig.folder / "top") == {"versions"} or files(rig.folder / "top") == set()


def test_worker_that_dies_while_it_loads_is_asked_again(rig: LearningDevice) -> None:
    """Twice is a chance; a bundle that kills three workers is not served."""
    rig.loses = 2
    rig.learn("a.png", "b.png")
    rig.loses = 3
    rig.teach("c.png", "d.png")
    rig.answer(LearnOn(camera="top"))
    assert rig.until_state("done", "failed")["reason"] == "the worker died"


def test_refused_bundle_leaves_all_as_it_was(rig: LearningDevice) -> None:
    """Where the worker refuses the new bundle, the old one serves, also after a restart, and the reason is told."""
    root = rig.serving["top"].id
    rig.refuses = "golden frames differ"
    rig.teach("a.png", "b.png")
    rig.answer(LearnOn(camera="top"))
    assert rig.until_state("done", "failed")["reason"] == "golden frames differ"
    rig.keeper.close()
    rig.start()
    assert rig.serving["top"].id == root


def test_full_disk_is_told_and_the_old_bundle_serves_after_a_restart(
    rig: LearningDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
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
def test_what_cannot_be_learnt_is_refused_at_once(
    rig: LearningDevice, prepare: Callable[[LearningDevice], None], words: str
) -> None:
    """Without accepted pictures, or with a bundle that the settings do not name, the request is refused in a line."""
    prepare(rig)
    assert words in rig.answer(LearnOn(camera="top"))
    assert rig.state()["state"] == "idle"


def _elsewhere(rig: LearningDevice) -> None:
    path = Path(rig.roots["top"]).with_name("other.bundle")
    rig.serving["top"] = info_at(str(shutil.copytree(rig.roots["top"], path)))


def test_settings_bundle_that_is_replaced_drops_what_was_learnt(rig: LearningDevice) -> None:
    """Where another bundle is put at the path of the settings, a reload serves it, now and after a restart."""
    rig.learn("a.png", "b.png")
    assert rig.keeper.new_roots() == {}
    assert rig.keeper.watched() == [rig.roots["top"], rig.roots["side"]]
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


def test_killed_learner_is_really_killed_with_its_signal(rig: LearningDevice) -> None:
    """A learner that somebody kills by hand is started again."""
    rig.teach("steps.png", "b.png")
    rig.answer(LearnOn(camera="top"))
    os.kill(rig.learner(), signal.SIGKILL)
    assert rig.until_state("done", "failed")["starts"] == 2


def state_of(pid: int) -> str:
    """Return the state of a process as the kernel writes it; `T` is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def until_stopped(rig: LearningDevice, pid: int, *, busy: bool, stopped: bool) -> None:
    """Turn the loop until the learner is stopped, or is not."""
    until_s = time.monotonic() + ENOUGH_S
    while (state_of(pid) == "T") != stopped:
        rig.keeper.give_way(busy=busy)
        assert time.monotonic() < until_s


def test_learner_gives_way_to_frames_but_never_for_long(rig: LearningDevice) -> None:
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
