"""Labels and alerts, from the scores of one camera."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pytest
from msgspec.structs import replace

from edge_config.settings.sections import Alerts
from runtime.alerts.decide import Decide
from runtime.frame import Alert, Decision, Result, SharedFrame
from tests.support.fakes.parts import EVERY_RUN

THRESHOLD = 10.0
STEP_MS = 100
"""Between two frames."""


def plain(**more: Any) -> Alerts:
    """Return settings by which every run of anomalous frames is an alert, and every new peak is told, but `more`."""
    return replace(EVERY_RUN, **{"update_ms": 0, **more})


class Camera:
    """A camera that gives a frame every `STEP_MS`, and the decisions on them."""

    def __init__(self, alerts: Alerts | None = None) -> None:
        self.decide = Decide(alerts or plain(), THRESHOLD)
        self.frames = 0

    def see(self, score: float | None, **result: Any) -> Decision:
        """Decide on the next frame."""
        self.frames += 1
        ns = self.frames * STEP_MS * 1_000_000
        return self.decide(SharedFrame(1, 0, None, self.frames, 7 * ns, ns), Result(value=score, **result))

    def alerts(self, scores: Iterable[float | None]) -> list[tuple[int, str, float, int]]:
        """Return frame, phase, peak and peak frame of what comes of these scores."""
        seen = [(self.see(score).alert, self.frames) for score in scores]
        return [(at, alert.phase, alert.peak_score, alert.peak_frame_id) for alert, at in seen if alert]


def alert_of(decision: Decision) -> Alert:
    assert decision.alert is not None
    return decision.alert


@pytest.fixture
def camera() -> Camera:
    """Return a fresh camera with a threshold of 10."""
    return Camera()


def test_scores_up_to_the_threshold_are_normal(camera: Camera):
    """Zero, a small score and the threshold itself are normal, and no alert is raised."""
    for score in (0.0, 3.0, THRESHOLD):
        assert camera.see(score) == Decision("normal", None)


def test_the_next_number_above_the_threshold_is_anomalous(camera: Camera):
    """The smallest score above the threshold is anomalous and starts an alert, with itself as the peak."""
    score = math.nextafter(THRESHOLD, math.inf)
    decision = camera.see(score, peak_xy=(3, 4), boxes=((1, 2, 3, 4),))
    alert = alert_of(decision)
    assert decision.label == "anomalous"
    assert (alert.phase, alert.peak_score, alert.peak_frame_id) == ("start", score, 1)
    assert (alert.peak_frame_xy, alert.boxes, alert.reason) == ((3, 4), ((1, 2, 3, 4),), "")
    assert alert.t_start_ns == 7 * STEP_MS * 1_000_000
    assert alert.alert_id


def test_an_alert_starts_is_updated_at_new_peaks_and_ends(camera: Camera):
    """One alert keeps its id from start to end; only a higher score is an update, an equal or lower one is silent."""
    decisions = [camera.see(score) for score in (11.0, 11.0, 10.5, 15.0, 12.0, 9.0)]
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
    assert alert_of(decisions[-1]).reason == "normal again"


def test_an_alert_ends_once_and_the_next_one_is_another(camera: Camera):
    """After the end, normal frames are silent, and the next anomaly has an alert, id and peak of its own."""
    first = alert_of(camera.see(50.0))
    assert alert_of(camera.see(1.0)).phase == "end"
    assert camera.see(1.0).alert is None
    second = alert_of(camera.see(20.0))
    assert (second.phase, second.peak_score, second.peak_frame_id) == ("start", 20.0, 4)
    assert second.alert_id != first.alert_id


@pytest.mark.parametrize("score", [None, math.nan])
def test_a_frame_without_a_score_is_unknown_and_keeps_an_alert_open(camera: Camera, score: float | None):
    """A frame that could not be scored is neither normal nor anomalous: it starts, moves and ends nothing."""
    assert camera.see(score) == Decision("unknown", None)
    opened = alert_of(camera.see(11.0))
    assert camera.see(score) == Decision("unknown", None)
    assert camera.decide(SharedFrame(1, 0, None, 9, 0, 0), None) == Decision("unknown", None)
    ended = alert_of(camera.see(0.0))
    assert (ended.phase, ended.alert_id, ended.peak_frame_id) == ("end", opened.alert_id, 2)


def test_an_infinite_score_is_anomalous(camera: Camera):
    """A score beyond all numbers raises an alert."""
    assert camera.see(math.inf).label == "anomalous"


def test_close_ends_the_open_alert_with_its_peak_and_a_reason(camera: Camera):
    """Closing gives the end of the open alert with its peak so far, and why; where none is open it gives None."""
    assert camera.decide.close("stopped") is None
    opened = alert_of(camera.see(11.0))
    camera.see(30.0)
    ended = camera.decide.close("stopped")
    assert ended is not None
    assert (ended.alert_id, ended.phase, ended.peak_score, ended.peak_frame_id) == (opened.alert_id, "end", 30.0, 2)
    assert ended.reason == "stopped"
    assert camera.decide.close("stopped") is None


def test_hysteresis_lets_scores_just_below_the_threshold_go_on():
    """Between the threshold and 80 % of it frames are labelled normal, end no alert and begin none."""
    camera = Camera(plain(hysteresis=0.2))
    assert camera.alerts([9.0, 11.0, 9.0, 8.5, 8.0]) == [(2, "start", 11.0, 2), (5, "end", 11.0, 2)]
    assert camera.see(9.0).label == "normal"


def test_an_alert_needs_so_many_frames_and_tells_of_the_first():
    """Three anomalous frames make an alert where three are asked for; it began with the first of them."""
    camera = Camera(plain(min_frames=3, hysteresis=0.2))
    assert camera.alerts([11.0, 12.0, 0.0]) == []
    assert camera.alerts([15.0, None, 9.0, 12.0]) == []  # unknown, and below the threshold but not quiet
    alert = alert_of(camera.see(11.0))
    assert (alert.phase, alert.peak_score, alert.peak_frame_id) == ("start", 15.0, 4)
    assert alert.t_start_ns == 7 * 4 * STEP_MS * 1_000_000


def test_an_alert_needs_to_last():
    """Frames over the threshold for 300 ms make an alert where 300 ms are asked for, and one less does not."""
    camera = Camera(plain(min_ms=3 * STEP_MS))
    assert camera.alerts([11.0, 11.0, 11.0, 0.0]) == []
    assert camera.alerts([11.0, 11.0, 11.0, 12.0]) == [(8, "start", 12.0, 8)]


def test_a_gap_shorter_than_the_merge_window_belongs_to_the_alert():
    """Quiet for 200 ms is no end where 300 ms are; the end comes with the frame that makes it 300 ms."""
    camera = Camera(plain(merge_ms=3 * STEP_MS))
    assert camera.alerts([11.0, 0.0, 0.0, 12.0]) == [(1, "start", 11.0, 1), (4, "update", 12.0, 4)]
    camera = Camera(plain(merge_ms=3 * STEP_MS))
    assert camera.alerts([11.0, 0.0, 0.0, 0.0, 0.0]) == [(1, "start", 11.0, 1), (4, "end", 11.0, 1)]


def test_an_alert_that_flickers_waits_for_its_end():
    """One that bridged 200 ms ends after 6 times that, and one that bridged more within 10 merge windows."""
    camera = Camera(plain(merge_ms=3 * STEP_MS))
    assert camera.alerts([11.0, 0.0, 11.0] + [0.0] * 20) == [(1, "start", 11.0, 1), (3 + 12, "end", 11.0, 1)]
    camera = Camera(plain(merge_ms=STEP_MS * 3 // 2))
    at, phase, *_ = camera.alerts([11.0, 0.0, 11.0, *[0.0] * 3, *[11.0] * 7] + [0.0] * 20)[-1]
    assert phase == "end"
    assert 13 + 12 < at <= 13 + 15


def test_short_alerts_that_follow_each_other_become_one():
    """The second of two short alerts waits as if the gap between them were its own; after a long one it does not."""
    short = [11.0, 0.0, 0.0, 0.0, 0.0]
    camera = Camera(plain(merge_ms=3 * STEP_MS))
    assert [phase for _, phase, _, _ in camera.alerts(short * 9)] == ["start", "end", "start"]
    camera = Camera(plain(merge_ms=3 * STEP_MS))
    assert [phase for _, phase, _, _ in camera.alerts(([11.0] * 7 + [0.0] * 4) * 3)] == ["start", "end"] * 3


def test_a_candidate_may_have_as_many_quiet_frames_as_others():
    """Every other frame over the threshold is an alert in the end; with two quiet ones in a row there is none."""
    camera = Camera(plain(min_frames=3, merge_ms=5 * STEP_MS))
    assert camera.alerts([11.0, 0.0, 11.0, 0.0, 11.0]) == [(5, "start", 11.0, 1)]
    camera = Camera(plain(min_frames=3, merge_ms=5 * STEP_MS))
    assert camera.alerts([11.0, 0.0, 0.0] * 20) == []


def test_no_alert_begins_while_it_cools_down():
    """After an end nothing begins for 300 ms; what goes on over that begins then, with its own first frame."""
    camera = Camera(plain(cooldown_ms=3 * STEP_MS))
    found = camera.alerts([11.0, 0.0, 20.0, 12.0])
    assert found == [(1, "start", 11.0, 1), (2, "end", 11.0, 1)]
    alert = alert_of(camera.see(13.0))
    assert (alert.phase, alert.peak_score, alert.peak_frame_id) == ("start", 20.0, 3)


def test_peaks_are_told_so_often_and_none_is_lost():
    """Of peaks that come faster than every 300 ms the last is told when it is time, by a lower frame or by the end."""
    camera = Camera(plain(update_ms=3 * STEP_MS, hysteresis=0.2))
    found = camera.alerts([11.0, 12.0, 13.0, 9.0, 14.0, 15.0, 0.0])
    assert found == [(1, "start", 11.0, 1), (4, "update", 13.0, 3), (7, "end", 15.0, 6)]


def test_updates_become_rarer_while_an_alert_lasts():
    """An alert whose score rises for an hour is told of some 35 times, and its end has the last peak."""
    camera = Camera(replace(Alerts(), merge_ms=0))
    found = camera.alerts([*(11.0 + number for number in range(36_000)), 0.0])
    assert found[-1][1:] == ("end", 11.0 + 35_999, 36_000)
    assert 30 <= len(found) <= 40


def test_threshold_of_the_settings_comes_before_that_of_a_bundle():
    """A threshold in the settings stays in force when another bundle is served; without one the bundle's is."""
    camera = Camera(plain(threshold=5.0))
    camera.decide.threshold = 50.0
    assert camera.decide.threshold == 5.0
    assert camera.see(6.0).label == "anomalous"
    camera = Camera()
    camera.decide.threshold = 50.0
    assert camera.see(49.0).label == "normal"


def test_detail_is_wanted_above_what_is_the_peak(camera: Camera):
    """All is wanted of a frame over the threshold, while an alert is open of one over its peak, and never below."""
    assert camera.decide.wanted_above == THRESHOLD
    camera.see(30.0)
    assert camera.decide.wanted_above == 30.0
    camera.decide.threshold = 40.0
    assert camera.decide.wanted_above == 40.0
    camera.see(1.0)
    assert camera.decide.wanted_above == 40.0


def test_detail_is_wanted_above_the_peak_of_what_may_become_an_alert():
    """While frames may become an alert, all is wanted of those over the highest so far, and after that of all again."""
    camera = Camera(plain(min_frames=3))
    wanted = [(camera.see(score), camera.decide.wanted_above)[1] for score in (11.0, 15.0, 1.0)]
    assert wanted == [11.0, 15.0, THRESHOLD]


def test_peak_frame_is_that_of_the_alert_or_of_what_may_become_one():
    """The frame of the highest score is known from the first anomalous one on, and forgotten with the last."""
    camera = Camera(plain(min_frames=3))
    known = [(camera.see(score), camera.decide.peak_frame_id)[1] for score in (1.0, 11.0, 15.0, 12.0, 1.0)]
    assert known == [None, 2, 3, 3, None]


def test_repeated_frames_are_no_evidence():
    """Five strange pictures, each sent five times, are five frames: too few for six, and enough for five."""
    for min_frames, expected in ((6, []), (5, [(21, "start")])):
        camera = Camera(Alerts(min_frames=min_frames, min_ms=0))
        seen = [(camera.see(11.0, repeated=bool(at % 5)), camera.frames) for at in range(25)]
        assert [(at, one.alert.phase) for one, at in seen if one.alert] == expected
        assert {one.label for one, _ in seen} == {"anomalous"}


def test_repeated_frame_neither_begins_nor_prolongs_nor_ends_anything():
    """Of an alert that lasts, a repeated frame moves no time: merging and the shortest length count new frames."""
    camera = Camera(Alerts(min_frames=1, min_ms=3 * STEP_MS, merge_ms=3 * STEP_MS))
    scores = [(11.0, False), (11.0, True), (11.0, True), (11.0, True), (11.0, False)]  # open with the new one
    scores += [(1.0, False), (11.0, True), (1.0, True), (1.0, True), (1.0, False)]  # quiet since the sixth
    seen = [(camera.see(score, repeated=repeated).alert, camera.frames) for score, repeated in scores]
    assert [(at, alert.phase) for alert, at in seen if alert] == [(5, "start"), (10, "end")]


def test_times_are_those_of_a_recording_however_fast_it_is_scored():
    """The same scores of the same recording make the same alerts, whether it is played in time, faster or by jerks."""
    alerts = Alerts(min_frames=1, min_ms=300, merge_ms=500, cooldown_ms=1000, update_ms=400)
    scores = [11.0] * 8 + [1.0] * 4 + [12.0] * 3 + [1.0] * 60 + [13.0] * 9 + [1.0] * 20 + [14.0] * 2 + [1.0] * 9
    found = []
    for stretch in (1.0, 0.001, 7.0):
        decide, told = Decide(alerts, THRESHOLD), []
        for number, score in enumerate(scores):
            media_ns = number * STEP_MS * 1_000_000
            mono_ns = round(media_ns * stretch) + number % 7
            frame = SharedFrame(1, 0, None, number + 1, mono_ns, mono_ns, media_ns)
            if alert := decide(frame, Result(value=score)).alert:
                told.append((number, alert.phase, alert.peak_score))
        found.append(told)
    assert found[0] == found[1] == found[2]
    assert [phase for _, phase, _ in found[0]].count("start") == 2
