"""The state machine of a camera, against a table of what counts before what."""

from __future__ import annotations

import itertools

import pytest

from runtime.alerts.camera_state import StateChange, StateMachine

PAUSED, FAILED, AWAY, UNSCORED, DARK = "paused", "failed", "away", "unscored", "dark"
EXPECTED = {
    PAUSED: ("paused", "by a request"),
    AWAY: ("disconnected", "lost"),
    FAILED: ("failed", "bundle is gone"),
    UNSCORED: ("stalled", "no worker"),
    DARK: ("dark", "grey 3"),
}
"""Gravest first: a camera that is away is so, whatever its bundle."""

CAUSES = [causes for number in range(6) for causes in itertools.combinations(EXPECTED, number)]


@pytest.mark.parametrize("causes", CAUSES, ids="-".join)
def test_gravest_of_all_causes_is_the_state(causes: tuple[str, ...]) -> None:
    """Whichever causes come together, the gravest is the state, and the last change that was told."""
    told: list[StateChange] = []
    machine = StateMachine(told.append)
    machine.serve()
    machine.connect("live", "delivers pictures")
    if AWAY in causes:
        machine.connect("disconnected", "lost")
    if DARK in causes:
        machine.see("dark", "grey 3")
    if UNSCORED in causes:
        machine.starve("no worker")
    if FAILED in causes:
        machine.fail("bundle is gone")
    if PAUSED in causes:
        machine.pause()
    expected = next((EXPECTED[cause] for cause in EXPECTED if cause in causes), ("live", "delivers pictures"))
    assert (machine.state, machine.reason) == told[-1][:2] == expected
    assert machine.connected == (PAUSED not in causes and AWAY not in causes)


def test_remedy_is_that_of_the_connection_only() -> None:
    """What a user can do about the connection is told with its state, and with no other."""
    told: list[StateChange] = []
    machine = StateMachine(told.append)
    machine.serve()
    machine.connect("disconnected", "wrong user", "correct it")
    machine.pause()
    machine.resume(reopens=False)
    remedies = [(change.state, change.remedy) for change in told]
    assert remedies == [("disconnected", "correct it"), ("paused", ""), ("disconnected", "correct it")]
