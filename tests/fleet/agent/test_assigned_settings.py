"""Settings that are assigned take the place of those that were assigned before."""

from __future__ import annotations

from typing import Any

from edge_config.wire.configure import ChangedValue, SettingsChange
from runtime.fleet.agent.core.assigned_settings import in_place_of


def change(user: str, *, undone: bool = False, **what: tuple[Any, Any]) -> SettingsChange:
    """Return a kept change: key -> value before and after; `_` stands for the point in a key."""
    values = tuple(ChangedValue(key=key.replace("__", "."), before=was, after=now) for key, (was, now) in what.items())
    return SettingsChange(number=1, camera="belt", at_ms=0, user=user, what=values, undone=undone)


CALM = change("fleet 7", alerts__threshold=(100.0, 50.0), alerts__hysteresis=(None, 0.1), ignore=(None, [[[0, 0]]]))
"""A change by an assignment: the threshold was the device's own, the others were not set."""


def test_without_keys_all_is_taken_back() -> None:
    """No settings: each key that the fleet changed is as it was before; one that was absent gets its default."""
    assert in_place_of({}, [CALM]) == {"alerts": {"threshold": 100.0, "hysteresis": 0.0}, "ignore": None}


def test_keys_of_an_older_assignment_do_not_stay() -> None:
    """Other settings replace those before as a whole, back to what the device had before the fleet's first change."""
    newer = change("fleet 9", alerts__threshold=(50.0, 60.0), alerts__min_frames=(3, 9))
    assert in_place_of({"alerts": {"min_frames": 5}}, [newer, CALM]) == {
        "alerts": {"threshold": 100.0, "hysteresis": 0.0, "min_frames": 5},
        "ignore": None,
    }


def test_what_a_person_changed_stays() -> None:
    """A key that a person changed after the fleet keeps that value; a change that was taken back is none."""
    person = change("anna", alerts__threshold=(50.0, 70.0))
    assert in_place_of({}, [person, CALM]) == {"alerts": {"hysteresis": 0.0}, "ignore": None}
    gone = change("fleet 9", undone=True, alerts__min_ms=(None, 4))
    assert in_place_of({"regions": None}, [gone]) == {"regions": None}
    assert in_place_of({}, [change("fleet 9", alerts__threshold=(70.0, 60.0)), person, CALM])["alerts"] == {
        "threshold": 70.0,
        "hysteresis": 0.0,
    }
