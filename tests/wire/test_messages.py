"""The wire."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_config.errors import MessageError
from edge_config.wire import messages, replies
from edge_config.wire.messages import AlertMessage, HealthMessage, Part, PreviewMessage, ScoreMessage, StateMessage

COMMON = {
    "device": "press-3",
    "camera": "cam1",
    "epoch": "6f9619ff-8b86-4d11-b42d-00c04fc964ff",
    "seq": 7,
    "t_publish_ns": 1_700_000_000_123_456_789,
    "bundle": "ab" * 32,
    "state": "live",
}
OF_FRAME = {
    "frame_id": 9,
    "t_capture_ns": 1_700_000_000_100_000_000,
    "t_mono_ns": 55_000_000_000,
    "age_ms": 23.457,
    "score": 31.25,
    "threshold": 20.5,
    "label": "anomalous",
    "peak_xy": (120, 80),
    "excess": 1.075,
    "p_value": 0.01,
}
SCORE = ScoreMessage(schema="patchedge.score.v1", **COMMON, **OF_FRAME)
ALERT = AlertMessage(
    schema="patchedge.alert.v1",
    **COMMON,
    **OF_FRAME,
    alert_id="00000000-0000-4000-8000-000000000001",
    phase="start",
    peak_score=31.25,
    peak_frame_id=9,
    peak_frame_xy=(120, 80),
    peak_excess=1.075,
    boxes=((96, 64, 48, 32),),
    t_start_ns=1700000000100000000,
    parts=(Part(name="jpeg", media_type="image/jpeg"),),
)
STATE = StateMessage(schema="patchedge.state.v1", **COMMON, reason="first frame")
HEALTH = HealthMessage(
    schema="patchedge.health.v1",
    **COMMON,
    heartbeat_s=5.0,
    alert_seq=3,
    state_seq=2,
    journal="memory",
    journal_reason="full",
)
PREVIEW = PreviewMessage(
    schema="patchedge.preview.v1",
    **COMMON,
    **OF_FRAME,
    boxes=((96, 64, 48, 32),),
    frame_hw=(480, 640),
    parts=(
        Part(name="jpeg", media_type="image/jpeg", shape=(480, 640)),
        Part(
            name="heat_map", media_type="application/octet-stream", dtype="uint8", shape=(9, 12), area=(0, 0, 640, 480)
        ),
    ),
)

GOLDEN = {
    "v1/score/press-3/cam1/": (
        SCORE,
        b'{"schema":"patchedge.score.v1","device":"press-3","camera":"cam1",'
        b'"epoch":"6f9619ff-8b86-4d11-b42d-00c04fc964ff","seq":7,"t_publish_ns":1700000000123456789,'
        b'"bundle":"abababababababababababababababababababababababababababababababab","state":"live","degraded":0,'
        b'"frame_id":9,"t_capture_ns":1700000000100000000,"t_mono_ns":55000000000,"age_ms":23.457,"score":31.25,'
        b'"threshold":20.5,"label":"anomalous","peak_xy":[120,80],"excess":1.075,"p_value":0.01}',
    ),
    "v1/alert/press-3/cam1/": (
        ALERT,
        b'{"schema":"patchedge.alert.v1","device":"press-3","camera":"cam1",'
        b'"epoch":"6f9619ff-8b86-4d11-b42d-00c04fc964ff","seq":7,"t_publish_ns":1700000000123456789,'
        b'"bundle":"abababababababababababababababababababababababababababababababab","state":"live","degraded":0,'
        b'"frame_id":9,"t_capture_ns":1700000000100000000,"t_mono_ns":55000000000,"age_ms":23.457,"score":31.25,'
        b'"threshold":20.5,"label":"anomalous","peak_xy":[120,80],"excess":1.075,"p_value":0.01,'
        b'"alert_id":"00000000-0000-4000-8000-000000000001","phase":"start","peak_score":31.25,"peak_frame_id":9,'
        b'"peak_frame_xy":[120,80],"peak_excess":1.075,"boxes":[[96,64,48,32]],"t_start_ns":1700000000100000000,"reason":"","clip":"",'
        b'"parts":[{"name":"jpeg","media_type":"image/jpeg"}]}',
    ),
    "v1/state/press-3/cam1/": (
        STATE,
        b'{"schema":"patchedge.state.v1","device":"press-3","camera":"cam1",'
        b'"epoch":"6f9619ff-8b86-4d11-b42d-00c04fc964ff","seq":7,"t_publish_ns":1700000000123456789,'
        b'"bundle":"abababababababababababababababababababababababababababababababab","state":"live","degraded":0,'
        b'"reason":"first frame"}',
    ),
    "v1/health/press-3/cam1/": (
        HEALTH,
        b'{"schema":"patchedge.health.v1","device":"press-3","camera":"cam1",'
        b'"epoch":"6f9619ff-8b86-4d11-b42d-00c04fc964ff","seq":7,"t_publish_ns":1700000000123456789,'
        b'"bundle":"abababababababababababababababababababababababababababababababab","state":"live","degraded":0,'
        b'"heartbeat_s":5.0,"alert_seq":3,"state_seq":2,"journal":"memory","journal_reason":"full"}',
    ),
    "v1/preview/press-3/cam1/": (
        PREVIEW,
        b'{"schema":"patchedge.preview.v1","device":"press-3","camera":"cam1",'
        b'"epoch":"6f9619ff-8b86-4d11-b42d-00c04fc964ff","seq":7,"t_publish_ns":1700000000123456789,'
        b'"bundle":"abababababababababababababababababababababababababababababababab","state":"live","degraded":0,'
        b'"frame_id":9,"t_capture_ns":1700000000100000000,"t_mono_ns":55000000000,"age_ms":23.457,"score":31.25,'
        b'"threshold":20.5,"label":"anomalous","peak_xy":[120,80],"excess":1.075,"p_value":0.01,'
        b'"boxes":[[96,64,48,32]],"frame_hw":[480,640],'
        b'"parts":[{"name":"jpeg","media_type":"image/jpeg","shape":[480,640]},'
        b'{"name":"heat_map","media_type":"application/octet-stream","dtype":"uint8","shape":[9,12],'
        b'"area":[0,0,640,480]}]}',
    ),
}


@pytest.mark.parametrize("topic", GOLDEN)
def test_bytes_on_the_wire_never_change(topic: str) -> None:
    """The bytes of each kind of message are those that subscribers in the field were written for."""
    body, expected = GOLDEN[topic]
    kind = topic.split("/")[1]
    assert messages.topic(kind, "press-3", "cam1") == topic
    assert messages.schema_name(kind) == body.schema
    assert messages.encode(topic, body) == [topic.encode(), expected]


@pytest.mark.parametrize("topic", GOLDEN)
def test_message_is_read_as_it_was_written(topic: str) -> None:
    """What is decoded equals what was encoded, also behind binary parts that this version does not know."""
    body, expected = GOLDEN[topic]
    assert messages.decode([topic.encode(), expected]) == (topic, body)
    assert messages.decode([topic.encode(), expected, b"\x00\x01"]) == (topic, body)


def test_unknown_fields_are_passed_over() -> None:
    """A reader of this version reads a message that a later version added a field to."""
    topic, (body, raw) = next(iter(GOLDEN.items()))
    later = json.dumps({**json.loads(raw), "humidity": 0.4}).encode()
    assert messages.decode([topic.encode(), later]) == (topic, body)


def test_messages_of_a_device_without_excess_are_read() -> None:
    """Messages of earlier versions have neither excess nor p-value; a reader takes them as unknown."""
    added = (b',"excess":1.075', b',"p_value":0.01', b',"peak_excess":1.075')
    for topic, (body, raw) in GOLDEN.items():
        for field in added:
            raw = raw.replace(field, b"")  # noqa: PLW2901 - what earlier versions wrote
        absent = {name: None for name in ("excess", "p_value", "peak_excess") if name in body.__struct_fields__}
        assert messages.decode([topic.encode(), raw]) == (topic, msgspec.structs.replace(body, **absent))


def test_longest_alert_fits() -> None:
    """An alert with names, numbers, boxes and parts of the greatest length stays below 2 KB."""
    long, number = "x" * 64, -1.2345678901234567e-100
    alert = AlertMessage(
        schema="patchedge.alert.v1",
        **{**COMMON, "device": long, "camera": long, "seq": 2**63 - 1, "state": "disconnected", "degraded": 3},
        **{**OF_FRAME, "frame_id": 2**40, "age_ms": 123456.789, "t_mono_ns": 2**63 - 1, "label": "anomalous"}
        | {"score": number, "threshold": number, "excess": number, "p_value": number, "peak_xy": (16384, 16384)},
        alert_id=COMMON["epoch"],
        phase="update",
        peak_score=number,
        peak_excess=number,
        peak_frame_id=2**40,
        peak_frame_xy=(16384, 16384),
        boxes=((16384, 16384, 16384, 16384),) * messages.MAX_BOXES,
        t_start_ns=2**63 - 1,
        reason="the recording is over",
        clip="x" * 100,
        parts=(
            Part(name="jpeg", media_type="image/jpeg"),
            Part(name="heat_map", media_type="image/png", dtype="uint16", shape=(256, 256), min=number, max=number),
        ),
    )
    assert len(messages.encode("v1/alert/a/b/", alert)[1]) < messages.MAX_JSON_BYTES


def test_subscription_to_cam1_does_not_match_cam10() -> None:
    """The prefix for one camera covers that camera only."""
    prefix = messages.topic_prefix("score", "edge", "cam1")
    assert messages.topic("score", "edge", "cam1").startswith(prefix)
    assert not messages.topic("score", "edge", "cam10").startswith(prefix)


def test_message_over_2_kb_is_refused() -> None:
    """A message whose JSON reaches 2 KB is refused before it is sent."""
    with pytest.raises(MessageError, match="2047"):
        messages.encode("v1/state/a/b/", msgspec.structs.replace(STATE, reason="x" * 2048))


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [b"v1/score/a/b/"],
        [b"\xff", b"{}"],
        [b"v1/other/a/b/", b"{}"],
        [b"v2/score/a/b/", b"{}"],
        [b"v1/score/a/b", b"{}"],
        [b"v1/score/a/b/", b"{}"],
        [b"v1/score/a/b/", b"\xff\xfe"],
        [b"v1/score/a/b/", b"[" * 100_000],
        [b"v1/score/a/b/", b'{"schema":"\xff"}'],
        [b"v1/score/a/b/", b'{"new":' + b"[" * 100_000],
        [b"v1/state/press-3/cam1/", GOLDEN["v1/state/press-3/cam1/"][1].replace(b"1700000000", b"17000000000000")],
    ],
)
def test_other_bytes_are_a_message_error(frames: list[bytes]) -> None:
    """Whatever is not a message of this version is refused with the one error that clients expect."""
    with pytest.raises(MessageError):
        messages.decode(frames)


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_random_bytes_never_raise_anything_else(frames: list[bytes]) -> None:
    """Random multiparts are refused, never crash the reader."""
    with pytest.raises(MessageError):
        messages.decode(frames)


def test_json_schemas_list_every_field() -> None:
    """The printed JSON Schemas name all fields of each kind."""
    schemas = messages.json_schemas()
    assert set(schemas) == {f"patchedge.{kind}.v1" for kind in ("score", "alert", "state", "health", "preview")}
    fields = schemas["patchedge.score.v1"]["$defs"]["ScoreMessage"]["properties"]
    assert set(fields) == set(ScoreMessage.__struct_fields__)


def test_json_schemas_of_requests_name_every_request() -> None:
    """The printed JSON Schemas have each request that can be made, and what it is answered by."""
    schemas = replies.json_schemas()
    requests = schemas["patchedge.control.v1 request"]["$defs"]
    tags = {
        one["properties"]["request"]["enum"][0] for one in requests.values() if "request" in one.get("properties", {})
    }
    viewing = {"after", "status", "snapshot", "replay", "pending", "ack", "report_gap", "picture"}
    teaching = {"teach", "stop_teaching", "pictures", "fetch_picture", "accept", "reject", "false_alarm"}
    versions = {"learn_on", "stop_learning", "rollback", "versions"}
    others = {"delete_pictures", "reload", "configure", "pause", "resume", "forget"}
    upkeep = {"undo", "changes", "fetch", "inspect", "logs", "metrics", "orders", "settings", "doctor", "doctor_report"}
    fleet = {"stage", "staged", "shadow", "activate", "go_back", "unstage"}
    assert tags == viewing | teaching | versions | others | upkeep | fleet | {"burn_in"}
    assert {"patchedge.control.v1 reply", "patchedge.control.v1 snapshot"} < set(schemas)


def test_repeated_is_there_only_where_it_is_so() -> None:
    """A frame that was scored says nothing of repeating, so that old and new readers see what they always saw."""
    again = msgspec.structs.replace(SCORE, repeated=True)
    _, body = messages.encode("v1/score/press-3/cam1/", again)
    assert json.loads(body)["repeated"] is True
    assert messages.decode([b"v1/score/press-3/cam1/", body])[1] == again
    assert not SCORE.repeated
