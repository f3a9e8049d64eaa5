"""The record of scores on the disk: what is read is what was written, whatever a power cut left behind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.burnin.collect import ScoreCollector
from runtime.burnin.kept import BurnInRun
from runtime.burnin.scores import RECORD_BYTES, frame, read, segment
from runtime.frame import SharedFrame

SAME_S, SAME_SCORE = 1e-3, 1e-6
"""Steps and scores are float32: over some frames a time is off by this at most, seconds; a score by this share."""

RUN = BurnInRun(bundle="a", duration_s=3600.0, wanted=1.0, silent=True, apply=True)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2**62),
            st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1e6)), min_size=1, max_size=20),
        ),
        max_size=4,
    )
)
def test_what_is_read_is_what_was_written(given: list[tuple[int, list[tuple[float, float]]]]) -> None:
    """Every segment comes back with its wall clock, times and scores."""
    data = b"".join(segment(wall_ns) + b"".join(frame(*one) for one in frames) for wall_ns, frames in given)
    found = read(data)
    assert len(found) == len(given)
    for one, (wall_ns, frames) in zip(found, given, strict=True):
        steps, scores = np.array(frames).T
        assert one.wall_s == pytest.approx(wall_ns / 1e9)
        assert one.seconds == pytest.approx(np.cumsum(steps) - steps[0], abs=SAME_S)
        assert one.scores == pytest.approx(scores, rel=SAME_SCORE, abs=1e-30)


def test_half_a_record_at_the_end_is_left_out() -> None:
    """A record that was cut off is not read, and those before it are."""
    data = segment(5) + frame(0.0, 1.0) + frame(0.5, 2.0)
    (found,) = read(data[:-3])
    assert found.scores.tolist() == [1.0]
    assert read(segment(5)) == []


def take(collector: ScoreCollector, run: BurnInRun, seconds: list[float], wall_s: float = 0.0) -> BurnInRun:
    for number, second in enumerate(seconds):
        at_ns = round(second * 1e9)
        run = collector.take(run, SharedFrame(1, 0, None, number, round(wall_s * 1e9) + at_ns, at_ns), 1.0)
    return run


def test_time_without_frames_is_a_gap_and_not_watched() -> None:
    """A camera that was away for two minutes was not watched in them, and a slow frame is no gap."""
    run = take(ScoreCollector(0), RUN, [0.0, 0.2, 0.4, 0.6, 3.6, 123.6, 123.8])
    assert run.watched_s == pytest.approx(3.8)
    assert (run.gaps, run.gap_s) == (1, pytest.approx(120.0))


def test_a_camera_of_one_frame_in_ten_seconds_is_watched() -> None:
    """Frames far apart are no gaps where they are always so."""
    run = take(ScoreCollector(0), RUN, [10.0 * number for number in range(7)])
    assert (run.watched_s, run.gaps) == (pytest.approx(60.0), 0)


def test_a_restart_is_a_gap_by_the_wall_clock() -> None:
    """After a restart the monotonic clock is another: the gap is that of the wall clock, never below 0."""
    first = take(ScoreCollector(0), RUN, [0.0, 1.0, 2.0], wall_s=1000.0)
    second = take(ScoreCollector(5), first, [0.0, 1.0], wall_s=1062.0)
    assert (second.watched_s, second.gaps, second.gap_s) == (pytest.approx(3.0), 1, pytest.approx(60.0))
    back = take(ScoreCollector(5), first, [0.0, 1.0], wall_s=900.0)
    assert (back.gaps, back.gap_s) == (0, 0.0)


def test_records_are_handed_over_once_and_in_order() -> None:
    """What is handed over goes behind what is on the disk, and a burn-in that begins again begins at 0."""
    collector = ScoreCollector(0)
    run = take(collector, RUN, [0.0, 1.0])
    at, records = collector.hand_over()
    assert (at, len(records)) == (0, 4 * RECORD_BYTES)
    take(collector, run, [2.0])
    assert collector.hand_over() == (4, frame(1.0, 1.0))
    collector.restart()
    assert (collector.count, collector.hand_over()) == (0, (0, b""))
