"""The power is cut before each change of the disk, one after the other: what serves afterwards, and what is left."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge_config.bundle import files as bundles
from runtime.versions.listing import Bounds, tidy
from runtime.versions.records import Active, LearningOrder, Version
from runtime.versions.root_changes import another_root, way_back
from runtime.versions.shelf import Shelf
from runtime.versions.shelves import Shelves
from tests.support.fakes.learner import child
from tests.support.tiny import with_threshold

pytestmark = pytest.mark.slow

CAMERA = "top"
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir"}
"""Names of audit events of changes of the disk; beside them, files that are opened to be written."""


class PowerCut(BaseException):
    """The power is gone."""


class _Cut:
    """Counts changes of the disk while it is armed, and cuts the power before one of them, and all that follow."""

    def __init__(self) -> None:
        self.armed = False
        self.left = 0

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.armed or not (event in CHANGES or (event == "open" and _writes(arguments[2]))):
            return
        if self.left == 0:
            raise PowerCut
        self.left -= 1


def _writes(flags: object) -> bool:
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))


_cut = _Cut()
_hooked: list[bool] = []


@contextmanager
def cut_before(change: int) -> Iterator[None]:
    """Cut the power in the block before the change of this number."""
    if not _hooked:
        sys.addaudithook(_cut)  # it cannot be removed
        _hooked.append(True)
    _cut.armed, _cut.left = True, change
    try:
        yield
    finally:
        _cut.armed = False


class Disk:
    """A camera that serves a version, beside an older one and a newer one that the learner has just sealed."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder, self.root = folder / "learning", root
        self.shelf = Shelf(self.folder, CAMERA)
        self.ids = [bundles.read(root).id]
        for number in range(2):
            self.shelf.put(self._learn(number))
        self.point(2)
        self.shelf.end()
        self.newest = self._learn(2)

    def _learn(self, at: int) -> Version:
        parent = self.root if at == 0 else self.shelf.path(self.ids[-1])
        self.shelf.begin(LearningOrder(camera=CAMERA))
        self.ids.append(child(parent, self.shelf.sealed))
        (self.shelf.work / "features").mkdir(exist_ok=True)
        return Version(id=self.ids[-1], root=self.ids[0], parent=self.ids[-2], round=at + 1, at=f"2026-11-27T00:0{at}")

    def point(self, at: int) -> None:
        """Write that a bundle serves: 0 is the root."""
        path = str(self.root if at == 0 else self.shelf.path(self.ids[at]))
        self.shelf.point(Active(root=self.ids[0], id=self.ids[at], path=path, since="now"))

    def learn_on(self) -> None:
        """Take the newest version, and do all that follows."""
        self.shelf.put(self.newest)
        self.point(3)
        self.shelf.end()
        tidy(Shelves({CAMERA: str(self.root)}, self.folder), Bounds(versions=2))

    def roll_back(self) -> None:
        """Serve the root, and stop learning."""
        self.point(0)
        self.shelf.end()
        tidy(Shelves({CAMERA: str(self.root)}, self.folder), Bounds(versions=1))

    def start(self) -> str:
        """Return the id of what serves after a start, all of which is whole; nothing else may be there."""
        shelves = Shelves({CAMERA: str(self.root)}, self.folder)
        path = shelves.at_start()[CAMERA]
        assert CAMERA not in shelves.notices, shelves.notices
        versions = self.shelf.versions()
        assert all(bundles.read(self.shelf.path(one.id)).id == one.id for one in versions)
        expected = {f"{one.short}{ending}" for one in versions for ending in (".bundle", ".json")}
        assert {name.name for name in self.shelf.versions_folder.iterdir()} == expected
        left = {name.name for name in self.shelf.folder.iterdir()} - {"active.json", "versions"}
        assert left == (set() if self.shelf.order() is None else {"work"})
        assert not left or {name.name for name in self.shelf.work.iterdir()} <= {"order.json", "features"}
        return bundles.read(path).id


def _serving(folder: Path, settings: Path) -> tuple[str, Shelves]:
    """Return the id of what serves after a start; it is whole."""
    shelves = Shelves({CAMERA: str(settings)}, folder)
    path = shelves.at_start()[CAMERA]
    assert CAMERA not in shelves.notices, shelves.notices
    return bundles.read(path).id, shelves


def _change(folder: Path, settings: Path, new: Path | None) -> None:
    """Make a bundle the root, or go back, as the main loop and its thread do."""
    shelves = _serving(folder, settings)[1]
    serving = shelves.of[CAMERA].active()
    assert serving is not None
    if new is None:
        target = way_back(shelves, CAMERA, bundles.read(shelves.roots[CAMERA]).id, "", with_child=True)
    else:
        target = another_root(shelves, CAMERA, str(new), bundles.read(new).id, serving.id, "")
    shelves.of[CAMERA].assign(target.pointer)
    tidy(shelves, Bounds(versions=1))


def test_power_cut_leaves_the_old_root_or_the_new_one(tiny_bundle: Path, tmp_path: Path) -> None:
    """Cut before any change of an assignment, and then of the way back, a start serves one or the other, both whole."""
    settings = Path(shutil.copytree(tiny_bundle, tmp_path / "root.bundle"))
    made = Disk(tmp_path / "made", settings)
    new = with_threshold(settings, tmp_path / "new.bundle", 70.0)
    made.shelf.end()
    child_id, new_id = made.ids[2], bundles.read(new).id
    folder, now = tmp_path / "made" / "learning", tmp_path / "now" / "learning"
    for to, before, after in ((new, child_id, new_id), (None, new_id, child_id)):
        served = []
        for change in range(200):
            shutil.rmtree(now, ignore_errors=True)
            shutil.copytree(folder, now)
            try:
                with cut_before(change):
                    _change(now, settings, to)
            except PowerCut:
                served.append(_serving(now, settings)[0])
            else:
                break
        assert _serving(now, settings)[0] == after
        first = served.count(before)
        assert served == [before] * first + [after] * (len(served) - first)
        assert first > 1
        shutil.rmtree(folder)
        shutil.copytree(now, folder)


@pytest.mark.parametrize(("what", "after"), [(Disk.learn_on, 3), (Disk.roll_back, 0)])
def test_power_cut_leaves_the_old_bundle_or_the_new_one(
    tiny_bundle: Path, tmp_path: Path, what: Callable[[Disk], None], after: int
) -> None:
    """Cut before any change, a start serves the bundle before or the one after, both whole, and clears up the rest."""
    made = Disk(tmp_path / "made", Path(shutil.copytree(tiny_bundle, tmp_path / "root.bundle")))
    served = []
    for change in range(200):
        shutil.rmtree(tmp_path / "now", ignore_errors=True)
        shutil.copytree(tmp_path / "made", tmp_path / "now")
        made.folder = tmp_path / "now" / "learning"
        made.shelf = Shelf(made.folder, CAMERA)
        try:
            with cut_before(change):
                what(made)
        except PowerCut:
            served.append(made.start())
        else:
            break
    assert made.start() == made.ids[after]
    before = served.index(made.ids[after])
    assert served == [made.ids[2]] * before + [made.ids[after]] * (len(served) - before)
    assert 3 < before < len(served)
