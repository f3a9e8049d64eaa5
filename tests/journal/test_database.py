"""What the journal keeps, gives back, and lets go."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_config.wire.messages import Phase
from edge_config.wire.replies import KeptMessages
from edge_config.wire.requests import Ack, After, Pending, Replay
from edge_config.wire.teaching import Reject
from runtime.events import Asked
from runtime.journal import lookup
from runtime.journal.audit_log import KEPT, MAX_CHARACTERS, Order
from runtime.journal.database import LARGE, MAX_SUBSCRIBERS, Journal
from runtime.journal.entries import Entry
from runtime.journal.lookup import REPLY_BYTES
from runtime.journal.move import move
from runtime.journal.notes import Noted
from runtime.journal.open_database import default_path
from tests.support.journals import (
    DAY_NS,
    MAX_BYTES,
    MAX_DAYS,
    NOW_NS,
    acknowledge,
    alert,
    pending,
    place,
    places,
    replay,
    seqs,
    size_on_disk,
    state,
)

TOPIC = "v1/alert/edge/cam/"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """Yield a journal in a file."""
    with closing(Journal(tmp_path / "journal.sqlite", MAX_BYTES, MAX_DAYS)) as journal:
        yield journal


def whole_alert(alert_id: str, seq: int, **fields: Any) -> list[Entry]:
    return [alert(alert_id, "start", seq, **fields), alert(alert_id, "end", seq + 1, **fields)]


def test_messages_come_back_as_they_were_published(journal: Journal) -> None:
    """A replay holds the very bytes that were written, with the binary parts of all messages behind it in order."""
    first, second = alert("a", "start", 1, parts=(b"\x00jpeg", b"map")), alert("a", "end", 2, parts=(b"last",))
    journal.write([first, second])
    kept, parts = replay(journal, topic=TOPIC)
    assert [(one.topic, bytes(one.message), one.parts) for one in kept.messages] == [
        (TOPIC, first.body, 2),
        (TOPIC, second.body, 1),
    ]
    assert parts == [b"\x00jpeg", b"map", b"last"]
    assert (kept.more, kept.complete) == (False, True)


def test_file_is_for_nobody_else_and_outlives_the_program(tmp_path: Path) -> None:
    """The folder and the file are made with modes 0700 and 0600, and another start finds what was written."""
    path = tmp_path / "state" / "patchedge" / "journal.sqlite"
    with closing(Journal(path, MAX_BYTES, MAX_DAYS)) as journal:
        journal.write([alert("a", "start", 1)])
        modes = {one.name: one.stat().st_mode & 0o777 for one in [path.parent, *path.parent.iterdir()]}
    assert modes.pop("patchedge") == 0o700
    assert len(modes) == 4
    assert set(modes.values()) == {0o600}
    with closing(Journal(path, MAX_BYTES, MAX_DAYS)) as journal:
        assert [entry.alert_id for entry in journal.open_alerts()] == ["a"]


def test_default_path_is_the_state_folder_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under systemd the file lies in the service's folder, else where the user's programs keep their state."""
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", "not/absolute")
    assert default_path("edge") == Path("/home/me/.local/state/patchedge/edge.sqlite")
    monkeypatch.setenv("XDG_STATE_HOME", "/home/me/state")
    assert default_path("edge") == Path("/home/me/state/patchedge/edge.sqlite")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/patchedge:/var/lib/other")
    assert default_path("edge") == Path("/var/lib/patchedge/edge.sqlite")


def test_entry_that_is_there_is_passed_over(journal: Journal) -> None:
    """What is written again after a failure is there once."""
    journal.write([alert("a", "start", 1)])
    journal.write([alert("a", "start", 1), alert("a", "end", 2)])
    assert seqs(replay(journal, topic=TOPIC)[0]) == [1, 2]


def test_replay_begins_where_it_is_asked_to_and_goes_on_over_epochs(journal: Journal) -> None:
    """From a message on comes all that was said later in this topic, also after a restart, and nothing else."""
    journal.write([*whole_alert("a", 1), state(1), alert("x", "start", 1, camera="other")])
    journal.write(whole_alert("b", 1, epoch="two"))
    assert places(replay(journal, topic=TOPIC, epoch="one", from_seq=2)[0]) == [
        ("one", 2),
        ("two", 1),
        ("two", 2),
    ]
    assert places(replay(journal, topic=TOPIC, epoch="one", from_seq=3)[0]) == [("two", 1), ("two", 2)]
    assert places(replay(journal, topic=TOPIC, epoch="two", from_seq=3)[0]) == []
    assert seqs(replay(journal, topic="v1/state/edge/cam/")[0]) == [1]


def test_replay_of_an_unknown_epoch_gives_all_and_says_that_it_may_not_be_all(journal: Journal) -> None:
    """A client that asks from an unknown epoch gets all, and is told that there may have been more."""
    journal.write(whole_alert("a", 1))
    kept, _ = replay(journal, topic=TOPIC, epoch="gone", from_seq=7)
    assert (seqs(kept), kept.complete) == ([1, 2], False)


def test_rows_behind_a_row_come_in_their_order_and_by_topic(journal: Journal) -> None:
    """All topics are one row of messages, over restarts; wanted are those whose topics begin as one says, and the next
    row is behind all that there is, whatever was wanted.
    """
    journal.write([*whole_alert("a", 1), state(1), alert("x", "start", 1, camera="other")])
    first, _ = lookup.after([journal], After())
    assert (first.next, first.epoch) == (journal.last_row, "one")
    rows = [one.row for one in first.messages]
    assert rows == sorted(set(rows))
    assert [one.topic for one in first.messages] == [TOPIC, TOPIC, "v1/state/edge/cam/", "v1/alert/edge/other/"]
    journal.write([*whole_alert("b", 1, epoch="two"), state(1, epoch="two")])
    kept, _ = lookup.after([journal], After(row=first.next, epoch="one", topics=("v1/state/", "v1/alert/edge/other/")))
    assert (places(kept), kept.next, kept.epoch) == ([("two", 1)], journal.last_row, "two")


def test_row_of_another_journal_is_behind_nothing(journal: Journal) -> None:
    """Where the file is a new one, and the clock was set back before it, a client with a row of the old one gets
    all that there is, and is told that there may have been more.
    """
    journal.write([alert("a", "start", 1, t_ns=10**9)])
    kept, _ = lookup.after([journal], After(row=NOW_NS // 1000, epoch="gone"))
    assert (seqs(kept), kept.complete) == ([1], False)
    kept, _ = lookup.after([journal], After(row=kept.next, epoch=kept.epoch))
    assert (seqs(kept), kept.complete) == ([], True)


def test_rows_that_moved_behind_those_of_the_file_bring_nothing_old() -> None:
    """What was read from memory and then moved to a file whose clock was ahead is followed by what came later, and not
    by what the file held before.
    """
    with closing(Journal(None, MAX_BYTES, MAX_DAYS)) as disk, closing(Journal(None, MAX_BYTES, MAX_DAYS)) as memory:
        disk.write(whole_alert("a", 1))
        memory.write([alert("b", "start", 1, epoch="two", t_ns=10**9)])
        read, _ = lookup.after([memory], After())
        move(memory, disk)
        disk.write([alert("b", "end", 2, epoch="two", t_ns=10**9)])
        kept, _ = lookup.after([disk, memory], After(row=read.next, epoch=read.epoch))
        assert places(kept) == [("two", 1), ("two", 2)]  # the first again: its row is another one now


def test_what_is_pruned_behind_a_row_is_told(journal: Journal) -> None:
    """A client that comes so late that messages are gone is told so, of the topics that are wanted."""
    journal.write([alert("a", "end", 1), state(1, t_ns=NOW_NS + 10**6)])
    first, _ = lookup.after([journal], After(limit=1))
    journal.prune(NOW_NS + 2 * int(MAX_DAYS * DAY_NS))
    for topics, complete in (((), False), (("v1/state/",), False), (("v1/alert/",), True)):
        kept, _ = lookup.after([journal], After(row=first.next, epoch=first.epoch, topics=topics))
        assert (kept.messages, kept.complete) == ((), complete)


@pytest.mark.parametrize(
    "topic", ["v1/score/edge/cam/", "v1/health/edge/cam/", "v2/alert/edge/cam/", "x", "v1/alert/e/c/"]
)
def test_topic_that_is_not_kept_gives_an_empty_reply(journal: Journal, topic: str) -> None:
    """Asking for what is never kept is no error."""
    journal.write([alert("a", "start", 1)])
    assert replay(journal, topic=topic) == (KeptMessages(messages=(), more=False), [])


def test_replies_are_bounded_in_number_and_bytes(journal: Journal) -> None:
    """A reply ends at its limit or before 1 MiB, says that there is more, and holds one message however large it is."""
    large = bytes(REPLY_BYTES // 2 - 1000)
    journal.write(
        [
            alert("a", "start", 1),
            alert("a", "update", 2),
            *(alert("a", "update", seq, parts=(large,)) for seq in (3, 4, 5)),
        ]
    )
    kept, _ = replay(journal, topic=TOPIC, limit=2)
    assert (seqs(kept), kept.more) == ([1, 2], True)
    kept, parts = replay(journal, topic=TOPIC)
    assert (seqs(kept), kept.more, len(parts)) == ([1, 2, 3, 4], True, 2)
    kept, _ = replay(journal, topic=TOPIC, epoch="one", from_seq=5)
    assert (seqs(kept), kept.more) == ([5], False)


def test_one_message_larger_than_a_reply_is_given_alone(tmp_path: Path) -> None:
    """A message of more than 1 MiB with its parts is a reply of its own."""
    with closing(Journal(tmp_path / "j", 64 << 20, MAX_DAYS)) as journal:
        journal.write([alert("a", "start", seq, parts=(bytes(2 * REPLY_BYTES),)) for seq in (1, 2)])
        kept, parts = replay(journal, topic=TOPIC)
    assert (seqs(kept), kept.more, [len(part) for part in parts]) == ([1], True, [2 * REPLY_BYTES])


def test_parts_too_large_for_the_journal_are_not_kept_but_the_message_is(journal: Journal) -> None:
    """An alert is never lost because of its picture."""
    journal.write([alert("a", "start", 1, parts=(bytes(LARGE * journal.group_bytes),))])
    kept, parts = replay(journal, topic=TOPIC)
    assert (seqs(kept), kept.messages[0].parts, parts) == ([1], 0, [])


def test_entry_that_cannot_be_read_breaks_no_reply(journal: Journal) -> None:
    """A damaged message is passed over by replay and pending, and what follows it comes."""
    journal.write([alert("a", "start", 1), alert("a", "update", 2), alert("a", "update", 3), alert("a", "end", 4)])
    journal._db.execute("UPDATE entries SET body = x'7b22' WHERE seq = 2")
    journal._db.execute("UPDATE entries SET parts = x'ff' WHERE seq = 3")
    assert seqs(replay(journal, topic=TOPIC)[0]) == [1, 4]
    assert seqs(pending(journal)) == [1, 4]
    assert (seqs(kept := pending(journal, limit=1)), kept.more) == ([1], True)
    assert (seqs(kept := pending(journal, after=kept.next)), kept.more) == ([4], False)


def test_pending_ends_with_what_is_acknowledged(journal: Journal) -> None:
    """A subscriber gets alerts, not states, until it acknowledges them up to a message; each has its own account."""
    journal.write(
        [state(1), alert("a", "start", 1), alert("b", "start", 2), alert("a", "update", 3), alert("a", "end", 4)]
    )
    assert seqs(pending(journal)) == [1, 2, 3, 4]
    assert acknowledge(journal, "a", epoch="one", seq=3)
    assert seqs(pending(journal)) == [2, 4]
    assert acknowledge(journal, "a", epoch="one", seq=1)  # never backwards
    assert seqs(pending(journal)) == [2, 4]
    assert acknowledge(journal, "b")
    assert seqs(pending(journal)) == [4]
    assert seqs(pending(journal, "other")) == [1, 2, 3, 4]
    assert not acknowledge(journal, "unknown")
    assert acknowledge(journal, "b", epoch="another", seq=9)  # known, but nothing of it is of this epoch
    journal.write([alert("b", "end", 5)])
    assert seqs(pending(journal)) == [4, 5]


def test_open_alerts_are_those_without_an_end(journal: Journal) -> None:
    """After a crash the last message of each alert that has no end is found, in the order of publishing."""
    last = alert("c", "update", 5)
    journal.write([alert("a", "start", 1), *whole_alert("b", 2), alert("c", "start", 4), last, alert("d", "start", 6)])
    journal.write([alert("a", "update", 7), state(1)])
    assert [(entry.alert_id, entry.seq) for entry in journal.open_alerts()] == [("c", 5), ("d", 6), ("a", 7)]
    assert journal.open_alerts()[0] == last


def fill(journal: Journal, name: str, first: int, count: int, **fields: Any) -> None:
    for number in range(count):
        journal.write(
            whole_alert(f"{name}{number}", first + 2 * number, padding=1000, parts=(bytes(20_000),), **fields)
        )


@pytest.mark.slow
def test_what_all_have_acknowledged_goes_first(journal: Journal) -> None:
    """Where the file is full, old alerts that a known subscriber waits for outlive newer ones that all have."""
    pending(journal, "plc")
    pending(journal, "mes")
    fill(journal, "kept", 1, 20)
    for number in range(150):
        journal.write(whole_alert(f"gone{number}", 101 + 2 * number, padding=1000, parts=(bytes(20_000),)))
        acknowledge(journal, f"gone{number}", "plc")
        acknowledge(journal, f"gone{number}", "mes")
    found = seqs(pending(journal))
    assert found == list(range(1, 41))
    assert seqs(replay(journal, topic=TOPIC, epoch="one", from_seq=399)[0]) == [399, 400]
    assert journal.lost == 0
    assert not replay(journal, topic=TOPIC, epoch="one", from_seq=101)[0].complete
    assert pending(journal).complete


@pytest.mark.slow
def test_states_give_way_to_alerts_that_wait(journal: Journal) -> None:
    """Nobody acknowledges states: where the file is full, old ones go before any alert that somebody waits for."""
    pending(journal)
    fill(journal, "kept", 1, 20)
    for seq in range(1, 8001):
        if seq % 100 == 1:
            journal.write([state(one, padding=1000) for one in range(seq, seq + 100)])
    assert seqs(pending(journal)) == list(range(1, 41))
    kept = replay(journal, topic="v1/state/edge/cam/", limit=1)[0]
    assert seqs(kept)[0] > 1000
    assert not kept.complete


@pytest.mark.slow
def test_oldest_go_unacknowledged_rather_than_the_newest_and_open_ones_last(journal: Journal) -> None:
    """Where nothing is acknowledged the oldest alerts go and are counted, the subscriber can see it, and an alert that
    is open stays.
    """
    pending(journal)
    journal.write([alert("open", "start", 1, camera="open")])
    fill(journal, "some", 1, 400)
    kept = pending(journal, limit=1000)
    assert place(kept.messages[0]) == ("one", 1)
    assert kept.messages[0].topic == "v1/alert/edge/open/"
    assert seqs(kept)[1] > 100
    assert journal.lost >= 100
    assert not kept.complete
    assert [entry.alert_id for entry in journal.open_alerts()] == ["open"]
    assert acknowledge(journal, "some399")
    assert pending(journal).complete  # it went on behind the gap: it knows


@pytest.mark.slow
def test_open_alerts_go_where_nothing_else_is_left(journal: Journal) -> None:
    """A camera that never ends an alert does not fill the disk."""
    for seq in range(1, 301):
        journal.write([alert("open", "start" if seq == 1 else "update", seq, parts=(bytes(20_000),))])
    assert journal.open_alerts()[0].seq == 300


@pytest.mark.slow
@pytest.mark.parametrize("most_mb", [1, 4])
def test_file_stays_below_its_size(tmp_path: Path, most_mb: int) -> None:
    """At every moment the file, its log and the index of the log are below `most_mb`, with large and small messages."""
    path = tmp_path / "journal" / "j.sqlite"
    largest, seq = 0, 0
    with closing(Journal(path, most_mb << 20, MAX_DAYS)) as journal:
        pending(journal)
        while seq < 30 * most_mb:
            group = [
                alert(f"{seq}", "start", seq := seq + 1, parts=(bytes(100_000),))
                for _ in range(max(1, journal.group_bytes // 100_000))
            ]
            journal.write(group)
            largest = max(largest, size_on_disk(path))
        for first in range(seq + 1, seq + 64 * 30 * most_mb, 64):
            journal.write([alert(f"{seq}", "start", seq, padding=500) for seq in range(first, first + 64)])
            largest = max(largest, size_on_disk(path))
        assert seqs(replay(journal, topic=TOPIC, epoch="one", from_seq=first + 63)[0]) == [first + 63]
    assert most_mb / 2 < largest / 2**20 < most_mb


def test_file_shrinks_to_a_smaller_size(tmp_path: Path) -> None:
    """Where the settings allow less than before, the space is given back."""
    path = tmp_path / "journal" / "j.sqlite"
    with closing(Journal(path, 8 << 20, MAX_DAYS)) as journal:
        fill(journal, "some", 1, 150)
    assert size_on_disk(path) > 3 << 20
    with closing(Journal(path, 1 << 20, MAX_DAYS)) as journal:
        journal.prune(NOW_NS)
        assert size_on_disk(path) < 1 << 20
        assert seqs(replay(journal, topic=TOPIC, epoch="one", from_seq=299)[0]) == [299, 300]


def test_what_is_too_old_goes_and_what_is_open_stays(journal: Journal) -> None:
    """After `most_days` an alert goes whether it is acknowledged or not, but for one that has not ended."""
    journal.write([alert("open", "start", 1), *whole_alert("old", 2), state(1)])
    journal.write(whole_alert("new", 4, t_ns=NOW_NS + 60 * DAY_NS))
    journal.prune(NOW_NS + 100 * DAY_NS)
    assert seqs(pending(journal)) == [1, 4, 5]
    assert not replay(journal, topic=TOPIC)[0].complete
    assert replay(journal, topic=TOPIC, epoch="one", from_seq=4)[0].complete


def test_epoch_that_is_pruned_is_remembered(journal: Journal) -> None:
    """A client that has all of an epoch that is gone gets what came later, and is told of nothing missing."""
    journal.write(whole_alert("old", 1))
    journal.write(whole_alert("new", 1, epoch="two", t_ns=NOW_NS + 60 * DAY_NS))
    journal.prune(NOW_NS + 100 * DAY_NS)
    for from_seq, complete in ((3, True), (2, False)):
        kept, _ = replay(journal, topic=TOPIC, epoch="one", from_seq=from_seq)
        assert (places(kept), kept.complete) == ([("two", 1), ("two", 2)], complete)


@pytest.mark.slow
def test_subscriber_that_is_long_gone_holds_nothing_back(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alerts are not kept for one that was not seen for as long as alerts are kept."""
    now_ns = NOW_NS
    monkeypatch.setattr("time.time_ns", lambda: now_ns)
    pending(journal, "gone")
    now_ns += 100 * DAY_NS
    pending(journal, "plc")
    fill(journal, "kept", 1, 20, t_ns=now_ns)
    for number in range(120):
        journal.write(whole_alert(f"done{number}", 41 + 2 * number, t_ns=now_ns, parts=(bytes(20_000),)))
        acknowledge(journal, f"done{number}", "plc")
    assert seqs(pending(journal, "plc")) == list(range(1, 41))
    assert not pending(journal, "gone", limit=1).complete  # it is told that it missed some


@pytest.mark.slow
@pytest.mark.parametrize("forgotten", [False, True])
def test_forgotten_subscriber_holds_nothing_back(journal: Journal, forgotten: bool) -> None:  # noqa: FBT001
    """What only a forgotten subscriber had not acknowledged goes first, and none of it counts as lost."""
    pending(journal, "plc")
    pending(journal, "gone")
    if forgotten:
        assert journal.forget("gone")
        assert not journal.forget("gone")
    for number in range(200):
        journal.write(whole_alert(f"done{number}", 1 + 2 * number, padding=1000, parts=(bytes(20_000),)))
        acknowledge(journal, f"done{number}", "plc")
    assert (journal.lost == 0) == forgotten


def test_forgotten_name_begins_anew(journal: Journal) -> None:
    """A name that comes back is given all that the journal holds, also what it acknowledged once."""
    journal.write(whole_alert("a", 1))
    acknowledge(journal, "a")
    assert seqs(pending(journal)) == []
    journal.forget("plc")
    assert seqs(pending(journal)) == [1, 2]


def test_orders_are_bounded_and_come_over_from_memory_once(journal: Journal) -> None:
    """So many orders are kept, the newest; those of a time without a disk are added once, however often it is tried."""
    journal.order([Order(number, "key", "reload", "{}") for number in range(2 * KEPT)])
    memory = Journal(None, MAX_BYTES, MAX_DAYS)
    memory.order([Order(5 * KEPT, "key", "pause", "{}")])
    for _ in range(2):
        journal.adopt(memory.notes())
    move(memory, journal)
    found = journal.notes().given
    assert [one.t_ns for one in found] == [*range(KEPT + 1, 2 * KEPT), 5 * KEPT]
    assert memory.notes().given == []
    memory.close()


def test_order_names_the_person_however_long_it_is(journal: Journal) -> None:
    """The person that a key claims is never cut off, also where the fields of the request are."""
    pictures = tuple(f"20261127T084611{number:03}Z-5d0c8f3a" for number in range(900))
    journal.order([Order.of(Asked(1, Reject(camera="top", pictures=pictures, user="Anna"), "KEY"))])
    (found,) = journal.notes().given
    assert (found.key, found.user, found.request) == ("KEY", "Anna", "reject")
    assert len(found.fields) == MAX_CHARACTERS


def test_journal_of_an_earlier_version_takes_orders_with_a_person(tmp_path: Path) -> None:
    """The orders of a journal that has no column for persons are kept, and name nobody."""
    with closing(sqlite3.connect(tmp_path / "j")) as old:
        old.execute(f"PRAGMA application_id = {0x50456A6C}")
        old.execute(
            "CREATE TABLE orders (number INTEGER PRIMARY KEY, t_ns INTEGER NOT NULL, key TEXT NOT NULL, "
            "request TEXT NOT NULL, fields TEXT NOT NULL, UNIQUE (t_ns, request, key) ON CONFLICT IGNORE)"
        )
        old.execute("INSERT INTO orders (t_ns, key, request, fields) VALUES (1, 'k', 'pause', '{}')")
        old.commit()
    with closing(Journal(tmp_path / "j", MAX_BYTES, MAX_DAYS)) as journal:
        journal.order([Order(2, "k", "resume", "{}", "Anna")])
        assert [(one.request, one.user) for one in journal.notes().given] == [("pause", ""), ("resume", "Anna")]


@pytest.mark.parametrize(("key", "left"), [("its own", []), ("another", [1, 2]), ("", [])])
def test_what_another_key_acknowledged_while_the_disk_was_away_does_not_count(
    journal: Journal, key: str, left: list[int]
) -> None:
    """Where nobody could tell whose a name is, its owner loses nothing by what another key said under it."""
    journal.write(whole_alert("a", 1))
    journal.note([], {"plc": "its own"})
    memory = Journal(None, MAX_BYTES, MAX_DAYS)
    memory.continue_after(journal.last_row)
    memory.note([Noted("a", "plc", journal.last_row, key)], {"plc": key})
    move(memory, journal)
    assert journal.owners() == {"plc": "its own"}
    assert seqs(pending(journal)) == left
    memory.close()


@pytest.mark.slow
def test_names_of_subscribers_are_bounded(journal: Journal) -> None:
    """Ten thousand names leave no more behind than a hundred, and the last one is known."""
    journal.write(whole_alert("a", 1))
    for number in range(3 * MAX_SUBSCRIBERS):
        acknowledge(journal, "a", f"name{number}")
    notes = journal.notes()
    assert [len(notes.subscribers), len(notes.acks)] == [MAX_SUBSCRIBERS, MAX_SUBSCRIBERS]
    assert seqs(pending(journal, f"name{3 * MAX_SUBSCRIBERS - 1}")) == []


def test_places_grow_though_the_clock_is_set_back(journal: Journal) -> None:
    """A subscriber that asks behind its last place gets what came later, whatever the clock said."""
    journal.write([alert("a", "start", 1, t_ns=NOW_NS)])
    after = pending(journal).next
    journal.write([alert("a", "end", 2, t_ns=10**9)])
    assert seqs(pending(journal, after=after)) == [2]


def test_what_was_in_memory_comes_behind_what_was_on_the_disk_though_the_clock_was_set_back() -> None:
    """Messages and acknowledgements of a time without a disk keep their order when they are moved to it."""
    with closing(Journal(None, MAX_BYTES, MAX_DAYS)) as disk, closing(Journal(None, MAX_BYTES, MAX_DAYS)) as memory:
        disk.write(whole_alert("a", 1))
        memory.write([alert("b", "start", 3, t_ns=10**9), alert("b", "end", 4, t_ns=10**9)])
        acknowledge(memory, "b", epoch="one", seq=3)
        move(memory, disk)
        assert seqs(replay(disk, topic=TOPIC)[0]) == [1, 2, 3, 4]
        assert seqs(pending(disk)) == [1, 2, 4]
        assert replay(memory, topic=TOPIC)[0].messages == ()


EXAMPLES = 200
"""Enough that mistakes made on purpose were found, but for the one that has an example of its own."""

Step = tuple[Any, ...]
names = st.sampled_from(["plc", "mes"])
ids = st.sampled_from(["a", "b"])
epochs = st.sampled_from(["", "0", "1", "x"])
writes = st.tuples(st.just("write"), ids, st.sampled_from(["start", "update", "end"]), st.booleans())
steps = st.one_of(
    writes,
    st.tuples(st.just("ack"), names, ids, epochs, st.integers(1, 6)),
    st.tuples(st.just("pending"), names, st.integers(1, 4)),
    st.tuples(st.just("replay"), epochs, st.integers(1, 6), st.integers(1, 4)),
    st.tuples(st.just("after"), st.integers(1, 4)),
    st.tuples(st.sampled_from(["restart", "break", "mend"])),
)


class Model:
    """A journal in plain Python: a list, and how far each subscriber has acknowledged each alert in it."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.acked: dict[tuple[str, str], int] = {}

    def ack(self, name: str, alert_id: str, epoch: str, seq: int) -> bool:
        of_alert = [place for place, entry in enumerate(self.entries) if entry.alert_id == alert_id]
        safe = [
            place
            for place in of_alert
            if not epoch or (self.entries[place].epoch == epoch and self.entries[place].seq <= seq)
        ]
        self.acked[name, alert_id] = max([self.acked.get((name, alert_id), -1), *safe])
        return bool(of_alert)

    def pending(self, name: str) -> list[tuple[str, int]]:
        return [
            (entry.epoch, entry.seq)
            for place, entry in enumerate(self.entries)
            if entry.alert_id and place > self.acked.get((name, entry.alert_id), -1)
        ]

    def replay(self, epoch: str, seq: int) -> list[tuple[str, int]]:
        of_topic = [(entry.epoch, entry.seq) for entry in self.entries if entry.alert_id]
        if epoch not in {found for found, _ in of_topic}:
            return of_topic
        return [(found, number) for found, number in of_topic if (int(found), number) >= (int(epoch), seq)]


class Journals:
    """A disk and a memory, of which the disk fails at times; both are in memory here."""

    def __init__(self) -> None:
        self.disk, self.memory = Journal(None, MAX_BYTES, MAX_DAYS), Journal(None, MAX_BYTES, MAX_DAYS)
        self.broken = False
        self.read_so_far: list[tuple[str, str, int]] = []
        self._at = (0, "")

    @property
    def both(self) -> list[Journal]:
        return [self.disk, self.memory]

    @property
    def writable(self) -> Journal:
        return self.memory if self.broken else self.disk

    def break_(self) -> None:
        self.memory.continue_after(self.disk.last_row)
        self.broken = True

    def mend(self) -> None:
        if self.broken:
            move(self.memory, self.disk)
        self.broken = False

    def ack(self, name: str, alert_id: str, epoch: str, seq: int) -> bool:
        row = lookup.place(self.both, Ack(subscriber=name, alert_id=alert_id, epoch=epoch, seq=seq))
        self.writable.note([] if row is None else [Noted(alert_id, name, row)], {name: ""})
        return row is not None

    def pending(self, name: str, limit: int) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        after, more = 0, True
        while more:
            kept, _ = lookup.pending(self.both, Pending(subscriber=name, after=after, limit=limit))
            assert len(kept.messages) <= limit
            assert kept.complete
            found += places(kept)
            after, more = kept.next, kept.more
        return found

    def replay(self, epoch: str, seq: int, limit: int) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        more = True
        while more:
            kept, _ = lookup.replay(self.both, Replay(topic=TOPIC, epoch=epoch, from_seq=seq, limit=limit))
            assert len(kept.messages) <= limit
            found += places(kept)
            more = kept.more
            epoch, seq = (found[-1][0], found[-1][1] + 1) if more else ("", 0)
        return found

    def read(self, limit: int) -> None:
        """Go on reading behind the last row that was read."""
        more = True
        while more:
            row, epoch = self._at
            kept, _ = lookup.after(self.both, After(row=row, epoch=epoch, limit=limit))
            assert len(kept.messages) <= limit
            assert kept.complete
            self.read_so_far += [(one.topic, *place(one)) for one in kept.messages]
            self._at, more = (kept.next, kept.epoch), kept.more

    def close(self) -> None:
        for journal in self.both:
            journal.close()


WRITE: Step = ("write", "a", "update", True)


@pytest.mark.slow
@example([WRITE, ("ack", "plc", "a", "", 1), WRITE], [("break",), ("ack", "plc", "a", "", 1), ("mend",)])
@settings(max_examples=EXAMPLES)
@given(st.lists(writes, max_size=6), st.lists(steps, min_size=5, max_size=40))
def test_answers_are_those_of_a_plain_list(first: list[Step], script: list[Step]) -> None:
    """Whatever is written and acknowledged, over restarts and failures of the disk, pending gives exactly what was not
    acknowledged and replay exactly what was asked for, in the order of publishing; and a client that reads on after the
    last row now and then has read all, once.
    """
    model, seq, epoch = Model(), {"alert": 0, "state": 0}, 0
    with closing(Journals()) as journals:
        for what, *values in first + script:
            if what == "write":
                alert_id, phase, is_alert = values
                kind: str = "alert" if is_alert else "state"
                seq[kind] += 1
                entry = _entry(alert_id, phase, seq[kind], str(epoch), is_alert=is_alert)
                journals.writable.write([entry])
                model.entries.append(entry)
            elif what == "ack":
                assert journals.ack(*values) == model.ack(*values)
                assert journals.pending(values[0], 3) == model.pending(values[0])
            elif what == "pending":
                assert journals.pending(*values) == model.pending(values[0])
            elif what == "replay":
                assert journals.replay(*values) == model.replay(*values[:2])
            elif what == "after":
                journals.read(*values)
            elif what == "restart":
                epoch, seq = epoch + 1, {"alert": 0, "state": 0}
            else:
                (journals.break_ if what == "break" else journals.mend)()
        journals.mend()
        for name in ("plc", "mes"):
            assert journals.pending(name, 3) == model.pending(name)
        assert journals.replay("", 1, 3) == model.replay("", 1)
        journals.read(3)
        assert journals.read_so_far == [(entry.topic, entry.epoch, entry.seq) for entry in model.entries]


def _entry(alert_id: str, phase: Phase, seq: int, epoch: str, *, is_alert: bool) -> Entry:
    return alert(alert_id, phase, seq, epoch=epoch) if is_alert else state(seq, epoch=epoch)


def test_many_writes_are_all_or_nothing(journal: Journal) -> None:
    """Where one entry of several cannot be written, none is."""
    journal._db.execute(
        "CREATE TRIGGER no BEFORE INSERT ON entries WHEN NEW.seq = 2 BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    with pytest.raises(sqlite3.Error, match="no"):
        journal.write(whole_alert("a", 1))
    journal._db.execute("DROP TRIGGER no")
    assert seqs(replay(journal, topic=TOPIC)[0]) == []
    journal.write(whole_alert("a", 1))
    assert seqs(replay(journal, topic=TOPIC)[0]) == [1, 2]
