"""Requests with which a person looks after a device from afar: log, metrics, orders, doctor; and their replies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from edge_config.wire.request_base import Request, Role

DoctorStage = Literal["never", "running", "done", "failed"]
"""`never`: it was not started since the runtime began."""


class ReadLogs(Request, frozen=True, tag="logs"):
    """Return the last lines of the log, the oldest first; the device keeps the last 1000 lines in memory.

    Attributes:
        after: number of a line: only later ones are returned; `next` of the last reply, 0 at first.
        limit: maximum number of lines of one reply.
    """

    role: ClassVar[Role] = "view"

    after: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    limit: Annotated[int, Meta(ge=1, le=1000)] = 200


class ReadMetrics(Request, frozen=True, tag="metrics"):
    """Return the metrics of the device as Prometheus text, in a further frame of the reply."""

    role: ClassVar[Role] = "view"


class ReadOrders(Request, frozen=True, tag="orders"):
    """Return the audit log: the last requests that changed something, the newest first.

    Attributes:
        limit: maximum number of them.
    """

    role: ClassVar[Role] = "view"

    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class ReadSettings(Request, frozen=True, tag="settings"):
    """Return the settings that the device was started with, without secrets, and the manifests of its bundles."""

    role: ClassVar[Role] = "view"


class StartDoctor(Request, frozen=True, tag="doctor"):
    """Check the device with `patchedge doctor` beside the running device, at idle priority; one at a time."""


class ReadDoctorReport(Request, frozen=True, tag="doctor_report"):
    """Return the last report of `StartDoctor`, or that it runs."""

    role: ClassVar[Role] = "view"


class ReportedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to `ReadSettings`.

    Attributes:
        settings: all settings, with defaults; passwords, tokens and keys are hidden. Changes by `configure` are in the
            reply to that.
        manifests: camera -> the manifest of the bundle in service; null where it cannot be read.
    """

    settings: dict[str, Any]
    manifests: dict[str, Any]


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the log.

    Attributes:
        number: its number since the start of the runtime.
        at_ms: when it was written, milliseconds since 1970 UTC.
        level: `debug`, `info`, `warning`, `error` or `critical`.
        text: the line as in the log: one JSON object.
    """

    number: int
    at_ms: int
    level: str
    text: str


class LogLines(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to `ReadLogs`.

    Attributes:
        lines: the lines, the oldest first.
        next: `after` of the next request.
        more: there are more lines than fit into one reply: request those after `next`.
        missed: number of lines after `after` that are not in memory any more.
        epoch: UUID of this start of the runtime; the numbers of another one begin again.
    """

    lines: tuple[LogLine, ...]
    next: int
    more: bool
    missed: int
    epoch: str


class MetricsText(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to `ReadMetrics`: the text is a further frame of it.

    Attributes:
        content_type: media type of the text.
        size: its size, bytes.
    """

    content_type: str
    size: int


class OrderGiven(msgspec.Struct, frozen=True, kw_only=True):
    """A request that changed something, or a change of settings that came of one (`request` is then `changed`).

    Attributes:
        at_ms: when it was made, milliseconds since 1970 UTC.
        key: public key of the client; empty without keys.
        user: the person, as claimed by that key; empty if none was named.
        request: name of the request.
        fields: its fields, as JSON, cut off if they are long.
    """

    at_ms: int
    key: str
    user: str
    request: str
    fields: str


class OrdersGiven(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to `ReadOrders`.

    Attributes:
        orders: the newest first.
    """

    orders: tuple[OrderGiven, ...]


class DoctorState(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to `StartDoctor` and `ReadDoctorReport`.

    Attributes:
        state: what doctor does, or how it ended.
        started_ms: when it was started, milliseconds since 1970 UTC; 0 if never.
        seconds: time since the start, or until the end.
        report: what `patchedge doctor --json` printed; null before it is done.
        reason: why it failed; empty otherwise.
        not_checked: what it does not check while the device runs, a sentence each.
    """

    state: DoctorStage
    started_ms: int = 0
    seconds: float = 0.0
    report: Any = None
    reason: str = ""
    not_checked: tuple[str, ...] = ()


OfUpkeep = ReadLogs | ReadMetrics | ReadSettings | StartDoctor | ReadDoctorReport
"""The requests of this file that the main loop answers; the journal answers `ReadOrders`."""

REPLIES: Mapping[str, type[msgspec.Struct]] = {
    "logs": LogLines,
    "metrics": MetricsText,
    "orders": OrdersGiven,
    "settings": ReportedSettings,
    "doctor": DoctorState,
}
"""Name of a request -> the type of its reply; `doctor_report` has that of `doctor`."""
