"""Alerts that the scores of a recording make, by the alert logic of the device, and which of them are false."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from edge_config.settings.sections import Alerts
from runtime.alerts.decide import Decide
from runtime.frame import Frame, Result

FPS = 25
"""Frames a second that a recording without a rate of its own is played at."""

NORMAL, ANOMALOUS = "normal", "anomalous"

_NO_PICTURE = np.zeros((1, 1, 3), dtype=np.uint8)


class Counted(NamedTuple):
    """Alerts by what their frames over the threshold are labelled.

    Attributes:
        true: at least one of them is anomalous.
        false: all of them are normal.
        left_out: the others: `unclear` or `changed` frames are among them, and no anomalous one.
    """

    true: int
    false: int
    left_out: int


def count_alerts(
    scores: Sequence[float], labels: Sequence[str], threshold: float, alerts: Alerts | None = None, fps: float = FPS
) -> Counted:
    """Play scores to the alert logic, in order.

    Args:
        scores: of the frames, all of them.
        labels: `normal`, `anomalous`, or any other for frames that no figure counts.
        threshold: of the bundle.
        alerts: settings of the camera; by default those of the device.
        fps: frames a second.
    """
    decide = Decide(alerts or Alerts(), threshold)
    kinds: list[str] = []
    begun: int | None = None
    for number, score in enumerate(scores):
        at = round(number * 1e9 / fps)
        alert = decide(Frame(_NO_PICTURE, number + 1, at, at), Result(value=score, peak_xy=(0, 0))).alert
        if alert is not None and alert.phase == "end":
            kinds.append(_kind(scores, labels, threshold, begun or 0, number))
            begun = None
        elif alert is not None and begun is None:
            begun = round(alert.t_start_ns * fps / 1e9)
    if begun is not None:
        kinds.append(_kind(scores, labels, threshold, begun, len(scores)))
    return Counted(*(kinds.count(kind) for kind in (ANOMALOUS, NORMAL, "")))


def _kind(scores: Sequence[float], labels: Sequence[str], threshold: float, begin: int, end: int) -> str:
    """Return what an alert over these frames shows; empty where that is not known."""
    over = {label for score, label in zip(scores[begin:end], labels[begin:end], strict=True) if score > threshold}
    if ANOMALOUS in over:
        return ANOMALOUS
    return NORMAL if over == {NORMAL} else ""
