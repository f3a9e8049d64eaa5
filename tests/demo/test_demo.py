"""The demo judges itself by the truth."""

from __future__ import annotations

from edge_config.wire.messages import AlertMessage
from export.demo.clip import Sighting
from export.demo.play import judge
from tests.wire.test_messages import ALERT, SCORE


def alert(name: str, first: int, last: int) -> list[AlertMessage]:
    """Return the messages of an alert over frames `first` to `last`."""
    fields = {name: getattr(ALERT, name) for name in AlertMessage.__struct_fields__}
    start = {**fields, "alert_id": name, "frame_id": first, "phase": "start"}
    end = {**fields, "alert_id": name, "frame_id": last + 1, "phase": "end", "label": "normal"}
    return [AlertMessage(**start), AlertMessage(**end)]


TRUTH = [Sighting(frame, "coin", 0, 0, 9, 9) for frame in range(10, 20)]
TRUTH += [Sighting(frame, "brick", 0, 0, 9, 9) for frame in range(40, 50)]


def test_all_found_and_none_false_is_good() -> None:
    """Alerts that overlap every object and nothing else make a good demo, also two alerts on one object."""
    verdict = judge([SCORE], [*alert("a", 12, 13), *alert("b", 15, 25), *alert("c", 49, 60)], TRUTH)
    assert (verdict.found, verdict.objects, verdict.false_alerts, verdict.good) == (2, 2, 0, True)
    assert verdict.line() == "demo: 1 frames, objects found 2 of 2, false alerts 0, p50 23.5 ms"


def test_missed_object_and_false_alert_are_counted() -> None:
    """An object without an alert is missed, and an alert beside every object is false."""
    verdict = judge([SCORE], [*alert("a", 12, 13), *alert("b", 20, 39)], TRUTH)
    assert (verdict.found, verdict.objects, verdict.false_alerts, verdict.good) == (1, 2, 1, False)


def test_alert_that_the_end_of_the_clip_cut_counts_to_its_last_frame() -> None:
    """The end of an alert that was still anomalous includes its last frame."""
    messages = alert("a", 1, 1)[:1]
    fields = {name: getattr(ALERT, name) for name in AlertMessage.__struct_fields__}
    messages.append(AlertMessage(**{**fields, "alert_id": "a", "frame_id": 10, "phase": "end", "label": "anomalous"}))
    assert judge([SCORE], messages, TRUTH).found == 1
