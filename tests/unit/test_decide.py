"""Labels and alerts, from the scores of one camera."""

from __future__ import annotations

import math

import pytest

from runtime.decide import Decide

THRESHOLD = 10.0


@pytest.fixture
def decide() -> Decide:
    """Give a fresh camera with a threshold of 10."""
    return Decide(THRESHOLD)


def test_scores_up_to_the_threshold_are_normal(decide: Decide):
    """Zero, a small score and the threshold itself are normal, and no alert is raised."""
    for frame_id, score in enumerate((0.0, 3.0, THRESHOLD), start=1):
        decision = decide(frame_id, score)
        assert decision.label == "normal"
        assert decision.alert is None


def test_the_next_number_above_the_threshold_is_anomalous(decide: Decide):
    """The smallest score above the threshold is anomalous and starts an alert, with itself as the peak."""
    score = math.nextafter(THRESHOLD, math.inf)
    decision = decide(4, score)
    assert decision.label == "anomalous"
    assert (decision.alert.phase, decision.alert.peak_score, decision.alert.peak_frame_id) == ("start", score, 4)
    assert decision.alert.alert_id


def test_an_alert_starts_is_updated_at_new_peaks_and_ends(decide: Decide):
    """One alert keeps its id from start to end; only a higher score is an update, an equal or lower one is silent."""
    decisions = [decide(frame_id, score) for frame_id, score in enumerate((11.0, 11.0, 10.5, 15.0, 12.0, 9.0), start=1)]
    alerts = [decision.alert for decision in decisions]
    assert [decision.label for decision in decisions] == ["anomalous"] * 5 + ["normal"]
    assert [alert and (alert.phase, alert.peak_score, alert.peak_frame_id) for alert in alerts] == [
        ("start", 11.0, 1),
        None,
        None,
        ("update", 15.0, 4),
        None,
        ("end", 15.0, 4),
    ]
    assert len({alert.alert_id for alert in alerts if alert}) == 1


def test_an_alert_ends_once_and_the_next_one_is_another(decide: Decide):
    """After the end, normal frames are silent, and the next anomaly has an alert, id and peak of its own."""
    first = decide(1, 50.0).alert
    assert decide(2, 1.0).alert.phase == "end"
    assert decide(3, 1.0).alert is None
    second = decide(4, 20.0).alert
    assert (second.phase, second.peak_score, second.peak_frame_id) == ("start", 20.0, 4)
    assert second.alert_id != first.alert_id


@pytest.mark.parametrize("score", [None, math.nan])
def test_a_frame_without_a_score_is_unknown_and_keeps_an_alert_open(decide: Decide, score: float | None):
    """A frame that could not be scored is neither normal nor anomalous: it starts, moves and ends nothing."""
    assert decide(1, score).label == "unknown"
    assert decide(1, score).alert is None
    opened = decide(2, 11.0).alert
    unknown = decide(3, score)
    assert (unknown.label, unknown.alert) == ("unknown", None)
    ended = decide(4, 0.0).alert
    assert (ended.phase, ended.alert_id, ended.peak_frame_id) == ("end", opened.alert_id, 2)


def test_an_infinite_score_is_anomalous(decide: Decide):
    """A score beyond all numbers raises an alert."""
    assert decide(1, math.inf).label == "anomalous"


def test_close_ends_the_open_alert_with_its_peak(decide: Decide):
    """Closing gives the end of the open alert with its peak so far."""
    opened = decide(1, 11.0).alert
    decide(2, 30.0)
    ended = decide.close()
    assert (ended.alert_id, ended.phase, ended.peak_score, ended.peak_frame_id) == (opened.alert_id, "end", 30.0, 2)


def test_close_without_an_alert_gives_nothing(decide: Decide):
    """Where no alert is open, before the first and after the last, closing gives None."""
    assert decide.close() is None
    decide(1, 11.0)
    decide.close()
    assert decide.close() is None
