"""Entries for journals, and what a disk holds of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from edge_config.wire.messages import Phase, topic
from edge_config.wire.replies import Kept, KeptMessages
from edge_config.wire.requests import Ack, Pending, Replay
from runtime.journal import lookup
from runtime.journal.database import Journal
from runtime.journal.entries import Entry
from runtime.journal.notes import Noted

DAY_NS = 86_400 * 10**9
NOW_NS = 1_800_000_000 * 10**9  # in 2027

MAX_BYTES = 8 << 20
MAX_DAYS = 90.0


def alert(
    alert_id: str,
    phase: Phase,
    seq: int,
    *,
    epoch: str = "one",
    camera: str = "cam",
    t_ns: int = NOW_NS,
    parts: Sequence[bytes] = (),
    padding: int = 0,
) -> Entry:
    """Make an alert message; its JSON is some that tells it from others."""
    body = msgspec.json.encode({"alert_id": alert_id, "phase": phase, "epoch": epoch, "seq": seq, "x": "x" * padding})
    return Entry("alert", topic("alert", "edge", camera), epoch, seq, t_ns, body, tuple(parts), alert_id, phase)


def state(seq: int, *, epoch: str = "one", camera: str = "cam", t_ns: int = NOW_NS, padding: int = 0) -> Entry:
    """Make a state message."""
    body = msgspec.json.encode({"state": "live", "epoch": epoch, "seq": seq, "x": "x" * padding})
    return Entry("state", topic("state", "edge", camera), epoch, seq, t_ns, body)


def replay(journal: Journal, **fields: Any) -> tuple[KeptMessages, list[bytes]]:
    """Ask a journal alone."""
    return lookup.replay([journal], Replay(**fields))


def pending(journal: Journal, subscriber: str = "plc", **fields: Any) -> KeptMessages:
    """Ask a journal alone, which knows the subscriber from then on."""
    journal.note([], {subscriber: ""})
    return lookup.pending([journal], Pending(subscriber=subscriber, **fields))[0]


def acknowledge(journal: Journal, alert_id: str, subscriber: str = "plc", **fields: Any) -> bool:
    """Acknowledge to a journal alone; return whether it knows the alert."""
    row = lookup.place([journal], Ack(subscriber=subscriber, alert_id=alert_id, **fields))
    journal.note([] if row is None else [Noted(alert_id, subscriber, row)], {subscriber: ""})
    return row is not None


def seqs(kept: KeptMessages) -> list[int]:
    """Return `seq` of the messages of a reply."""
    return [seq for _, seq in places(kept)]


def places(kept: KeptMessages) -> list[tuple[str, int]]:
    """Return epoch and `seq` of the messages of a reply."""
    return [place(message) for message in kept.messages]


def place(kept: Kept) -> tuple[str, int]:
    """Return epoch and `seq` of a message."""
    fields = msgspec.json.decode(kept.message)
    return fields["epoch"], fields["seq"]


def read_all(journal: Journal, topic_: str = "v1/alert/edge/cam/") -> list[tuple[str, int]]:
    """Return epoch and `seq` of all messages of a topic, as a client asks for them."""
    found: list[tuple[str, int]] = []
    epoch, seq, more = "", 0, True
    while more:
        kept, _ = replay(journal, topic=topic_, epoch=epoch, from_seq=seq + 1, limit=1000)
        found += places(kept)
        more = kept.more
        epoch, seq = found[-1] if found else ("", 0)
    return found


def size_on_disk(path: Path) -> int:
    """Return the bytes of a journal's file and of what SQLite keeps beside it."""
    return sum(one.stat().st_size for one in path.parent.iterdir() if one.name.startswith(path.name))
