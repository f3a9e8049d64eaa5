"""What is published at once, what waits until it is written down, and what late joiners are told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edge_config.wire import messages
from edge_config.wire.messages import AlertMessage, JournalState, StateMessage
from runtime.journal.entries import Entry
from runtime.messaging import outbox as outbox_
from runtime.messaging.outbox import PATIENCE_S, Outbox
from runtime.messaging.publisher import Publisher
from tests.support.fakes.parts import Clock

COMMON: dict[str, Any] = {"bundle": "a" * 64, "state": "live"}
OF_FRAME: dict[str, Any] = {
    **COMMON,
    "frame_id": 7,
    "t_capture_ns": 100,
    "t_mono_ns": 50,
    "score": 9.0,
    "threshold": 5.0,
    "label": "anomalous",
    "peak_xy": (1, 2),
}


class Recorder:
    """Keeps what is put, and writes nothing by itself."""

    def __init__(self) -> None:
        self.state: JournalState = "on"
        self.reason = ""
        self.last_row = 7
        self.entries: list[Entry] = []
        self.closed = False

    def put(self, entry: Entry) -> None:
        self.entries.append(entry)

    def close(self, timeout_s: float) -> None:
        assert timeout_s > 0
        self.closed = True


class Rig:
    """An outbox whose socket is looked at, and whose recorder does what a test says."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.recorder = Recorder()
        self.publisher = Publisher("tcp://127.0.0.1:*", device="edge")
        self.sent: list[tuple[str, Any, list[bytes]]] = []
        self.publisher.send_frames = self._keep  # type: ignore[method-assign]
        self.outbox = Outbox(self.publisher, self.recorder, heartbeat_s=5.0)

    def _keep(self, _kind: str, frames: Any) -> None:
        topic, said = messages.decode(frames)
        self.sent.append((topic, said, list(frames[2:])))

    def said(self, kind: str) -> list[Any]:
        return [said for topic, said, _ in self.sent if topic.split("/")[1] == kind]

    def alert(self, alert_id: str, phase: str, *attached: bytes, **fields: Any) -> None:
        parts = tuple(messages.Part(name="jpeg", media_type="image/jpeg") for _ in attached)
        of_alert = {"alert_id": alert_id, "phase": phase, "peak_score": 9.0, "peak_frame_id": 7, "parts": parts}
        self.outbox.send("alert", "cam1", attached, **(OF_FRAME | of_alert | fields))

    def write(self) -> None:
        """Have the recorder write all it has."""
        entries, self.recorder.entries = self.recorder.entries, []
        first = self.recorder.last_row + 1
        self.recorder.last_row += len(entries)
        self.outbox.written([replace(entry, row=row) for row, entry in enumerate(entries, first)])


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Yield an outbox, and a clock that the test winds."""
    clock = Clock()
    monkeypatch.setattr(outbox_, "time", clock)
    rig = Rig(clock)
    yield rig
    rig.publisher.close()


def test_score_is_published_at_once(rig: Rig) -> None:
    """A score goes out without waiting for any disk."""
    rig.outbox.send("score", "cam1", **OF_FRAME)
    assert [said.frame_id for said in rig.said("score")] == [7]
    assert rig.recorder.entries == []


@pytest.mark.parametrize("kind", ["alert", "state"])
def test_alerts_and_states_are_written_down_before_they_are_published(rig: Rig, kind: str) -> None:
    """Nothing of an alert or a state goes out before it is written, and then the very bytes that were written do."""
    if kind == "alert":
        rig.alert("a", "start", b"picture")
    else:
        rig.outbox.send("state", "cam1", reason="because", **COMMON)
    assert rig.sent == []
    (entry,) = rig.recorder.entries
    rig.write()
    ((topic, said, parts),) = rig.sent
    assert entry.topic == topic == f"v1/{kind}/edge/cam1/"
    assert messages.encode(topic, said)[1] == entry.body
    assert (entry.epoch, entry.seq, tuple(parts)) == (said.epoch, 1, entry.parts)
    assert (entry.alert_id, entry.phase) == (("a", "start") if kind == "alert" else ("", None))


def test_disk_that_hangs_holds_no_alert(rig: Rig) -> None:
    """What is not written in time is published all the same, in order; when it is written, nothing goes out again."""
    rig.alert("a", "start")
    rig.alert("a", "end")
    rig.clock.now_s += PATIENCE_S / 2
    rig.outbox.turn()
    assert rig.sent == []
    rig.clock.now_s += PATIENCE_S
    rig.outbox.turn()
    assert [said.phase for said in rig.said("alert")] == ["start", "end"]
    rig.write()
    assert len(rig.sent) == 2


def test_nothing_of_a_camera_overtakes_its_alert_or_state(rig: Rig) -> None:
    """What is told after a state comes after it, though the state waits for the disk; other cameras do not."""
    rig.outbox.send("score", "cam1", **OF_FRAME)
    rig.outbox.send("state", "cam1", reason="because", **COMMON)
    rig.outbox.send("score", "cam1", **(OF_FRAME | {"frame_id": 8}))
    rig.alert("a", "start")
    rig.outbox.send("health", "cam1", **COMMON)
    rig.outbox.send("score", "cam2", **OF_FRAME)
    assert [topic for topic, *_ in rig.sent] == ["v1/score/edge/cam1/", "v1/score/edge/cam2/"]
    rig.write()
    kinds = [topic.split("/")[1] for topic, *_ in rig.sent[2:]]
    assert kinds == ["state", "score", "alert", "health"]
    assert (rig.said("score")[-1].frame_id, rig.said("health")[0].alert_seq) == (8, 1)


def test_preview_waits_for_no_disk(rig: Rig) -> None:
    """A preview goes out at once, with its picture, though a state of its camera waits, and is written nowhere."""
    rig.outbox.send("state", "cam1", reason="because", **COMMON)
    entries = list(rig.recorder.entries)
    part = messages.Part(name="jpeg", media_type="image/jpeg")
    rig.outbox.send("preview", "cam1", (b"picture",), frame_hw=(48, 64), parts=(part,), **OF_FRAME)
    ((topic, said, parts),) = rig.sent
    assert (topic, said.frame_id, said.parts, parts) == ("v1/preview/edge/cam1/", 7, (part,), [b"picture"])
    assert rig.recorder.entries == entries


def test_while_the_disk_hangs_nothing_more_waits_for_it(rig: Rig) -> None:
    """Once a message has waited in vain the next ones go out at once, until the disk answers again."""
    rig.alert("a", "start")
    rig.clock.now_s += PATIENCE_S + 0.1
    rig.outbox.turn()
    rig.alert("a", "end")
    assert [said.phase for said in rig.said("alert")] == ["start", "end"]
    rig.outbox.send("health", "cam1", **COMMON)
    assert (rig.said("health")[0].journal, rig.said("health")[0].journal_reason) == (
        "memory",
        "the disk does not respond",
    )
    rig.write()
    rig.alert("b", "start")
    assert len(rig.said("alert")) == 2


def test_late_joiner_is_told_what_was_published_and_no_more(rig: Rig) -> None:
    """A snapshot has the last state, the open alert and their numbers, as far as they are published."""
    rig.outbox.send("state", "cam1", reason="delivers pictures", **COMMON)
    rig.alert("a", "start", b"picture")
    before = rig.outbox.now(["cam1"]).cameras["cam1"]
    assert (before.state, before.alert, before.state_seq, before.alert_seq) == (None, None, 0, 0)
    rig.write()
    rig.alert("a", "update")
    now = rig.outbox.now(["cam1"])
    camera = now.cameras["cam1"]
    assert (now.device, now.epoch) == ("edge", rig.publisher.epoch)
    assert isinstance(camera.state, StateMessage)
    assert isinstance(camera.alert, AlertMessage)
    assert (camera.state.reason, camera.alert.phase, camera.alert.parts) == ("delivers pictures", "start", ())
    assert (camera.state_seq, camera.alert_seq) == (1, 1)
    rig.write()
    rig.alert("a", "end")
    rig.write()
    camera = rig.outbox.now(["cam1"]).cameras["cam1"]
    assert (camera.alert, camera.alert_seq) == (None, 3)


def test_health_says_what_subscribers_should_have(rig: Rig) -> None:
    """A health message has the numbers of the last published messages, and how the journal is."""
    rig.outbox.send("health", "cam1", **COMMON)
    rig.alert("a", "start")
    rig.write()
    rig.recorder.state, rig.recorder.reason = "memory", "disk is full"
    rig.outbox.send("health", "cam1", **COMMON)
    told = [(said.alert_seq, said.state_seq, said.journal, said.journal_reason) for said in rig.said("health")]
    assert told == [(0, 0, "on", ""), (1, 0, "memory", "disk is full")]
    assert rig.said("health")[0].heartbeat_s == 5.0


def test_alert_that_a_dead_runtime_left_open_is_ended(rig: Rig) -> None:
    """What was open when the runtime was killed is ended by the next start, with all that was known of it."""
    rig.alert("a", "update", b"picture", boxes=((1, 2, 3, 4),), peak_score=33.0)
    entries = rig.recorder.entries
    after = Rig(rig.clock)
    after.outbox.finish(entries, "the runtime ended before the alert did")
    assert after.sent == []  # it is written down, too
    after.write()
    ((topic, said, parts),) = after.sent
    assert (topic, said.alert_id, said.phase, said.seq) == ("v1/alert/edge/cam1/", "a", "end", 1)
    assert said.epoch == after.publisher.epoch != rig.publisher.epoch
    assert (said.boxes, said.peak_score, said.parts, parts) == (((1, 2, 3, 4),), 33.0, (), [])
    assert said.reason == "the runtime ended before the alert did"
    after.publisher.close()


def test_entry_that_cannot_be_read_does_not_stop_the_start(rig: Rig) -> None:
    """An open alert whose message is damaged is passed over."""
    rig.outbox.finish([Entry("alert", "v1/alert/edge/cam1/", "e", 1, 0, b"{", (), "a", "start")], "ended")
    assert rig.recorder.entries == []


def test_what_is_left_is_published_at_the_end(rig: Rig) -> None:
    """Closing writes and publishes what still waits, such as the end of an alert when the runtime is stopped."""
    rig.alert("a", "end")
    rig.outbox.close()
    assert rig.recorder.closed
    assert [said.phase for said in rig.said("alert")] == ["end"]


def test_snapshot_says_up_to_which_row_it_tells_all(rig: Rig) -> None:
    """A client that goes on after the row of a snapshot gets what it does not tell, and nothing that it does."""
    assert rig.outbox.now([]).row == 7
    for reason in ("one", "two"):
        rig.outbox.send("state", "cam1", bundle="", state="live", reason=reason)
    assert rig.outbox.now([]).row == 7
    rig.write()
    now = rig.outbox.now(["cam1"])
    assert (now.row, now.cameras["cam1"].state.reason) == (9, "two")
