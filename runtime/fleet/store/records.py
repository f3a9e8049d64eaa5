"""Records of the store as they are read: by anybody who can write there, so that they may be anything."""

from __future__ import annotations

import msgspec

from edge_config.wire.fleet import DeviceReport, Signed
from runtime.fleet.store.newest import StreamEntry


class _Counted(msgspec.Struct, frozen=True):
    counter: int


def report_of(entry: StreamEntry) -> DeviceReport | None:
    """Return a report, with the time by the server's clock, as that of a device may be wrong.

    Returns:
        None: it is not understood, or of another device than its subject says.
    """
    try:
        report = msgspec.json.decode(entry.data, type=DeviceReport)
    except msgspec.DecodeError:
        return None
    if not entry.subject.endswith(f".{report.device}"):
        return None
    return msgspec.structs.replace(report, at_ms=entry.at_ms or report.at_ms)


def counter_of(entry: StreamEntry | None) -> int:
    """Return the counter of an assignment or an order in the store; 0: there is none that is understood."""
    if entry is None:
        return 0
    try:
        signed = msgspec.json.decode(entry.data, type=Signed)
        return msgspec.json.decode(signed.payload, type=_Counted).counter
    except msgspec.DecodeError:
        return 0
