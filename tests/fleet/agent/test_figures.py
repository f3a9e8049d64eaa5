"""Figures of a runtime, read from its metrics as it writes them."""

from __future__ import annotations

import pytest

from runtime.fleet.agent.core.seen import Totals
from runtime.fleet.agent.figures import FiguresRead
from runtime.monitoring.metrics import Metrics


def stage(metrics: Metrics, frames: int, frame_s: float) -> None:
    """Record frames that take a time, two thirds of it in one stage."""
    for _ in range(frames):
        metrics.scored("top", 1.0, 0.04)
        metrics.stages({"embed": frame_s * 2 / 3, "score": frame_s / 3, "preview": 1.0})


def test_figures_are_those_that_were_recorded() -> None:
    """Alerts, frames, time of a frame without previews, and the age of frames; a restarted runtime begins again."""
    metrics, figures = Metrics(["top"]), FiguresRead()
    stage(metrics, 40, 0.03)
    metrics.alerted("top")
    figures.take(metrics.text().decode(), {"top": 40})
    stage(metrics, 60, 0.06)
    figures.take(metrics.text().decode(), {"top": 100})
    totals = figures.totals("top")
    assert (totals.alerts, totals.frames) == (1, 100)
    assert totals.frame_ms == pytest.approx(40 * 30 + 60 * 60)
    assert 30 < figures.p95_ms("top") <= 50  # the bucket that holds 40 ms
    fresh = Metrics(["top"])
    stage(fresh, 10, 0.02)
    figures.take(fresh.text().decode(), {"top": 10})
    after = figures.totals("top")
    assert (after.alerts, after.frames) == (0, 10)
    assert after.frame_ms == pytest.approx(10 * 20)
    assert after.since(totals, 5.0).frames == 10


def test_unknown_camera_has_no_figures() -> None:
    """Before the first look there is nothing to compare."""
    figures = FiguresRead()
    assert (figures.totals("top"), figures.p95_ms("top")) == (Totals(), 0.0)
