"""Peaks of alerts: stored within seconds of the start, replaced by higher ones, at a bounded rate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from runtime.teaching.peaks import COPIES, REPLACE_S, WRITES, Peaks
from runtime.teaching.store import PictureStore
from tests.support.stored import BOXES, DirectThread, Memory, Open, alert, image, seen


class Case:
    """Peaks of a camera with one frame a second."""

    def __init__(self, store: PictureStore) -> None:
        self.memory, self.store, self.thread = Memory(), store, DirectThread(store)
        self.peaks = Peaks(self.memory, self.thread, 0.0)
        self.number = 0

    def play(self, *scores: float, number: int = 0, is_open: bool = True) -> None:
        """See frames of an alert, 0: of none, one second apart."""
        for score in scores:
            self.number += 1
            about = alert(number) if number else None
            self.peaks.see(seen(self.number, score, alert_=about, is_open=is_open and bool(number)), float(self.number))

    @property
    def scores(self) -> list[float]:
        return [one.score for one in self.store.all()]


@pytest.fixture
def case(opened: Open, tmp_path: Path) -> Case:
    """Return peaks of a camera that is quiet."""
    return Case(opened(tmp_path))


def test_peak_is_stored_when_the_alert_begins(case: Case) -> None:
    """The highest frame so far is on the disk at the start of an alert, though a later frame began it."""
    case.play(1.0)
    case.play(15.0, 12.0, number=1, is_open=False)
    assert case.scores == []
    case.play(13.0, number=1)
    (peak,) = case.store.all()
    assert (peak.kind, peak.alert, peak.score, peak.frame, peak.decided) == ("peak", "alert-1", 15.0, 2, "")
    assert (peak.threshold, peak.boxes) == (10.0, BOXES)
    data = case.store.read(peak)
    assert np.array_equal(_decoded(data), image(2))


def _decoded(data: bytes) -> np.ndarray:
    import cv2

    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))


def test_higher_peak_replaces_the_lower(case: Case) -> None:
    """While an alert goes on a higher frame replaces the stored one after a while, and at its end at once."""
    case.play(12.0, 14.0, number=1)
    assert case.scores == [12.0]
    case.play(*[13.0] * round(REPLACE_S), number=1)
    assert case.scores == [14.0]
    case.play(20.0, number=1)
    assert case.scores == [14.0]
    case.play(1.0)
    assert case.scores == [20.0]


def test_what_was_decided_on_is_never_replaced(case: Case) -> None:
    """After a false alarm a higher frame of the same alert, which may show an object, is another picture."""
    case.play(12.0, number=1)
    case.store.change(case.store.all()[0], decided="accepted")
    case.play(30.0, number=1)
    case.play(1.0)
    assert [(one.score, one.decided) for one in case.store.all()] == [(12.0, "accepted"), (30.0, "")]


def test_peak_that_is_being_learnt_is_not_deleted(case: Case) -> None:
    """A higher peak comes beside one that a learner reads; what is left over goes with the next start."""
    case.play(12.0, number=1)
    case.store.hold(case.store.all())
    case.play(20.0, number=1)
    case.play(1.0)
    assert case.scores == [12.0, 20.0]


def test_what_became_no_alert_is_not_stored(case: Case) -> None:
    """Single strange frames leave nothing, and alerts after one another have a peak each."""
    case.play(50.0, number=1, is_open=False)
    case.play(1.0)
    case.play(12.0, number=2)
    case.play(13.0, number=3)
    assert [(one.alert, one.score) for one in case.store.all()] == [("alert-2", 12.0), ("alert-3", 13.0)]


def test_unjudged_frames_are_no_peaks(case: Case) -> None:
    """A repeated frame, and one of a camera that is not live, is not stored."""
    case.play(12.0, number=1)
    case.peaks.see(seen(9, 99.0, alert_=alert(), is_open=True, judged=False), 99.0)
    case.play(1.0)
    assert case.scores == [12.0]


def test_frames_are_copied_at_a_bounded_rate(case: Case) -> None:
    """An alert that rises with every frame costs a few copies a second; the highest of these is kept."""
    for number in range(1, 101):
        case.peaks.see(seen(number, 10.0 + number, alert_=alert(), is_open=True), number / 100)
    assert len(case.memory.copied) == pytest.approx(COPIES.burst + COPIES.per_s, abs=1)
    case.play(1.0)
    assert case.scores == [10.0 + case.memory.copied[-1]]


def test_frames_below_the_peak_are_not_copied(case: Case) -> None:
    """A long alert copies nothing but new peaks."""
    case.play(20.0, *[15.0] * 50, number=1)
    assert case.memory.copied == [1]


def test_alerts_without_end_do_not_wear_the_disk_out(case: Case) -> None:
    """Of very many alerts the first ones, and then one in a while, have a stored peak; the others are counted."""
    for number in range(1, 101):
        case.play(12.0, number=number)
    case.play(1.0)
    assert len(case.scores) == pytest.approx(WRITES.burst + 100 * WRITES.per_s, abs=1)
    assert case.peaks.skipped == 100 - len(case.scores)


def test_busy_disk_delays_a_peak(case: Case) -> None:
    """A peak that finds no room is stored once there is some, also while no frame comes."""
    case.thread.busy = True
    case.play(12.0, number=1)
    assert case.scores == []
    case.thread.busy = False
    case.peaks.turn(2.0)
    assert case.scores == [12.0]


def test_false_alarm_has_the_peak_of_now(case: Case) -> None:
    """The highest frame of an open alert is stored as soon as a person asks; of another alert nothing is known."""
    case.play(12.0, 20.0, number=1)
    assert not case.peaks.flush("alert-2", 2.0)
    assert case.peaks.flush("alert-1", 2.0)
    assert case.scores == [20.0]


def test_deleted_peaks_do_not_come_back(case: Case) -> None:
    """What is in memory when a person deletes all peaks is never written."""
    case.play(12.0, 20.0, number=1)
    case.peaks.forget()
    case.store.delete(case.store.all())
    case.play(1.0)
    assert case.scores == []
