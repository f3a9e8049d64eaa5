"""What the default settings make of scores as cameras give them, at any frame rate and with frames that are skipped."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_config.settings.sections import Alerts
from runtime.alerts.decide import Decide
from runtime.frame import Result, SharedFrame

Scores = Callable[[NDArray[np.float64], np.random.Generator], NDArray[np.float64]]
"""From times in seconds to scores, in thresholds."""

MS = 1_000_000
MINUTE_S = 60
SEEDS = range(10)
JITTER_S = 0.002
"""Standard deviation of the time of a frame."""

FLICKER: dict[str, Scores] = {
    "every other frame": lambda t, _: np.where(np.arange(len(t)) % 2, 1.2, 0.8),
    "pairs": lambda t, _: np.where(np.arange(len(t)) % 4 < 2, 1.2, 0.8),
    "noise": lambda t, random: 1 + 0.05 * random.normal(size=len(t)),
    "noise a little below": lambda t, random: 0.98 + 0.05 * random.normal(size=len(t)),
    "a third at random": lambda t, random: np.where(random.random(len(t)) < 1 / 3, 1.2, 0.8),
    "3 a second and noise": lambda t, random: 1 + 0.05 * np.sin(6 * np.pi * t) + 0.02 * random.normal(size=len(t)),
    "1 a second and noise": lambda t, random: 1 + 0.05 * np.sin(2 * np.pi * t) + 0.02 * random.normal(size=len(t)),
    "one in 3 s and noise": lambda t, random: 1 + 0.05 * np.sin(2 * np.pi * t / 3) + 0.02 * random.normal(size=len(t)),
}


def messages(times_s: NDArray[np.float64], scores: NDArray[np.float64]) -> list[tuple[str, float]]:
    """Return phase and time in seconds of what is told."""
    decide, told = Decide(Alerts(), threshold=1.0), []
    for number, (at_s, score) in enumerate(zip(times_s, scores, strict=True), start=1):
        ns = round(at_s * 1e9)
        alert = decide(SharedFrame(1, 0, None, number, ns, ns), Result(value=float(score))).alert
        if alert is not None:
            told.append((alert.phase, float(at_s)))
    return told


def alerts(times_s: NDArray[np.float64], scores: NDArray[np.float64]) -> list[tuple[str, float]]:
    """Return what is told, but for updates."""
    return [(phase, at_s) for phase, at_s in messages(times_s, scores) if phase != "update"]


def times(fps: float, seconds: float, random: np.random.Generator, skipped: float = 0.0) -> NDArray[np.float64]:
    """Return the times of the frames of a camera that jitters and skips a share of them."""
    exact = np.arange(round(fps * seconds)) / fps
    seen = exact[random.random(len(exact)) >= skipped]
    return np.maximum.accumulate(seen + JITTER_S * random.normal(size=len(seen)))


def starts(told: list[tuple[str, float]]) -> int:
    return sum(phase == "start" for phase, _ in told)


@pytest.mark.parametrize("skipped", [0.0, 0.3])
@pytest.mark.parametrize("fps", [5, 15, 25])
@pytest.mark.parametrize("kind", FLICKER)
def test_minute_of_flicker_is_one_alert_or_two(kind: str, fps: float, skipped: float) -> None:
    """Scores that flicker around the threshold for a minute make one alert, at most two."""
    for seed in SEEDS:
        random = np.random.default_rng(seed)
        at_s = times(fps, MINUTE_S, random, skipped)
        assert 1 <= starts(alerts(at_s, FLICKER[kind](at_s, random))) <= 2


@pytest.mark.parametrize("fps", [5, 6, 10, 15, 25, 30, 60])
def test_object_of_half_a_second_is_an_alert(fps: float) -> None:
    """An object in view for half a second is one alert, wherever between the frames it begins; told within 0.5 s."""
    for seed, begin_s in itertools.product(SEEDS, np.linspace(3, 3 + 1 / fps, 7, endpoint=False)):
        at_s = times(fps, 9, np.random.default_rng(seed))
        told = alerts(at_s, np.where((at_s >= begin_s) & (at_s < begin_s + 0.5), 1.3, 0.9))
        assert [phase for phase, _ in told] == ["start", "end"]
        assert told[0][1] < begin_s + 0.5
        assert told[1][1] < begin_s + 0.5 + 1.3  # `merge_ms`, and a frame


@pytest.mark.parametrize("fps", [0.2, 1, 2, 3])
def test_camera_that_takes_few_pictures_alarms_by_one(fps: float) -> None:
    """Where frames are far apart, as of a camera that takes one picture of each part, one of them is an alert."""
    at_s = times(fps, 40 / fps, np.random.default_rng(4))
    scores = np.full(len(at_s), 0.9)
    scores[20] = 1.3
    told = alerts(at_s, scores)
    assert told[0] == ("start", at_s[20])
    assert [phase for phase, _ in told] == ["start", "end"]


def test_third_of_few_pictures_alarms() -> None:
    """Two steps tell that frames are far apart, also by the clock of a recording, which begins at 0."""
    assert alerts(np.arange(5) * 10.0, np.array([0.9, 0.9, 1.3, 0.9, 0.9])) == [("start", 20.0), ("end", 30.0)]


def test_wanted_number_of_frames_holds_for_few_pictures_too() -> None:
    """`min_frames` in the settings counts at any rate."""
    decide = Decide(Alerts(min_frames=3), threshold=1.0)
    frames = [SharedFrame(1, 0, None, number, number * 10**9, number * 10**9) for number in range(1, 7)]
    told = [decide(frame, Result(value=0.9 if frame.frame_id < 3 else 1.3)).alert for frame in frames]
    assert [alert is not None for alert in told] == [False, False, False, False, True, False]


@pytest.mark.parametrize("fps", [1, 2, 3])
def test_minute_of_flicker_in_few_pictures_is_one_alert_or_two(fps: float) -> None:
    """Every other frame over the threshold makes one alert, at most two, where frames are far apart."""
    at_s = times(fps, MINUTE_S, np.random.default_rng(5))
    assert 1 <= starts(alerts(at_s, np.where(np.arange(len(at_s)) % 2, 1.2, 0.8))) <= 2


@pytest.mark.parametrize("fps", [5, 15, 25])
@pytest.mark.parametrize("every_s", [1, 2.2, 7])
def test_single_frames_are_none(fps: float, every_s: float) -> None:
    """A single frame over the threshold is no alert, nor are single frames with seconds between them."""
    at_s = times(fps, MINUTE_S, np.random.default_rng(1))
    scores = np.full(len(at_s), 0.9)
    scores[:: round(fps * every_s)] = 3.0
    assert alerts(at_s, scores) == []


@pytest.mark.slow
@pytest.mark.parametrize("fps", [5, 15, 25])
def test_rare_false_alarms_are_none(fps: float) -> None:
    """False alarms of one frame in 100, each for itself, as a bundle promises at most, make hardly any alert."""
    random = np.random.default_rng(2)
    at_s = times(fps, 60 * MINUTE_S, random)
    assert starts(alerts(at_s, np.where(random.random(len(at_s)) < 0.01, 1.2, 0.9))) <= 6  # of 180 to 900 frames


VISIT_S = 10
LATEST_END_S = 20
"""After a visit, as alerts.md says: twice the longest wait by the defaults. (Without the share it was for ever.)"""


@pytest.mark.parametrize("share", [0.01, 0.02, 0.03])
@pytest.mark.parametrize("fps", [5, 15, 25])
def test_false_alarms_do_not_keep_an_alert_open(fps: float, share: float) -> None:
    """An alert ends within 20 s after a visit though single frames go on to be over; a second visit is told."""
    second_s = VISIT_S + 10 + LATEST_END_S
    for seed in SEEDS:
        random = np.random.default_rng(seed)
        at_s = times(fps, second_s + VISIT_S, random)
        visited = ((at_s >= 5) & (at_s < 5 + VISIT_S)) | (at_s >= second_s)
        told = alerts(at_s, np.where(visited | (random.random(len(at_s)) < share), 1.4, 0.9))
        ended_s = next(at for phase, at in told if phase == "end" and at > 5 + VISIT_S)
        assert ended_s < 5 + VISIT_S + LATEST_END_S
        assert any(phase == "start" and at >= second_s for phase, at in told)


@pytest.mark.parametrize("fps", [5, 15, 25])
def test_objects_on_a_belt_are_an_alert_each(fps: float) -> None:
    """Objects that are in view for 2.5 s, with 1.4 s of nothing between them, are told one by one."""
    at_s = times(fps, MINUTE_S, np.random.default_rng(3))
    assert starts(alerts(at_s, np.where(at_s % 3.9 < 2.5, 1.5, 0.95))) == 16


@pytest.mark.parametrize("fps", [5, 15, 25])
def test_short_objects_that_are_far_enough_apart_are_an_alert_each(fps: float) -> None:
    """Objects that are in view for half a second every 4 s are told one by one."""
    at_s = times(fps, MINUTE_S, np.random.default_rng(4))
    assert starts(alerts(at_s, np.where(at_s % 4 < 0.5, 1.5, 0.95))) == 15


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["noise", "3 a second and noise", "a third at random"])
def test_hour_of_flicker_is_few_messages(kind: str) -> None:
    """A storm that goes on for an hour is told, and written into the journal, in less than one message a minute."""
    random = np.random.default_rng(5)
    at_s = times(25, 60 * MINUTE_S, random)
    assert 1 <= len(messages(at_s, FLICKER[kind](at_s, random))) < 60
