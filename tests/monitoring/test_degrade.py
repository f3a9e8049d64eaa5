"""The ladder down and up again, with time told to it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_config.settings.sections import DegradeSettings
from runtime.monitoring.degrade import BAD_S, CALM_S, MAX_CALM_S, Degradation, Level, MissedFrames, Strain

LIMITS = DegradeSettings(hot_c=85, cool_c=75, least_memory_mb=100)
CALM = Strain(0.0, 50.0, 1000.0)
HOT = Strain(0.0, 95.0, 1000.0)
WARM = Strain(0.0, 80.0, 1000.0)
SHORT = Strain(0.0, 50.0, 60.0)
BUSY = Strain(0.6, 50.0, 1000.0)
HOUR_S = 3600
RECOVERY_S = 30.0
"""Promised to users: full service so long after the strain ends."""

strains = st.builds(
    Strain,
    st.floats(0, 1),
    st.none() | st.floats(-20, 130),
    st.none() | st.floats(0, 500),
)


def feed(degrade: Degradation, strain: Strain, seconds: int, start_s: float = 0.0) -> list[Level]:
    """Tell the same strain once a second, and give the level after each."""
    levels = []
    for second in range(seconds):
        degrade.update(start_s + second, strain)
        levels.append(degrade.level)
    return levels


@pytest.mark.parametrize(("strain", "said"), [(HOT, "hot"), (SHORT, "memory"), (BUSY, "overload")])
def test_trouble_leads_down_to_the_end_of_the_ladder(strain: Strain, said: str) -> None:
    """Lasting trouble of any kind leads down, one step at a time, and the reason names it."""
    degrade = Degradation(LIMITS)
    levels = feed(degrade, strain, 20)
    assert [level for level, after in pairwise([*levels, None]) if level != after] == list(Level)
    assert levels.index(Level.LOWER_RATE) == BAD_S
    assert degrade.reason.startswith(said)


def test_calm_leads_up_in_time() -> None:
    """When a device is calm again after the worst, all is done again within the promised time."""
    degrade = Degradation(LIMITS)
    feed(degrade, HOT, 20)
    levels = feed(degrade, CALM, int(RECOVERY_S), start_s=20)
    assert levels[-1] == Level.FULL
    assert all(before - after in {0, 1} for before, after in pairwise(levels))


def test_short_trouble_changes_nothing() -> None:
    """Trouble that comes and goes within `BAD_S` leaves the level alone."""
    degrade = Degradation(LIMITS)
    for second in range(100):
        assert not degrade.update(second, BUSY if second % 4 < BAD_S - 1 else CALM)
    assert degrade.level is Level.FULL


def test_between_hot_and_cool_nothing_changes() -> None:
    """Below hot but not yet cool, the level stays where it is."""
    degrade = Degradation(LIMITS)
    feed(degrade, HOT, 5)
    level = degrade.level
    assert level != Level.FULL
    assert set(feed(degrade, WARM, 1000, start_s=5)) == {level}


def test_unknown_is_no_trouble() -> None:
    """A device without sensors is judged by its frames alone."""
    degrade = Degradation(LIMITS)
    feed(degrade, Strain(1.0, None, None), 20)
    assert degrade.level is Level.FEWEST
    assert feed(degrade, Strain(0.0, None, None), 30, start_s=20)[-1] is Level.FULL


def test_memory_can_be_left_alone() -> None:
    """With a least memory of 0, memory never counts."""
    degrade = Degradation(DegradeSettings(least_memory_mb=0))
    assert set(feed(degrade, Strain(0.0, None, 0.0), 20)) == {Level.FULL}


@pytest.mark.slow
@given(st.lists(st.tuples(strains, st.floats(0.1, 10)), max_size=100))
def test_steps_are_single_and_apart(story: list[tuple[Strain, float]]) -> None:
    """Whatever happens, the level goes by single steps within the ladder, and never two within `BAD_S`."""
    degrade = Degradation(LIMITS)
    now_s, stepped_s, level = 0.0, -BAD_S, Level.FULL
    for strain, later_s in story:
        now_s += later_s
        changed = degrade.update(now_s, strain)
        assert changed == (degrade.level != level)
        if changed:
            assert abs(degrade.level - level) == 1
            assert now_s - stepped_s >= BAD_S - 1e-9
            assert degrade.reason
            stepped_s, level = now_s, degrade.level


@pytest.mark.slow
@given(st.lists(strains, max_size=60))
def test_everything_is_forgiven(story: list[Strain]) -> None:
    """Whatever happened, lasting calm leads back to full service, and then nothing changes any more."""
    degrade = Degradation(LIMITS)
    for second, strain in enumerate(story):
        degrade.update(second, strain)
    levels = feed(degrade, CALM, int(3 * MAX_CALM_S) + 3, start_s=len(story))
    assert levels[-1] is Level.FULL
    assert all(before >= after for before, after in pairwise(levels))


@pytest.mark.slow
@given(st.floats(0.1, 1.5))
def test_device_that_is_too_small_does_not_swing(capacity: float) -> None:
    """Closed loop: frames that a device cannot do at one level and can at the next bring few changes in an hour."""
    degrade = Degradation(LIMITS)
    changes = 0
    for second in range(HOUR_S):
        missed = max(0.0, 1 - capacity * degrade.level.every)
        changes += degrade.update(second, Strain(missed, None, None))
    assert changes <= 2 * len(Level) * (HOUR_S / MAX_CALM_S)
    assert capacity < 1 or degrade.level is Level.FULL


def test_level_that_holds_is_forgiven() -> None:
    """A step up that failed waits longer the next time; once it has held, it waits no longer than ever."""
    degrade = Degradation(LIMITS)
    steps = []
    now_s = 0.0

    def until(level: Level, strain: Strain) -> float:
        nonlocal now_s
        begin_s = now_s
        while degrade.level != level:
            now_s += 1
            degrade.update(now_s, strain)
        return now_s - begin_s

    until(Level.LOWER_RATE, BUSY)
    for _ in range(3):
        steps.append(until(Level.FULL, CALM))
        until(Level.LOWER_RATE, BUSY)
    assert steps == [1 + CALM_S, 1 + 2 * CALM_S, 1 + 4 * CALM_S]
    until(Level.FULL, CALM)
    feed(degrade, CALM, int(20 * CALM_S), start_s=now_s + 1)
    now_s += 20 * CALM_S
    until(Level.LOWER_RATE, BUSY)
    assert until(Level.FULL, CALM) == 1 + CALM_S


def test_what_levels_mean() -> None:
    """The table of docs/guide/monitoring.md."""
    assert [(int(level), level.title, level.every, level.maps) for level in Level] == [
        (0, "full", 1, True),
        (1, "lower rate", 2, True),
        (2, "no maps", 2, False),
        (3, "every 4th frame", 4, False),
    ]


def test_load_is_a_share_since_it_was_taken() -> None:
    """The load is the share of due frames that were missed since the last look; without frames there is none."""
    load = MissedFrames()
    assert load.take() == 0.0
    load.count(due=3)
    load.count(due=1, missed=1)
    assert load.take() == 0.25
    assert load.take() == 0.0


def test_worker_that_takes_no_frame_is_not_overloaded() -> None:
    """One turn without a frame in time may be a slow frame, and counts as before; the second is no overload."""
    load = MissedFrames()
    shares = []
    for in_time in (1, 0, 1, 0, 0, 0, 1):
        load.count(due=in_time)
        load.count(due=3, missed=3)
        shares.append(load.take())
    assert shares == [0.75, 0.75, 0.75, 0.75, 0.0, 0.0, 0.75]


def test_worker_that_hangs_costs_no_step() -> None:
    """From a worker that hangs in the midst of a turn until one that starts in the midst of another, all stays full."""
    load, degrade = MissedFrames(), Degradation(LIMITS)
    for second, in_time in enumerate((10, 3, *[0] * 12, 3, 10, 10)):
        load.count(due=in_time)
        load.count(due=10 - in_time, missed=10 - in_time)
        degrade.update(second, Strain(load.take(), 50.0, 1000.0))
    assert degrade.level == Level.FULL
