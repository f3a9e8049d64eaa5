"""Alerts of scored recordings are counted as a device publishes them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_config.settings.sections import Alerts
from runtime.alerts.monitored_camera import MonitoredCamera
from runtime.frame import BundleInfo, Result, SharedFrame
from runtime.learning.promise.count import Stretch, count, frame_rate, starts

THRESHOLD = 10.0


class Starts:
    """A sender that keeps when alerts start."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def send(self, kind: str, camera: str, attached: tuple[bytes, ...] = (), **fields: object) -> None:  # noqa: ARG002
        if kind == "alert" and fields["phase"] == "start":
            self.seconds.append(float(str(fields["t_start_ns"])) / 1e9)


def published(stretch: Stretch, alerts: Alerts) -> list[float]:
    """Return the times at which a camera of the runtime, given every frame, says that alerts started, seconds."""
    sender = Starts()
    camera = MonitoredCamera("top", sender, alerts)
    camera.serve(BundleInfo("ab", "x.bundle", THRESHOLD, 0.01))
    for number, (at_s, score) in enumerate(zip(stretch.seconds, stretch.scores, strict=True), 1):
        ns = round(at_s * 1e9)
        result = Result(value=float(score), repeated=bool(stretch.repeated[number - 1]))
        camera.publish(SharedFrame(1, 0, (9, 9), number, ns, ns), result)
    return sender.seconds


@st.composite
def recordings(draw: st.DrawFn) -> Stretch:
    """Draw runs of frames under, near and over the threshold, at rates on both sides of the slow one."""
    runs = draw(
        st.lists(st.tuples(st.sampled_from([1.0, 9.4, 10.5, 30.0]), st.integers(1, 40)), min_size=1, max_size=9)
    )
    scores = np.concatenate([np.full(length, score) for score, length in runs])
    random = np.random.default_rng(draw(st.integers(0, 99)))
    step_s = draw(st.sampled_from([0.04, 0.2, 0.4, 1.0]))
    steps = step_s * (1 + 0.2 * random.random(len(scores)))
    repeated = (random.random(len(scores)) < draw(st.sampled_from([0.0, 0.3]))) & (np.arange(len(scores)) > 0)
    return Stretch(np.cumsum(steps), scores, repeated)


@settings(max_examples=60, deadline=None)
@given(recordings(), st.sampled_from([Alerts(), Alerts(min_ms=500), Alerts(hysteresis=0.1, cooldown_ms=3000)]))
def test_alerts_are_those_that_the_runtime_publishes(stretch: Stretch, alerts: Alerts):
    """As many alerts are counted as a camera of the runtime publishes for the same frames, from the same moments on."""
    counted = [stretch.seconds[place] for place in starts(stretch, THRESHOLD, alerts)]
    assert counted == pytest.approx(published(stretch, alerts), abs=1e-6)  # times are kept in whole nanoseconds
    assert count([stretch], THRESHOLD, alerts) == len(counted)


def test_pauses_do_not_count_as_time():
    """An hour between two sessions of 100 frames at 5 a second is no normal video; each session lasts 20 s."""
    session = np.arange(100) / 5
    both = np.concatenate([session, 3600 + session])
    stretch = Stretch(both, np.zeros(200), np.zeros(200, dtype=bool))
    assert stretch.hours * 3600 == pytest.approx(2 * 19.8 + 0.2)
    assert frame_rate([stretch]) == pytest.approx(5)


def test_one_frame_has_no_duration():
    """Neither a single frame nor no frame at all is any time, or has a rate."""
    for frames in (0, 1):
        stretch = Stretch(np.zeros(frames), np.zeros(frames), np.zeros(frames, dtype=bool))
        assert stretch.hours == 0
        assert frame_rate([stretch]) == 0
