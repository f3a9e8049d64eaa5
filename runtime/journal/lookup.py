"""Answer requests from the journal: from its file, then from entries that could not be written to it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing

import msgspec
from msgspec.structs import replace

from edge_config.wire.messages import JOURNALED, WIRE_VERSION
from edge_config.wire.replies import Kept, KeptMessages
from edge_config.wire.requests import Ack, After, Pending, Replay
from runtime.journal.entries import Entry, Reader

REPLY_BYTES = 1 << 20
"""Maximum size of messages and parts in a reply, or one message."""

_Place = tuple[Reader, int]


def replay(journals: Sequence[Reader], request: Replay) -> tuple[KeptMessages, list[bytes]]:
    """Return the messages of a topic, and the binary parts of all of them.

    Args:
        journals: all places of each are behind those of the one before it.
        request: for an epoch of which nothing is known, the reply is all that is left of the topic, and not complete.
    """
    if request.topic.split("/")[:2] not in [[WIRE_VERSION, kind] for kind in JOURNALED]:
        return KeptMessages(messages=(), more=False), []
    topic, epoch, seq = request.topic, request.epoch, request.from_seq
    row = _begin(journals, topic, epoch, seq) if epoch else 0
    complete = row is not None and not any(one.is_pruned(topic, row, epoch, seq) for one in journals)
    places = ((journal, found) for journal in journals for found in journal.rows_of_topic(topic, row or 0))
    return _collect(places, request.limit, 0, complete=complete)


def after(journals: Sequence[Reader], request: After) -> tuple[KeptMessages, list[bytes]]:
    """Return the messages of some topics after a row, in the order of rows, and the binary parts of all of them.

    Args:
        journals: all places of each are behind those of the one before it.
        request: where its epoch is not known the row is one of another journal: all that there is comes after it.
    """
    first = [journal.epochs[request.epoch] for journal in journals if request.epoch in journal.epochs]
    is_ours = bool(first) or not request.epoch
    # Rows of a time without a disk may have moved behind those of the file (`move`); earlier ones are not new.
    row = max(request.row, min(first, default=0) - 1) if is_ours else 0
    topics = request.topics or ("",)
    complete = is_ours and not any(journal.is_pruned_after(row, topics) for journal in journals)
    places = ((journal, found) for journal in journals for found in journal.rows_after(row, topics))
    kept, parts = _collect(places, request.limit, row, complete=complete)
    end = kept.next if kept.more else max([kept.next, *(journal.last_row for journal in journals)])
    return replace(kept, next=end, epoch=_epoch_at(journals, end)), parts


def pending(journals: Sequence[Reader], request: Pending) -> tuple[KeptMessages, list[bytes]]:
    """Return the alert messages that a subscriber has not acknowledged, and their binary parts."""
    complete = not any(journal.misses(request.subscriber, request.after) for journal in journals)
    return _collect(_unacknowledged(journals, request), request.limit, request.after, complete=complete)


def place(journals: Sequence[Reader], request: Ack) -> int | None:
    """Return the row of the last acknowledged message: 0 if all are after it; None if there is no such alert."""
    rows = [journal.row_of_alert(request.alert_id, request.epoch, request.seq) for journal in journals]
    return max((row for row in rows if row is not None), default=None)


def _begin(journals: Sequence[Reader], topic: str, epoch: str, seq: int) -> int | None:
    """Find the first message of an epoch from `seq` on, or else what follows the epoch; None: it is not known."""
    first = [row for journal in journals if (row := journal.first_row(topic, epoch, seq)) is not None]
    last = [row for journal in journals if (row := journal.last_row_of(topic, epoch)) is not None]
    return min(first) if first else max(last) + 1 if last else None


def _epoch_at(journals: Sequence[Reader], row: int) -> str:
    """Return the start of the runtime that a row is of; empty before the first."""
    begun = [(first, epoch) for journal in journals for epoch, first in journal.epochs.items() if first <= row]
    return max(begun, default=(0, ""))[1]


def _unacknowledged(journals: Sequence[Reader], request: Pending) -> Generator[_Place, None, None]:
    for journal in journals:
        others = [other for other in journals if other is not journal]
        for row, alert_id in journal.rows_of_subscriber(request.subscriber, request.after):
            if all(row > other.acked(alert_id, request.subscriber) for other in others):
                yield journal, row


def _collect(
    places: Generator[_Place, None, None], limit: int, after: int, *, complete: bool
) -> tuple[KeptMessages, list[bytes]]:
    """Read messages that fit into one reply; those that cannot be read are skipped."""
    messages: list[Kept] = []
    parts: list[bytes] = []
    size, more = 0, False
    with closing(places):
        for journal, row in places:
            entry = journal.entry(row)
            if entry is not None and _is_json(entry):
                size += entry.size
                if more := len(messages) == limit or (bool(messages) and size > REPLY_BYTES):
                    break
                messages.append(
                    Kept(topic=entry.topic, message=msgspec.Raw(entry.body), parts=len(entry.parts), row=row)
                )
                parts += entry.parts
            after = row
    return KeptMessages(messages=tuple(messages), more=more, next=after, complete=complete), parts


def _is_json(entry: Entry) -> bool:
    """Return whether the body can be part of a reply."""
    try:
        msgspec.json.decode(entry.body)
    except (TypeError, ValueError, RecursionError):  # DecodeError is a ValueError
        return False
    return True
