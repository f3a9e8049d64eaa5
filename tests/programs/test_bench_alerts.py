"""The bench counts alerts as the device makes them, and heeds frames of which nobody knows the truth."""

from __future__ import annotations

import pytest

from edge_config.settings.sections import Alerts
from tests.programs.bench.alerts import Counted, count_alerts

LABELS = {"n": "normal", "a": "anomalous", "u": "unclear", "c": "changed"}
PLAIN = Alerts(min_frames=1, min_ms=0, merge_ms=0, hysteresis=0.0, cooldown_ms=0)
"""Every run of frames over the threshold is an alert."""


def count(frames: str, alerts: Alerts = PLAIN) -> Counted:
    """Count alerts of frames by their labels; those in capitals are over the threshold."""
    scores = [2.0 if frame.isupper() else 0.5 for frame in frames]
    return count_alerts(scores, [LABELS[frame.lower()] for frame in frames], 1.0, alerts)


@pytest.mark.parametrize(
    ("frames", "counted"),
    [
        ("nnnnaann", Counted(0, 0, 0)),
        ("nnAAAnn", Counted(1, 0, 0)),
        ("nnNNnnNn", Counted(0, 2, 0)),
        ("nnUAAAUnn", Counted(1, 0, 0)),  # an arm at the door, and then its owner
        ("nnUUnn", Counted(0, 0, 1)),
        ("nnNUnn", Counted(0, 0, 1)),
        ("nnAAACC", Counted(1, 0, 0)),  # what the visit left is of the same alert
        ("nnAAaCCC", Counted(1, 0, 1)),
        ("nnAA", Counted(1, 0, 0)),  # open at the end
        ("", Counted(0, 0, 0)),
    ],
)
def test_alerts_are_counted_by_their_frames(frames: str, counted: Counted) -> None:
    """One with an anomalous frame over the threshold is true, one with normal ones alone false, the others left out."""
    assert count(frames) == counted


def test_the_settings_of_alerts_hold() -> None:
    """Frames that are too few make no alert, and a gap that is merged does not make two."""
    assert count("nnNnnNnnAAAnAAnn", Alerts(min_frames=3)) == Counted(1, 0, 0)
    assert count("nnAAAnAAnn" + "n" * 25, Alerts(merge_ms=200)) == Counted(1, 0, 0)
