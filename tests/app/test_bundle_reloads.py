"""Bundles that are read anew: who is answered, when and how often, and what counts as another bundle."""

from __future__ import annotations

from pathlib import Path
from queue import SimpleQueue

import pytest

from edge_config.wire.requests import Reload
from runtime.app.bundle_reloads import Reloads
from runtime.events import Asked
from tests.support.fakes.parts import OLD, Control, Engine, Feed


@pytest.fixture
def engine() -> Engine:
    """Return an engine with two cameras of two bundles."""
    engine = Engine(SimpleQueue().put, {"a": Feed(), "b": Feed()})
    engine.serving["b"] = "/bundles/b"
    return engine


@pytest.fixture
def control() -> Control:
    """Return a control socket that keeps the answers."""
    return Control()


@pytest.fixture
def reloads(engine: Engine, control: Control) -> Reloads:
    """Return what is tested."""
    return Reloads(engine, control)


def put(path: Path) -> None:
    """Put another folder at a path, by renaming."""
    new = path.with_name("new")
    new.mkdir()
    if path.exists():
        path.rename(path.with_name(f"before-{len(list(path.parent.iterdir()))}"))
    new.rename(path)


def test_renamed_bundle_is_noticed_once(reloads: Reloads, tmp_path: Path) -> None:
    """Another folder at a watched path is told by `changed` once, and so is the next one."""
    path = tmp_path / "site.bundle"
    put(path)
    reloads.serving([str(path)])
    assert not reloads.changed()
    put(path)
    assert [reloads.changed(), reloads.changed()] == [True, False]
    reloads.serving([str(path)])  # it is in service
    assert not reloads.changed()
    put(path)
    assert [reloads.changed(), reloads.changed()] == [True, False]


def test_bundle_that_is_put_there_while_another_is_loaded_is_noticed(reloads: Reloads, tmp_path: Path) -> None:
    """What comes between the notice and the service of the one before is not taken for it."""
    path = tmp_path / "site.bundle"
    put(path)
    reloads.serving([str(path)])
    put(path)
    assert reloads.changed()
    put(path)
    reloads.serving([str(path)])
    assert reloads.changed()


def test_bundle_that_is_taken_away_is_no_other_one(reloads: Reloads, tmp_path: Path) -> None:
    """A path where nothing lies changes nothing, nor does the same bundle put back; another one does."""
    path = tmp_path / "site.bundle"
    put(path)
    reloads.serving([str(path)])
    away = path.rename(tmp_path / "away")
    assert not reloads.changed()
    away.rename(path)
    assert not reloads.changed()
    path.rename(away)
    put(path)
    assert reloads.changed()


def test_renewal_is_not_noticed_a_second_time(reloads: Reloads, engine: Engine, tmp_path: Path) -> None:
    """A bundle that was put there before a signal came is read once, not once for each."""
    path = tmp_path / "site.bundle"
    put(path)
    reloads.serving([str(path)])
    put(path)
    reloads.renew()
    assert engine.reloads == [(None, None)]
    assert not reloads.changed()


def test_request_is_answered_when_all_its_bundles_are(reloads: Reloads, control: Control) -> None:
    """A reload of all cameras is done when the last bundle is, and answered once."""
    reloads.ask(Asked(1, Reload()), None, None)
    reloads.answered(OLD.path, "")
    assert control.answers == []
    reloads.answered("/bundles/b", "")
    reloads.answered("/bundles/b", "")
    assert control.answers == [(1, True, {"reloaded": True})]


def test_one_bad_bundle_refuses_the_request(reloads: Reloads, control: Control) -> None:
    """Of two bundles the bad one is named, whether it is the first or the last to be answered."""
    for number, bad in enumerate([OLD.path, "/bundles/b"], start=1):
        reloads.ask(Asked(number, Reload()), None, None)
        for path in (OLD.path, "/bundles/b"):
            reloads.answered(path, f"{path}: damaged" if path == bad else "")
        assert control.answers[-1] == (number, False, f"{bad}: damaged")
    assert len(control.answers) == 2


def test_answers_of_others_are_passed_over(reloads: Reloads, control: Control) -> None:
    """A request for one bundle does not take the answer about another, or one that nobody asked for."""
    reloads.answered(OLD.path, "nobody asked")
    reloads.ask(Asked(1, Reload()), "a", "/bundles/new")
    reloads.answered(OLD.path, "not this one")
    assert control.answers == []
    reloads.answered("/bundles/new", "")
    assert control.answers == [(1, True, {"reloaded": True})]


def test_all_who_asked_for_a_bundle_are_answered(reloads: Reloads, control: Control) -> None:
    """Two requests for the same bundle get an answer each."""
    for number in (1, 2):
        reloads.ask(Asked(number, Reload()), "a", None)
    reloads.answered(OLD.path, "")
    reloads.answered(OLD.path, "")
    assert sorted(number for number, _, _ in control.answers) == [1, 2]
