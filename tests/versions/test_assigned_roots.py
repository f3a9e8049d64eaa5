"""Another root in place of the bundle of the settings: what serves, what is kept, and the way back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_config.bundle import files as bundles
from edge_config.errors import NotWritten
from edge_config.wire.versions import Rollback, Versions
from runtime.events import Reloaded, ReloadRefused
from runtime.versions.listing import Bounds, tidy
from runtime.versions.shelf import Shelf
from tests.support.fakes.learner import child
from tests.support.fakes.learning_device import LearningDevice, info_at
from tests.support.tiny import with_threshold

pytestmark = pytest.mark.slow


@pytest.fixture
def rig(tiny_bundle: Path, tmp_path: Path) -> Iterator[LearningDevice]:
    """Yield the device."""
    rig = LearningDevice(tmp_path / "learning", Path(shutil.copytree(tiny_bundle, tmp_path / "line.bundle")))
    yield rig
    rig.keeper.close()


@pytest.fixture
def new(rig: LearningDevice, tmp_path: Path) -> Path:
    """Return a bundle that a fleet has brought."""
    (tmp_path / "fleet").mkdir()
    return with_threshold(Path(rig.roots["top"]), tmp_path / "fleet" / "new.bundle", 70.0)


def restart(rig: LearningDevice) -> str:
    """Restart the device; return what serves."""
    rig.keeper.close()
    rig.start()
    return rig.serving["top"].id


def replace_settings(rig: LearningDevice) -> str:
    """Put another bundle at the path of the settings; return its id."""
    path = Path(rig.roots["top"])
    other = with_threshold(path, path.with_name("other.bundle"), 33.0)
    shutil.rmtree(path)
    other.rename(path)
    return bundles.read(path).id


def test_going_back_brings_back_the_very_bundle_with_its_lessons(rig: LearningDevice, new: Path) -> None:
    """A learnt bundle gives way to a new root, which learns on; going back serves it again, after restarts too."""
    root = rig.serving["top"].id
    first = rig.learn("a.png", "b.png")
    second = rig.learn("c.png", "d.png")
    one, problem = rig.root_request("activate", new)
    assert (problem, one.bundle_id, one.before) == ("", bundles.read(new).id, second)
    assert one.target is not None
    assert (one.target.dropped.rounds, one.target.dropped.pictures) == (2, 2)
    assert sorted(rig.taught.waiting["top"]) == ["a.png", "b.png", "c.png", "d.png"]
    assert restart(rig) == bundles.read(new).id
    kept = rig.answer(Versions(camera="top"))
    assert [(version.id, version.active) for version in kept.versions] == [(one.bundle_id, True)]
    assert (kept.assigned, kept.notice) == (one.bundle_id, "")
    assert "there is no version" in rig.answer(Rollback(camera="top", to=first[:8]))
    learnt = rig.learn("c.png", "d.png")
    lineage = bundles.read(rig.serving["top"].path).manifest.lineage
    assert lineage is not None
    assert lineage.root == one.bundle_id
    assert restart(rig) == learnt
    assert rig.answer(Rollback(camera="top")).bundle == one.bundle_id
    back, problem = rig.root_request("go_back")
    assert (problem, back.bundle_id) == ("", second)
    assert restart(rig) == second
    kept = rig.answer(Versions(camera="top"))
    assert ([version.id for version in kept.versions], kept.assigned) == ([root, first, second], "")
    assert "nothing to go back to" in rig.root_request("go_back")[1]
    assert rig.answer(Rollback(camera="top")).bundle == first
    assert restart(rig) == first


def test_assigned_root_counts_anew_after_its_way_back(rig: LearningDevice, new: Path) -> None:
    """What was learnt from a root in an earlier assignment does not serve when it is assigned once more."""
    rig.root_request("activate", new)
    learnt = rig.learn("a.png", "b.png")
    rig.root_request("go_back")
    one, _ = rig.root_request("activate", new)
    assert rig.serving["top"].id == restart(rig) == one.bundle_id != learnt
    assert rig.root_request("go_back")[1] == ""


def test_bundle_that_a_person_puts_in_place_wins(rig: LearningDevice, new: Path) -> None:
    """Another bundle at the path of the settings serves once it is loaded, what was assigned is dropped, and said."""
    rig.root_request("activate", new)
    rig.learn("a.png", "b.png")
    assert rig.keeper.new_roots() == {}
    other = replace_settings(rig)
    path = rig.roots["top"]
    assert rig.keeper.new_roots() == {"top": path}
    rig.keeper.refused(ReloadRefused(("top",), path, "damaged"))
    assert (rig.shelves.assigned("top"), rig.state()["notice"]) == (str(new), "")
    rig.serving["top"] = info_at(path)
    rig.keeper.taken(Reloaded(("top",), rig.serving["top"]))
    assert rig.shelves.assigned("top") == ""
    assert "what was assigned is dropped" in rig.state()["notice"]
    assert restart(rig) == other
    assert rig.answer(Versions(camera="top")).assigned == ""


def test_bundle_that_was_put_in_place_while_the_device_was_off_wins(rig: LearningDevice, new: Path) -> None:
    """At the start the assignment is dropped and the notice says so; it stays dropped if the old one is put back."""
    rig.root_request("activate", new)
    path = Path(rig.roots["top"])
    old = shutil.copytree(path, path.with_name("old.bundle"))
    other = replace_settings(rig)
    assert restart(rig) == other
    assert "which was assigned, is dropped" in rig.state()["notice"]
    shutil.rmtree(path)
    old.rename(path)
    assert restart(rig) == bundles.read(path).id


def test_assigned_bundle_that_is_away_gives_way_to_that_of_the_settings(rig: LearningDevice, new: Path) -> None:
    """Where it is missing or damaged the bundle of the settings serves, with a notice; once it is back, it serves."""
    rig.root_request("activate", new)
    away = new.rename(new.with_name("away"))
    assert restart(rig) == bundles.read(rig.roots["top"]).id
    assert "missing or damaged; the bundle of the settings serves" in rig.state()["notice"]
    away.rename(new)
    assert restart(rig) == bundles.read(new).id


def test_assigned_bundle_that_the_worker_refuses_at_its_start(rig: LearningDevice, new: Path) -> None:
    """The bundle of the settings serves instead, and is the root from then on; a child's refusal leads to its root."""
    rig.root_request("activate", new)
    rig.learn("a.png", "b.png")
    learnt, settings = rig.serving["top"].path, rig.roots["top"]
    assert rig.shelves.instead_of("top", learnt) == str(new)
    rig.keeper.refused(ReloadRefused(("top",), learnt, "no child", kept=False, instead=str(new)))
    assert rig.shelves.assigned("top") == str(new)
    assert rig.shelves.instead_of("top", str(new)) == settings
    rig.keeper.refused(ReloadRefused(("top",), str(new), "unsigned", kept=False, instead=settings))
    assert rig.shelves.roots["top"] == settings
    assert rig.state()["notice"] == "unsigned; the bundle of the settings serves"
    assert rig.shelves.instead_of("top", settings) == ""


def test_refused_root_changes_nothing(rig: LearningDevice, new: Path) -> None:
    """The reason is told, and what served goes on, now and after a restart."""
    made = rig.learn("a.png", "b.png")
    rig.refuses = "golden frames differ"
    assert rig.root_request("activate", new)[1] == "golden frames differ"
    rig.refuses = ""
    assert rig.serving["top"].id == restart(rig) == made
    rig.loses = 1
    assert rig.root_request("activate", new)[1] == ""


def test_full_disk_brings_the_old_bundle_back(rig: LearningDevice, new: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `root.json` cannot be written, the bundle before serves again, and the request is refused."""
    made = rig.learn("a.png", "b.png")

    def full(*_of: object) -> None:
        raise NotWritten("cannot be written (No space left on device)")

    with monkeypatch.context() as patched:
        patched.setattr(Shelf, "assign", full)
        _, problem = rig.root_request("activate", new)
    assert "No space left" in problem
    assert "the bundle before goes on" in problem
    rig.until(lambda: rig.serving["top"].id == made)
    assert rig.shelves.assigned("top") == ""
    assert restart(rig) == made


def test_damaged_child_leaves_its_root_to_go_back_to(rig: LearningDevice, new: Path) -> None:
    """Where the learnt bundle that served before is gone, going back serves its root, and says so."""
    root, made = rig.serving["top"].id, rig.learn("a.png", "b.png")
    rig.root_request("activate", new)
    rig.refuses = "damaged"
    shelf = Shelf(rig.folder, "top")
    ended: list[str] = []
    rig.keeper.roots.go_back("top", "", lambda _, problem: ended.append(problem))
    rig.until(lambda: rig.loaded[-1] == str(shelf.path(made)))
    rig.refuses = ""
    rig.until(lambda: bool(ended))
    assert ended == [""]
    assert rig.serving["top"].id == root
    assert "its root serves" in rig.state()["notice"]
    assert restart(rig) == root


def test_learnt_bundle_may_be_a_root_and_learns_on(rig: LearningDevice, tmp_path: Path) -> None:
    """A bundle that another device has learnt is assigned as it is, and its children are children of it."""
    adopted = tmp_path / "fleet" / "adopted.bundle"
    adopted.parent.mkdir()
    made = child(Path(rig.roots["top"]), adopted, camera="elsewhere")
    assert rig.root_request("activate", adopted)[0].bundle_id == made
    learnt = rig.learn("a.png", "b.png")
    assert restart(rig) == learnt
    assert [one.root for one in Shelf(rig.folder, "top").versions()] == [made]
    one, _ = rig.root_request("go_back")
    assert one.target is not None
    assert (one.target.dropped.rounds, one.target.dropped.pictures) == (1, 1)


def test_versions_that_the_way_back_needs_are_not_pruned(rig: LearningDevice, new: Path) -> None:
    """However much is learnt from the new root, the bundle that served before stays on disk."""
    made = rig.learn("a.png", "b.png")
    rig.root_request("activate", new)
    for number in range(2):
        rig.learn(f"c{number}.png", f"d{number}.png")
    tidy(rig.shelves, Bounds(versions=1))
    assert rig.shelves.of["top"].path(made).is_dir()
    assert rig.root_request("go_back")[0].bundle_id == made


def test_bundles_that_nobody_needs_are_deleted_also_after_a_kill(rig: LearningDevice, new: Path) -> None:
    """Of what was staged stay root, way back and candidate; what a kill has left is deleted the next time."""
    other = with_threshold(new, new.with_name("other.bundle"), 71.0)
    third = with_threshold(new, new.with_name("third.bundle"), 72.0)
    settings, deleted, roots = rig.roots["top"], [], rig.keeper.roots
    for path in (new, other, third):
        roots.stage("top", str(path))
    rig.root_request("activate", new)
    rig.root_request("activate", other)
    assert restart(rig) == bundles.read(other).id
    rig.keeper.roots.collect("top", {str(third)}, deleted.extend)
    rig.root_request("go_back")
    rig.keeper.roots.collect("top", (), lambda _: 1 / 0)  # killed before it is deleted
    assert restart(rig) == bundles.read(new).id
    for _ in range(2):
        rig.keeper.roots.collect("top", (), deleted.extend)
    rig.answer(Versions(camera="top"))  # the disk's thread is done
    assert deleted == [str(other), str(third)]
    assert settings not in deleted
