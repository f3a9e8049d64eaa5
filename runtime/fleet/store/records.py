"""Records of the store as they are read: by anybody who can write there, so that they may be anything."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from edge_config.wire.fleet import DeviceReport, Signed
from runtime.fleet.store.newest import StreamEntry

T = TypeVar("T")

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are no such record: no JSON, no UTF-8, or lists in lists in lists."""


MAX_JUMP = 1 << 32
"""How far the counter of the store may be above every signed assignment: no fleet needs as many, and with jumps of this
size it takes two million signatures to reach the last counter that devices accept."""

_MAX_DIGITS = 20


class _Counted(msgspec.Struct, frozen=True):
    counter: int


def decoded(data: bytes | str, kind: type[T]) -> T | None:
    """Return the record that bytes hold; None: they hold none."""
    try:
        return msgspec.json.decode(data, type=kind)
    except UNREADABLE:
        return None


def report_of(entry: StreamEntry) -> DeviceReport | None:
    """Return a report, with the time by the server's clock, as that of a device may be wrong.

    Returns:
        None: it is not understood, or of another device than its subject says.
    """
    report = decoded(entry.data, DeviceReport)
    if report is None or not entry.subject.endswith(f".{report.device}"):
        return None
    return msgspec.structs.replace(report, at_ms=entry.at_ms or report.at_ms)


def last_counter(entry: StreamEntry | None) -> int | None:
    """Return the number that was given out last, 0 before there is one; None: the entry is damaged."""
    if entry is None:
        return 0
    return int(entry.data[:_MAX_DIGITS]) if entry.data.isdigit() else None


def counter_of(entry: StreamEntry | None) -> int:
    """Return the counter of an assignment or an order in the store; 0: there is none that is understood."""
    signed = None if entry is None else decoded(entry.data, Signed)
    counted = None if signed is None else decoded(signed.payload, _Counted)
    return 0 if counted is None else counted.counter
