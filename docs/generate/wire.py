"""Messages, requests and replies: their fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args

import msgspec

from docs.generate.describe import (
    Field,
    allowed,
    attributes,
    default,
    fields,
    json_type,
    summary,
    table,
)
from edge_config.wire import (
    burn_in,
    candidates,
    configure,
    fetch,
    fleet,
    inspect,
    learning,
    messages,
    replies,
    requests,
    teaching,
    upkeep,
    versions,
)
from edge_config.wire.messages import AlertMessage, HealthMessage, Message, PreviewMessage, ScoreMessage, StateMessage
from edge_config.wire.request_base import Request
from runtime.app.picture_requests import OF_CAMERA
from runtime.journal.lookup import REPLY_BYTES
from runtime.journal.name_owners import MAX_NAMES
from runtime.messaging.control_socket import ANSWER_S, MAX_WAITING, MAX_WAITING_ALL
from runtime.messaging.listener import MAX_CONNECTIONS
from runtime.messaging.rate_limit import ALL, EACH, SILENT

_FRAME = next(one for one in ScoreMessage.__mro__[1:] if one is not ScoreMessage)
MESSAGES: Mapping[str, type[msgspec.Struct]] = {
    "all": Message,
    "frame": _FRAME,
    "score": ScoreMessage,
    "alert": AlertMessage,
    "state": StateMessage,
    "health": HealthMessage,
    "preview": PreviewMessage,
    "part": messages.Part,
}
"""Word of the template -> the type whose own fields are meant."""

REQUESTS: Mapping[str, type[Request]] = {
    str(kind.__struct_config__.tag): kind for kind in get_args(requests.AnyRequest)
}

REPLIES: Mapping[str, type[msgspec.Struct]] = {
    "snapshot": replies.Now,
    "camera": replies.CameraNow,
    "after": replies.KeptMessages,
    "kept": replies.Kept,
    "ack": replies.Acknowledged,
    "forget": replies.Forgotten,
    "pause": replies.CameraState,
    "picture": replies.PictureTaken,
    "envelope": replies.Answer,
    "stored": teaching.StoredPicture,
    "version": versions.KeptVersion,
    "report": versions.VersionReport,
    "reported_picture": versions.ReportedPicture,
    "reported_faults": versions.ReportedFaults,
    "reported_place": versions.ReportedPlace,
    "proposal": burn_in.Proposal,
    "aside": burn_in.Aside,
    "applied": burn_in.Applied,
    "change": configure.SettingsChange,
    "changed": configure.ChangedValue,
    "log_line": upkeep.LogLine,
    "order": upkeep.OrderGiven,
    **configure.REPLIES,
    **fetch.REPLIES,
    **inspect.REPLIES,
    "verdict": inspect.PictureVerdict,
    **upkeep.REPLIES,
    **learning.REPLIES,
    **candidates.REPLIES,
    "frame_times": candidates.FrameTimes,
    "shadow_figures": candidates.ShadowFigures,
    "dropped_lessons": candidates.DroppedLessons,
}

RECORDS: Mapping[str, type[msgspec.Struct]] = {
    "signed": fleet.Signed,
    "assignment": fleet.Assignment,
    "bounds": fleet.FleetBounds,
    "pull": fleet.PullOrder,
    "device": fleet.DeviceReport,
    "camera": fleet.CameraReport,
    "shadow": fleet.ShadowReport,
    "rollout": fleet.Rollout,
}
"""Word of the template -> a record in the store of a fleet."""

_OF_ALL: dict[str, Any] = {
    "device": "press-3",
    "camera": "top",
    "epoch": "6f1f9a52-3a0e-4c65-9d0b-6f6b0e0f7c11",
    "t_publish_ns": 1_790_000_000_040_000_000,
    "bundle": "3f2c" * 16,
    "state": "live",
}
_OF_FRAME: dict[str, Any] = {
    "frame_id": 4711,
    "t_capture_ns": 1_790_000_000_000_000_000,
    "t_mono_ns": 86_400_000_000_000,
    "age_ms": 40.0,
    "score": 14.25,
    "threshold": 11.5,
    "label": "anomalous",
    "peak_xy": (412, 96),
    "excess": 0.5,
    "p_value": 0.01,
}
_EXAMPLES: Mapping[messages.Kind, Message] = {
    "score": ScoreMessage(schema=messages.schema_name("score"), seq=4711, **_OF_ALL, **_OF_FRAME),
    "alert": AlertMessage(
        schema=messages.schema_name("alert"),
        seq=1,
        alert_id="0b6c7f0e-5b0c-4f0e-8a53-9a3d1c2b4e5f",
        phase="start",
        peak_score=14.25,
        peak_excess=0.5,
        peak_frame_id=4711,
        peak_frame_xy=(412, 96),
        boxes=((384, 64, 56, 64),),
        t_start_ns=1_789_999_999_800_000_000,
        parts=(messages.Part(name="jpeg", media_type="image/jpeg"),),
        **_OF_ALL,
        **_OF_FRAME,
    ),
    "state": StateMessage(
        schema=messages.schema_name("state"), seq=3, reason="no frame for 5 s", **{**_OF_ALL, "state": "stalled"}
    ),
    "health": HealthMessage(
        schema=messages.schema_name("health"),
        seq=120,
        heartbeat_s=5.0,
        alert_seq=1,
        state_seq=3,
        journal="on",
        **_OF_ALL,
    ),
    "preview": PreviewMessage(
        schema=messages.schema_name("preview"),
        seq=300,
        boxes=((384, 64, 56, 64),),
        frame_hw=(480, 640),
        parts=(
            messages.Part(name="jpeg", media_type="image/jpeg", shape=(480, 640)),
            messages.Part(
                name="heat_map",
                media_type="application/octet-stream",
                dtype="uint8",
                shape=(28, 28),
                area=(80, 0, 480, 480),
            ),
        ),
        **_OF_ALL,
        **_OF_FRAME,
    ),
}

_CLASS_NAMES = {kind.__name__: f"`{name}`" for name, kind in REQUESTS.items()}
_LIST = re.compile(r"\[[\s\d.,\[\]]+\]")
"""A list of numbers in JSON, which fits in one line."""

_CLASS = re.compile(r"`([A-Z]\w+)`")


def message(name: str) -> str:
    """Return the table of the fields that a type of message adds to those of its base."""
    kind = MESSAGES[name]
    inherited = {one.name for base in kind.__mro__[1:] if issubclass(base, Message) for one in fields(base)}
    return _table(kind, (one for one in fields(kind) if one.name not in inherited))


def example(kind: messages.Kind) -> str:
    """Return a message of a kind as JSON."""
    topic = messages.topic(kind, _EXAMPLES[kind].device, _EXAMPLES[kind].camera)
    _, body = messages.encode(topic, _EXAMPLES[kind])
    text = _LIST.sub(
        lambda found: "".join(found[0].split()).replace(",", ", "), msgspec.json.format(body, indent=2).decode()
    )
    return f"```json\n{text}\n```"


def message_summary(name: str) -> str:
    """Return what a type of message is."""
    return summary(MESSAGES[name])


def overview() -> str:
    """Return a table of all requests."""
    upkeep_ = configure.OfSettings | fetch.OfFiles | inspect.OfPictures | upkeep.OfUpkeep | upkeep.ReadOrders
    pages = {name: "requests-learning.md" for name, kind in REQUESTS.items() if issubclass(kind, learning.OfLearning)}
    pages |= {name: "requests-upkeep.md" for name, kind in REQUESTS.items() if issubclass(kind, upkeep_)}
    pages |= {name: "requests-fleet.md" for name, kind in REQUESTS.items() if issubclass(kind, candidates.OfCandidates)}
    rows = [
        (f"[`{name}`]({pages.get(name, '')}#{name})", f"`{kind.role}`", _plain(summary(kind)))
        for name, kind in REQUESTS.items()
    ]
    return table(("Request", "Role", "What it does"), rows)


def request(name: str) -> str:
    """Return the summary, the role and the table of the fields of a request."""
    kind = REQUESTS[name]
    own = [one for one in fields(kind) if one.name not in {"schema", "id", "user"}]
    said = attributes(kind)
    rows = [(f"`{one.name}`", allowed(one.type), _default(one), _plain(said[one.name])) for one in own]
    parts = [f"{_plain(summary(kind))} Role: `{kind.role}`."]
    if rows:
        parts.append(table(("Field", "Allowed", "Default", "Meaning"), rows))
    return "\n\n".join(parts)


def envelope() -> str:
    """Return the table of the fields that every request has."""
    said = attributes(Request)
    rows = [(f"`{one.name}`", allowed(one.type), said[one.name]) for one in fields(Request)]
    names = ", ".join(f"`{name}`" for name in REQUESTS)
    rows.insert(1, ("`request`", "Name of a request", f"What is asked: {names}."))
    return table(("Field", "Allowed", "Meaning"), rows)


def reply(name: str) -> str:
    """Return the table of the fields of a reply."""
    kind = REPLIES[name]
    return _table(kind, fields(kind))


def record(name: str) -> str:
    """Return the summary and the table of the fields of a record of a fleet."""
    kind = RECORDS[name]
    return f"{summary(kind)}\n\n{_table(kind, fields(kind))}"


def limits() -> str:
    """Return the table of the limits of the control socket."""
    rows = [
        (
            f"{EACH.per_s:g} requests a second of one client ({EACH.burst:g} at once), {ALL.per_s:,g} of all together",
            f"Refused with `too many requests`. A client at {SILENT} times its limit gets no reply at all.",
        ),
        (
            f"{MAX_WAITING} requests of one client, or {MAX_WAITING_ALL} of all, that wait for a reply",
            "Further ones are refused.",
        ),
        (f"{ANSWER_S:g} seconds for a reply", "Refused with `no answer`."),
        (
            f"{OF_CAMERA.per_s:g} pictures a second of one camera ({OF_CAMERA.burst:g} at once)",
            "Refused with `too many requests for pictures`.",
        ),
        (f"{REPLY_BYTES >> 20} MiB of journal messages in one reply", "`more` is true in the reply."),
        (f"{MAX_CONNECTIONS} connections", "The oldest connection that sent nothing is closed."),
        (f"{MAX_NAMES} subscriber names of one key", "Refused: an operator must forget one."),
    ]
    return table(("Limit", "Beyond it"), rows)


def _table(kind: type[msgspec.Struct], which: Iterable[Field]) -> str:
    said = attributes(kind)
    rows = [(f"`{one.encode_name}`", json_type(one.type, one.name), _plain(said[one.name])) for one in which]
    return table(("Field", "Type", "Meaning"), rows)


def _default(field: Field) -> str:
    return "**required**" if field.required else default(field)


def _plain(text: str) -> str:
    """Write requests by their names on the wire."""
    return _CLASS.sub(lambda found: _CLASS_NAMES.get(found[1], found[0]), text)


FILLERS: dict[str, Callable[..., str]] = {
    "message": message,
    "message_summary": message_summary,
    "example": example,
    "requests": overview,
    "request": request,
    "request_envelope": envelope,
    "reply": reply,
    "limits": limits,
    "record": record,
}
