"""From watched scores to a threshold: the wanted number is kept, what is foreign does not set it, and gaps are said."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_config.settings.sections import Alerts
from edge_config.wire.burn_in import Proposal
from runtime.burnin.evaluate import AROUND_S, Judging, evaluate
from runtime.burnin.scores import Segment
from runtime.learning.promise.count import Stretch, count

ALERTS = Alerts(min_ms=150)
FPS = 1.0
WALL_S = 1_760_000_000.0
DAY_S = 86_400.0

RUNS = 5
"""Simulated burn-ins. The number of alerts after each is compared with its bound at 95 %: of 5, more than 1 are above
theirs with a chance of 2 % if the bound is right; the seeds are fixed."""
MAX_ABOVE = 1


def scores(hours: float, seed: int, *, fps: float = FPS) -> NDArray[np.float64]:
    """Simulate scores of a scene that does not change: log-normal, alike for some frames."""
    random = np.random.default_rng(seed)
    noise = random.standard_normal(round(hours * 3600 * fps) + 4)
    smooth = np.convolve(noise, np.ones(5) / np.sqrt(5), "valid")
    return np.asarray(10 * np.exp(0.2 * smooth))


def segment(values: NDArray[np.float64], *, fps: float = FPS, wall_s: float = WALL_S) -> Segment:
    return Segment(wall_s, np.arange(len(values)) / fps, values)


def find(*segments: Segment, wanted: float = 24.0, was: float = 30.0) -> Proposal:
    return evaluate(segments, Judging(wanted, ALERTS, was))


@pytest.mark.slow
@pytest.mark.parametrize(("hours", "wanted"), [(12.0, 24.0), (4.0, 6.0)], ids=["counted", "extrapolated"])
def test_wanted_number_is_kept_within_the_bound(hours: float, wanted: float) -> None:
    """With scores that stay as they are, a later week has about the wanted number, and rarely more than the bound."""
    days, rates, above = 3, [], 0
    for seed in range(RUNS):
        found = find(segment(scores(hours, seed)), wanted=wanted)
        assert found.basis == ("counted" if wanted * hours / 24 >= 3 else "extrapolated")
        assert found.threshold is not None
        assert found.upper is not None
        later = scores(days * 24, 1000 + seed)
        stretch = Stretch(np.arange(len(later)) / FPS, later, np.zeros(len(later), dtype=bool))
        rate = count([stretch], found.threshold, ALERTS) / days
        rates.append(rate)
        above += rate > max(found.upper, wanted)
    assert above <= MAX_ABOVE
    assert np.mean(rates) <= 1.5 * wanted
    assert np.mean(rates) >= wanted / 5  # not deaf


def test_alerts_are_counted_with_the_settings_of_the_camera() -> None:
    """A camera whose alerts must last for seconds may have a lower threshold for the same number of alerts."""
    seen = segment(scores(3, 1))
    short, long = (evaluate([seen], Judging(48.0, Alerts(min_ms=ms), 30.0)).threshold for ms in (0, 3000))
    assert short is not None
    assert long is not None
    assert long < short


def test_people_walk_through() -> None:
    """What is far above all others does not set the threshold; it is named with its time, and so is the alternative."""
    quiet = scores(3, 2)
    busy = quiet.copy()
    walks = [1000, 4000, 8000]
    for at in walks:
        busy[at : at + 20] = 300.0 + np.arange(20)
    plain, found = find(segment(quiet)), find(segment(busy))
    assert found.threshold == pytest.approx(plain.threshold, rel=0.1)
    assert not found.problems
    assert found.asides == len(found.aside) == len(walks)
    for one, at in zip(found.aside, walks, strict=True):
        assert datetime.fromisoformat(one.at).timestamp() == pytest.approx(WALL_S + at / FPS, abs=1)
        assert (one.seconds, one.peak) == (19 / FPS, 319.0)
    assert found.threshold_of_all is not None
    assert found.threshold_of_all > 2 * found.threshold
    assert found.hours == pytest.approx(3 - 3 * (2 * AROUND_S + 10) / 3600, abs=0.01)
    assert plain.threshold_of_all is None
    assert plain.asides == 0


def test_people_most_of_the_time_set_no_threshold_unseen() -> None:
    """Where much of the time is strange, the threshold would rise far: that is a problem, which waits for a person."""
    busy = scores(3, 3)
    for at in range(0, len(busy) - 100, 240):
        busy[at : at + 100] *= 8
    found = find(segment(busy))
    assert any("times that of the bundle" in problem for problem in found.problems)


def test_a_golden_fault_that_would_be_lost_is_a_problem() -> None:
    """A threshold over the score of the golden fault is not put into service by itself."""
    seen = [segment(scores(3, 4))]
    level = evaluate(seen, Judging(24.0, ALERTS, 18.0)).threshold
    assert level is not None
    found = evaluate(seen, Judging(24.0, ALERTS, 18.0, golden=(12.0, level - 0.1)))
    assert "golden fault" in found.problems[0]
    assert not evaluate(seen, Judging(24.0, ALERTS, 18.0, golden=(12.0, level + 0.1))).problems


def test_a_gap_is_said_and_not_counted() -> None:
    """Hours without frames, within a run and between two, are named and are no evidence."""
    values = scores(4, 5)
    half = len(values) // 2
    first, second = segment(values[:half]), segment(values[half:], wall_s=WALL_S + 4 * 3600)
    seconds = second.seconds.copy()
    seconds[half // 2 :] += 1800.0  # the camera was away
    found = find(first, Segment(second.wall_s, seconds, second.scores))
    assert found.gaps == 2
    assert found.gap_hours == pytest.approx(2.5, abs=0.01)
    assert found.hours == pytest.approx(4.0, abs=0.01)
    assert datetime.fromisoformat(found.until) - datetime.fromisoformat(found.since) == pytest.approx(
        timedelta(hours=6.5), abs=timedelta(seconds=2)
    )


@pytest.mark.parametrize("minutes", [0, 9])
def test_too_short_gives_no_threshold(minutes: int) -> None:
    """Less than ten minutes say nothing of a day: there is no threshold, and the reason is named."""
    found = find(*([segment(scores(minutes / 60, 6))] if minutes else []))
    assert found.threshold is None
    assert "minutes were watched" in found.problems[0]


def test_alerts_that_were_counted_have_their_times() -> None:
    """Each alert that counts as false is named with its time, so that a person can look."""
    found = find(segment(scores(12, 7)), wanted=200.0)
    assert found.basis == "counted"
    assert found.alerts >= len(found.alerts_at) > 0
    times = [datetime.fromisoformat(one).timestamp() for one in found.alerts_at]
    assert times == sorted(times)
    assert all(WALL_S <= one <= WALL_S + 12 * 3600 for one in times)


def test_minutes_say_little_of_a_day() -> None:
    """Where far more alerts than wanted cannot be excluded, the threshold waits for a person; after hours not."""
    short, long = (find(segment(scores(hours, 8)), wanted=1.0) for hours in (0.25, 8.0))
    assert any("cannot be excluded" in problem for problem in short.problems)
    assert long.problems == ()
