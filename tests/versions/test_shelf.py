"""Versions on disk: what is whole, what a power cut leaves, which bundle serves at the start, and what is deleted."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edge_config.bundle import files as bundles
from runtime.versions.listing import Bounds, tidy
from runtime.versions.records import Active, LearningOrder, Version
from runtime.versions.shelf import Shelf
from runtime.versions.shelves import Shelves
from tests.support.fakes.learner import child
from tests.support.tiny import with_threshold

CAMERA = "top"


@pytest.fixture
def root(tiny_bundle: Path, tmp_path: Path) -> Path:
    """Return the bundle of the settings."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "root.bundle"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the learning folder."""
    return tmp_path / "learning"


def learn(folder: Path, root: Path, parent: Path, at: int, problems: tuple[str, ...] = ()) -> Version:
    """Put a child of a bundle among the versions."""
    shelf = Shelf(folder, CAMERA)
    shelf.begin(LearningOrder(camera=CAMERA))
    made = child(parent, shelf.sealed)
    ids = bundles.read(root).id, bundles.read(parent).id
    version = Version(id=made, root=ids[0], parent=ids[1], round=1, at=f"2026-11-27T00:00:{at:02d}", problems=problems)
    shelf.put(version)
    shelf.end()
    return version


def point(folder: Path, version: Version) -> None:
    shelf = Shelf(folder, CAMERA)
    path = str(shelf.path(version.id))
    shelf.point(Active(root=version.root, id=version.id, path=path, since="2026-11-27"))


def chosen(folder: Path, root: Path) -> tuple[str, str]:
    """Return what serves at a start, and what is said."""
    shelves = Shelves({CAMERA: str(root)}, folder)
    return shelves.at_start()[CAMERA], shelves.notices.get(CAMERA, "")


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_version_serves_only_once_it_is_pointed_to(root: Path, folder: Path) -> None:
    """A version that was put there serves from the start on after `active.json` says so; nothing else lies there."""
    version = learn(folder, root, root, 1)
    assert chosen(folder, root) == (str(root), "")
    point(folder, version)
    path = Shelf(folder, CAMERA).path(version.id)
    assert chosen(folder, root) == (str(path), "")
    assert {Path(name).parts[1] for name in names(folder)} == {"active.json", "versions"}


def test_other_settings_bundle_drops_what_was_learnt(root: Path, folder: Path) -> None:
    """Where the settings name another bundle than the version was learnt from, that one serves, and it is said."""
    point(folder, learn(folder, root, root, 1))
    other = root.with_name("other.bundle")
    with_threshold(root, other, 99.0)
    path, notice = chosen(folder, other)
    assert path == str(other)
    assert "the settings name another bundle" in notice
    assert chosen(folder, root)[1] == ""


@pytest.mark.parametrize("damage", ["missing", "manifest", "pointer", "empty pointer"])
def test_version_that_is_damaged_does_not_serve(root: Path, folder: Path, damage: str) -> None:
    """Without the version, or without what says which, the bundle of the settings serves, and it is said."""
    version = learn(folder, root, root, 1)
    point(folder, version)
    path = Shelf(folder, CAMERA).path(version.id)
    match damage:
        case "missing":
            shutil.rmtree(path)
        case "manifest":
            (path / bundles.MANIFEST).write_bytes(b"{}")
        case "pointer":
            (folder / CAMERA / "active.json").write_bytes(b'{"root": "')
        case _:
            (folder / CAMERA / "active.json").write_bytes(b"")
    found, notice = chosen(folder, root)
    assert found == str(root)
    assert notice.endswith("the bundle of the settings serves")


def test_nothing_is_left_of_what_was_not_finished(root: Path, folder: Path) -> None:
    """After a power cut while a bundle was written, renamed, deleted or learnt, a start leaves the whole ones alone."""
    version = learn(folder, root, root, 1)
    point(folder, version)
    before = names(folder)
    shelf = Shelf(folder, CAMERA)
    for path in (
        shelf.versions_folder / ".0123.bundle.gone" / "manifest.json",
        shelf.versions_folder / ("0" * 12 + ".bundle") / "manifest.json",  # its record was never written
        shelf.versions_folder / ("1" * 12 + ".json"),  # its bundle is gone already
        shelf.versions_folder / ".x.json.77.part",
        shelf.folder / ".active.json.77.part",
        shelf.work / "child.bundle" / "manifest.json",
        shelf.work / ".child.bundle.x.part" / "new" / "bank.safetensors",
        shelf.work / "job.json",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    assert chosen(folder, root) == (str(shelf.path(version.id)), "")
    assert names(folder) == before


def test_what_a_killed_learner_can_use_again_is_kept(root: Path, folder: Path) -> None:
    """Where learning has not ended, its order and its features stay, and half a bundle goes."""
    shelf = Shelf(folder, CAMERA)
    shelf.begin(LearningOrder(camera=CAMERA, by="me", starts=2))
    for name in ("features.npz", ".child.bundle.x.part", "child.bundle.result.json"):
        (shelf.work / name).write_bytes(b"x")
    assert chosen(folder, root) == (str(root), "")
    assert names(folder) == [f"{CAMERA}/work/features.npz", f"{CAMERA}/work/order.json"]
    assert shelf.order() == LearningOrder(camera=CAMERA, by="me", starts=2)


def test_same_bundle_learnt_twice_is_one_version(root: Path, folder: Path) -> None:
    """After a power cut between a version and the end of its order it is learnt again, and stays one."""
    first, second = learn(folder, root, root, 1), learn(folder, root, root, 2)
    assert first.id == second.id
    assert [one.at for one in Shelf(folder, CAMERA).versions()] == [second.at]


def chain(folder: Path, root: Path, count: int) -> list[Version]:
    """Learn on from what was learnt last."""
    found = [learn(folder, root, root, 0)]
    for at in range(1, count):
        found.append(learn(folder, root, Shelf(folder, CAMERA).path(found[-1].id), at))
    return found


def test_old_versions_are_deleted_but_never_the_way_back(root: Path, folder: Path) -> None:
    """Beyond their number the oldest go; the one in service, its parent and the newest stay in any case."""
    versions = chain(folder, root, 6)
    shelf = Shelf(folder, CAMERA)
    point(folder, versions[2])
    tidy(Shelves({CAMERA: str(root)}, folder), Bounds(versions=2))
    assert [one.id for one in shelf.versions()] == [versions[number].id for number in (1, 2, 5)]
    assert all(bundles.read(shelf.path(one.id)).id == one.id for one in shelf.versions())


def test_bytes_of_versions_are_bounded(root: Path, folder: Path) -> None:
    """Beyond their size the oldest go, until the rest fits."""
    versions = chain(folder, root, 5)
    shelf = Shelf(folder, CAMERA)
    point(folder, versions[4])
    size = shelf.size(versions[0].id)
    tidy(Shelves({CAMERA: str(root)}, folder), Bounds(versions=9, most_bytes=round(3.5 * size)))
    assert [one.id for one in shelf.versions()] == [one.id for one in versions[2:]]


def test_bundle_that_waits_goes_when_a_newer_one_comes(root: Path, folder: Path) -> None:
    """Of bundles that wait for consent only the newest is kept: nobody can consent to an older one any more."""
    old = learn(folder, root, root, 1, problems=("a fault is lost",))
    new = learn(folder, root, Shelf(folder, CAMERA).path(old.id), 2)
    tidy(Shelves({CAMERA: str(root)}, folder), Bounds(), newest=new)
    assert [one.id for one in Shelf(folder, CAMERA).versions()] == [new.id]
