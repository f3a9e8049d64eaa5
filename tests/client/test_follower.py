"""What a subscriber gives, whatever the network does: without sockets, in made-up time."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edge_config.wire import messages
from edge_config.wire import requests as control
from edge_config.wire.messages import JOURNALED, Phase
from runtime.client.cursor import EVERY_S, JOIN_S, MAX_HEARD
from runtime.client.follower import Follower
from runtime.client.received import Received
from tests.support.fakes.answering import Telling

TOPICS = [messages.topic(kind, "edge", camera) for kind in JOURNALED for camera in ("a", "b")]
ALERT_A, STATE_A = "v1/alert/edge/a/", "v1/state/edge/a/"

HEAL_STEPS = 200
"""Of 0.5 s: a hundred seconds, longer than any wait of a client that has work to do."""


class World:
    """A device, a network that loses what it is told to, and a user."""

    def __init__(self, **options: Any) -> None:
        self.device = Telling()
        self.options: dict[str, Any] = {"kinds": ("alert", "state"), "control": True, **options}
        self.follower = Follower(**self.options)
        self.now_s = 1000.0
        self.silent = False
        self.wire: deque[list[bytes]] = deque()
        self.requests: deque[bytes] = deque()
        self.given: list[Received] = []
        self.acknowledged: set[str] = set()
        self.renewed = 0
        self._alert: dict[str, tuple[str, int]] = {}
        self._count = 0

    def alert(self, camera: str, *, lost: bool = False, twice: bool = False) -> None:
        """Begin an alert, or go on with the one that is open: start, update, end."""
        alert_id, said = self._alert.get(camera, ("", 3))
        if said == 3:
            self._count += 1
            alert_id, said = f"alert-{self._count}", 0
        phases: tuple[Phase, ...] = ("start", "update", "end")
        self._alert[camera] = alert_id, said + 1
        self.send(self.device.alert(camera, alert_id, phases[said], (b"jpeg",)), lost=lost, twice=twice)

    def state(self, camera: str, *, lost: bool = False, twice: bool = False) -> None:
        self.send(self.device.state(camera), lost=lost, twice=twice)

    def health(self, camera: str, *, lost: bool = False) -> None:
        self.send(self.device.health(camera), lost=lost)

    def restart(self) -> None:
        """End with kill -9, and start again: an open alert is ended by the next start."""
        self.device.restart()
        for camera, (alert_id, said) in list(self._alert.items()):
            if said < 3:
                self.send(self.device.alert(camera, alert_id, "end"), lost=False)
        self._alert.clear()
        for camera in self.device.cameras:
            self.state(camera)

    def send(self, frames: list[bytes], *, lost: bool = False, twice: bool = False) -> None:
        if not lost and frames[0].decode().startswith(tuple(self.follower.prefixes)):
            self.wire.extend([frames] * (1 + twice))

    def deliver(self) -> None:
        """Let what is on the wire arrive, as a client's turn does."""
        self._tick(quiet=False)
        while self.wire:
            self.follower.arrived(self.wire.popleft(), self.now_s)
        self._tick(quiet=True)

    def answer(self) -> None:
        """Let the device answer what it was asked; what it said before it was started anew has arrived by then."""
        while self.wire and self.device.epoch.encode() not in self.wire[0][1]:
            self.follower.arrived(self.wire.popleft(), self.now_s)
        while self.requests:
            body = self.requests.popleft()
            if not self.silent:
                frames = self.device.answer(body)
                self.check_ack(body)
                self.follower.answered(frames, self.now_s)
        self._tick(quiet=False)

    def settle(self) -> None:
        """Let all go round until nothing is asked any more."""
        for _ in range(HEAL_STEPS):
            self.deliver()
            self.answer()
            if self.follower.asking.is_idle and not self.silent:
                return

    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self._tick(quiet=True)

    def heal(self) -> None:
        """Let the device answer again, and say all its heartbeats for a while."""
        self.silent, self.device.refusals = False, 0
        for step in range(HEAL_STEPS):
            if step % 20 == 0:
                for camera in self.device.cameras:
                    self.health(camera)
            self.deliver()
            self.answer()
            self.now_s += 0.5

    def new_process(self, handled: Sequence[str] = ()) -> None:
        """Kill the client and start another; what was on its way to the old one is lost."""
        self.wire.clear()
        self.requests.clear()
        self.follower = Follower(**self.options, handled=handled)

    def keys(self, topic: str) -> list[str]:
        return [received.key for received in self.given if received.topic == topic]

    def alerts(self) -> list[Received]:
        return [received for received in self.given if "/alert/" in received.topic]

    def acknowledge(self, received: Received) -> None:
        self.acknowledged.add(received.key)
        self.follower.acknowledge(received)

    def check_ack(self, body: bytes) -> None:
        """No message is acknowledged that the user did not have, nor one of the same alert before it."""
        request = control.decode_request(body)
        if isinstance(request, control.Ack):
            covered = self.covered(request)
            assert covered[-1] in self.acknowledged
            assert set(covered) <= {received.key for received in self.given}

    def covered(self, ack: control.Ack) -> list[str]:
        """Return the keys of what an acknowledgement takes as handled."""
        keys = []
        for entry in self.device.journal:
            if getattr(entry.message, "alert_id", "") == ack.alert_id:
                keys.append(entry.key)
                if (entry.message.epoch, entry.message.seq) == (ack.epoch, ack.seq):
                    break
        return keys

    def _tick(self, *, quiet: bool) -> None:
        if self.follower.tick(self.now_s, quiet=quiet):
            self.renewed += 1
            self.requests.clear()
        self.requests.extend(self.follower.due(self.now_s))
        while (received := self.follower.take()) is not None:
            self.given.append(received)
        self.requests.extend(self.follower.due(self.now_s))


def journal(world: World, topic: str) -> list[str]:
    return world.device.keys(topic)


def joined(**options: Any) -> World:
    """Return a world whose subscriber has its snapshot, of states that are there."""
    world = World(**options)
    for camera in world.device.cameras:
        world.device.state(camera)
    world.settle()
    return world


NAME = st.sampled_from([None, "hall"])
CAMERA = st.sampled_from("ab")
LOST = st.booleans()
PUBLISH = st.one_of(
    st.tuples(st.just("alert"), CAMERA, LOST, st.booleans()), st.tuples(st.just("state"), CAMERA, LOST, st.booleans())
)
STEP = st.one_of(
    PUBLISH,
    PUBLISH,
    PUBLISH,
    st.tuples(st.just("health"), CAMERA, LOST),
    st.tuples(st.just("restart")),
    st.tuples(st.just("deliver")),
    st.tuples(st.just("deliver")),
    st.tuples(st.just("answer")),
    st.tuples(st.just("page"), st.integers(1, 5)),
    st.tuples(st.just("acknowledge")),
)
ILL_STEP = st.one_of(
    STEP,
    STEP,
    st.tuples(st.just("silent"), st.booleans()),
    st.tuples(st.just("refuse"), st.integers(1, 3)),
    st.tuples(st.just("wait"), st.floats(0.1, 8)),
)


def play(world: World, steps: Sequence[tuple[Any, ...]]) -> None:
    """Do the steps, and let all come to rest."""
    unacknowledged = 0
    for name, *words in steps:
        if name in {"alert", "state"}:
            getattr(world, name)(words[0], lost=words[1], twice=words[2])
        elif name == "health":
            world.health(words[0], lost=words[1])
        elif name == "page":
            world.device.page = words[0]
        elif name == "silent":
            world.silent = words[0]
        elif name == "refuse":
            world.device.refusals = words[0]
        elif name == "acknowledge":
            for received in world.given[unacknowledged:]:
                world.acknowledge(received)
            unacknowledged = len(world.given)
        else:
            getattr(world, name)(*words)
    world.heal()


FEW = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


HEARD_BEFORE_JOINING = [
    ("health", "a", False),
    ("alert", "a", True, False),
    ("restart",),
    ("deliver",),
    ("alert", "a", False, False),
    ("alert", "a", False, False),
    ("answer",),
    ("alert", "a", False, False),
    ("restart",),
    ("health", "a", False),
    ("restart",),
]


@pytest.mark.slow
@FEW
@given(st.lists(STEP, max_size=60), NAME)
@example(HEARD_BEFORE_JOINING, None)
def test_all_that_was_journaled_is_given_in_order(steps: list[tuple[Any, ...]], name: str | None) -> None:
    """While the device answers, whatever is lost, repeated or restarted: each topic is given as the journal has it,
    from the moment of joining on; for a named subscriber, alerts from the beginning.
    """
    world = World(name=name)
    world.device.state("a")
    play(world, steps)
    assert world.renewed == 0
    for topic in TOPICS:
        all_keys, keys = journal(world, topic), world.keys(topic)
        assert keys == all_keys[len(all_keys) - len(keys) :]
        if name and "/alert/" in topic:
            assert keys == all_keys


@pytest.mark.slow
@FEW
@given(st.lists(STEP, max_size=60))
def test_all_that_comes_after_the_snapshot_is_given(steps: list[tuple[Any, ...]]) -> None:
    """A subscriber that has joined misses nothing that is published from then on, and begins with the last state."""
    world = joined()
    before = {topic: len(journal(world, topic)) for topic in TOPICS}
    play(world, steps)
    for topic in TOPICS:
        assert world.keys(topic) == journal(world, topic)[before[topic] - ("/state/" in topic) :]


SNAPSHOT_REFUSED = [
    ("health", "a", False),
    ("restart",),
    ("deliver",),
    ("refuse", 1),
    ("answer",),
    ("alert", "a", True, False),
]


@pytest.mark.slow
@FEW
@given(st.lists(ILL_STEP, max_size=60), NAME)
@example(SNAPSHOT_REFUSED, "hall")
def test_device_that_does_not_answer_delays_and_loses_nothing(steps: list[tuple[Any, ...]], name: str | None) -> None:
    """With a control socket that falls silent, and refuses: in the end all is given, nothing twice, though some late;
    and an alert is never acknowledged of which an earlier message was not given.
    """
    world = World(name=name)
    world.device.state("a")
    play(world, steps)
    for topic in TOPICS:
        all_keys, keys = journal(world, topic), world.keys(topic)
        assert len(set(keys)) == len(keys)
        first = min(map(all_keys.index, keys)) if keys and not (name and "/alert/" in topic) else 0
        if keys or name:
            assert set(keys) == set(all_keys[first:])


@FEW
@given(st.lists(st.one_of(STEP, STEP, st.tuples(st.just("kill"), st.booleans())), max_size=60))
def test_named_subscriber_gets_all_alerts_over_its_restarts(steps: list[tuple[Any, ...]]) -> None:
    """A subscriber killed at any moment, which keeps the keys of what it handled, handles each alert message once."""
    world = World(name="hall", kinds=("alert",))
    handled: list[str] = []

    def handle() -> None:
        handled.extend(received.key for received in world.given[len(handled) :])

    for step in steps:
        if step[0] == "kill":
            if not step[1]:
                del world.given[max(len(handled), len(world.given) - 1) :]  # it came, but was not handled
            handle()
            if step[1]:
                for received in world.given:
                    world.acknowledge(received)
            world.new_process(handled)
            world.acknowledged.update(handled)
        else:
            name, *words = step
            if name in {"alert", "state"}:
                getattr(world, name)(words[0], lost=words[1], twice=words[2])
            elif name in {"deliver", "answer", "restart"}:
                getattr(world, name)()
    world.heal()
    handle()
    alerts = [entry.key for entry in world.device.journal if "/alert/" in entry.topic]
    assert len(set(handled)) == len(handled)
    assert set(handled) == set(alerts)


def down(**options: Any) -> World:
    """Return a world that has joined, and whose device has not answered for two time-outs."""
    world = joined(**options)
    world.silent = True
    world.state("a", lost=True)
    world.state("a")
    for _ in range(30):
        world.deliver()
        world.answer()
        world.wait(0.25)
    assert world.follower.asking.is_down
    return world


def test_live_messages_wait_for_the_snapshot_and_not_for_ever() -> None:
    """A device that does not answer delays the first messages by the time to join, and no longer."""
    world = World()
    world.silent = True
    world.state("a")
    world.deliver()
    world.wait(JOIN_S - 0.1)
    assert world.given == []
    world.wait(0.2)
    assert len(world.given) == 1


def test_acknowledgement_waits_for_what_came_late() -> None:
    """An alert whose end was given before its lost start is acknowledged when both are."""
    world = down(name="hall")
    world.alert("a", lost=True)
    world.alert("a")
    world.deliver()
    (update,) = world.alerts()
    world.acknowledge(update)
    world.heal()
    update, start = world.alerts()
    assert (update.message.phase, update.missed, start.message.phase, start.origin) == ("update", 1, "start", "replay")
    assert world.device.acks == []
    world.acknowledge(start)
    world.heal()
    assert [ack.seq for ack in world.device.acks] == [2]


def test_what_the_device_has_forgotten_is_acknowledged_again() -> None:
    """An acknowledgement that a loss of power took back is sent again when the device starts."""
    world = joined(name="hall")
    world.alert("a")
    world.settle()
    world.acknowledge(world.given[-1])
    world.settle()
    assert len(world.device.acks) == 1
    world.device._acknowledged.clear()
    world.device.restart()
    world.health("a")
    world.settle()
    assert len(world.device.acks) == 2
    assert len(world.keys(ALERT_A)) == 1


def test_named_subscriber_asks_now_and_then() -> None:
    """An alert that was lost, with every heartbeat after it, is found within a minute."""
    world = joined(name="hall")
    world.alert("a", lost=True)
    world.wait(EVERY_S + 0.1)
    world.settle()
    assert len(world.keys(ALERT_A)) == 1


def test_old_alerts_are_not_given_after_a_restart() -> None:
    """A late joiner gets nothing of what was before, also if the journal cannot tell where its time began."""
    world = World()
    for _ in range(3):
        world.alert("a", lost=True)
    world.device.restart()
    for camera in "ab":
        world.device.state(camera)
    world.settle()
    world.device.restart()
    world.alert("a")
    world.heal()
    assert world.keys(ALERT_A) == [f"{ALERT_A}epoch-3/1"]


def test_heartbeat_while_the_device_is_silent_takes_nothing_back() -> None:
    """What a replay brought of a new start stays known while the device does not answer, and later gaps are seen."""
    world = joined()
    world.device.restart()
    world.state("a", lost=True)
    world.health("a")
    world.settle()
    world.silent = True
    world.state("a", lost=True)
    world.health("a")
    for _ in range(40):
        world.deliver()
        world.answer()
        world.wait(0.25)
    world.state("a", lost=True)
    world.health("a")
    world.heal()
    world.state("a", lost=True)
    world.state("a")
    world.heal()
    assert world.keys(STATE_A) == journal(world, STATE_A)


def test_what_came_after_the_reply_was_read_is_asked_for() -> None:
    """A message that is heard while a request is on its way, and is newer than its reply, is given live."""
    world = joined()
    world.state("a", lost=True)
    world.state("a")
    world.deliver()
    replies = [world.device.answer(body) for body in world.requests]
    world.requests.clear()
    world.state("a")
    world.deliver()
    for frames in replies:
        world.follower.answered(frames, world.now_s)
    world.settle()
    assert [received.origin for received in world.given[-3:]] == ["replay", "replay", "live"]
    assert world.keys(STATE_A) == journal(world, STATE_A)


@pytest.mark.slow
def test_what_waits_is_bounded() -> None:
    """Of very many messages that wait for a lost one, those beyond a bound are let go, and fetched with it."""
    world = joined()
    world.state("a", lost=True)
    for _ in range(MAX_HEARD + 500):
        world.state("a")
    world.deliver()
    assert len(world.follower._cursor._heard) == MAX_HEARD
    world.heal()
    assert world.keys(STATE_A) == journal(world, STATE_A)


def test_large_replies_are_asked_for_in_smaller_pages() -> None:
    """A reply that takes longer than a time-out is asked for again with fewer messages."""
    world = joined()
    world.state("a", lost=True)
    world.state("a")
    world.deliver()
    limits = []
    for _ in range(60):
        requests = [control.decode_request(body) for body in world.requests]
        limits += [request.limit for request in requests if isinstance(request, control.After)]
        world.requests.clear()
        world.wait(0.25)
    assert limits[:3] == [100, 25, 6]


def test_gaps_are_reported_once_a_second() -> None:
    """Many gaps are summed: a subscriber that loses much does not burden the device with it."""
    world = joined(kinds=("score",))
    for _ in range(50):
        world.send(world.device.score("a"))
        world.device.score("a")
    world.deliver()
    world.settle()
    assert (world.device.asked["report_gap"], world.device.gaps["v1/score/edge/a/"]) == (1, 49)
    for _ in range(2):
        world.device.score("a")
        world.send(world.device.score("a"))
        world.settle()
    assert world.device.asked["report_gap"] == 1
    world.wait(1.1)
    world.settle()
    assert world.device.gaps["v1/score/edge/a/"] == 49 + 3


def test_other_cameras_stay_pending() -> None:
    """A named subscriber of one camera neither gives nor acknowledges the alerts of the others."""
    world = World(kinds=("alert",), name="hall", device="edge", camera="b")
    world.alert("a", lost=True)
    world.alert("b", lost=True)
    world.heal()
    assert [received.message.camera for received in world.given] == ["b"]
    for received in world.given:
        world.acknowledge(received)
    world.heal()
    assert {ack.alert_id for ack in world.device.acks} == {"alert-2"}


@pytest.mark.parametrize("name", [None, "hall"])
def test_new_journal_is_read_from_its_beginning(name: str | None) -> None:
    """Where the file was damaged, a new one begun, and the clock set back, so that its rows are smaller and grow past
    those that were read while nobody asks: all that the new journal holds is given, and that something was lost.
    """
    world = joined(name=name)
    for _ in range(2):
        world.alert("a")
    world.settle()
    world.device.alert("a", "in the old one", "end")
    world.device.replace_journal()
    world.device.restart()
    for _ in range(20):
        world.state("a", lost=True)
        world.alert("a", lost=True)
    world.health("a")
    world.heal()
    assert world.keys(ALERT_A)[-20:] == journal(world, ALERT_A)
    assert world.keys(STATE_A)[-20:] == journal(world, STATE_A)
    assert world.follower.missed == 1


def test_message_that_the_journal_does_not_have_is_given_once_it_says_so() -> None:
    """What could not be written at all is given as it was published, and holds up nothing."""
    world = joined(name="hall")
    world.alert("a")
    entry = world.device.journal.pop()
    world.device._written.pop()
    world.alert("a")
    world.settle()
    assert [(one.key, one.missed, one.origin) for one in world.alerts()] == [
        (entry.key, 0, "live"),
        (world.device.journal[-1].key, 0, "live"),
    ]
    world.acknowledge(world.alerts()[-1])
    world.settle()
    assert [ack.seq for ack in world.device.acks] == [2]


def test_last_message_that_the_journal_does_not_have_holds_up_nothing() -> None:
    """Nothing need follow it to be given; what follows is acknowledged, also after a device that did not answer."""
    world = joined(name="hall", kinds=("alert",))
    for silent in (False, True):
        world.silent = silent
        world.alert("a")
        world.device.journal.pop()
        world.device._written.pop()
        for _ in range(40):
            world.deliver()
            world.answer()
            world.wait(0.25)
        world.silent = False
        world.heal()
        assert world.alerts()[-1].message.seq == 1 + silent
    world.alert("a")
    world.settle()
    world.acknowledge(world.alerts()[-1])
    world.settle()
    assert [one.message.seq for one in world.alerts()] == [1, 2, 3]
    assert [ack.seq for ack in world.device.acks] == [3]


def test_what_is_older_than_the_snapshot_is_no_news() -> None:
    """Where messages were published before they were written, a joiner gets the last one, and not those before it."""
    world = World(kinds=("state",))
    for _ in range(3):
        world.state("a", lost=True)
    world.device.unwritten = 3
    world.settle()
    world.state("a")
    world.settle()
    assert [(one.message.seq, one.missed, one.origin) for one in world.given] == [(3, 0, "snapshot"), (4, 0, "live")]


def test_snapshot_comes_before_what_is_newer() -> None:
    """Also where the journal is read from before it: the state of each camera first, then its changes."""
    world = World()
    world.state("b", lost=True)
    world.alert("a")
    world.deliver()
    world.answer()
    world.state("b", lost=True)
    world.health("b")
    world.settle()
    assert [(one.kind, one.message.seq, one.origin) for one in world.given] == [
        ("alert", 1, "live"),
        ("state", 1, "snapshot"),
        ("state", 2, "replay"),
    ]


def test_joiner_of_a_device_that_has_said_nothing_yet_gets_nothing_old() -> None:
    """The journal does not know the start of the device before its first message; what is older is not wanted."""
    world = World()
    for _ in range(3):
        world.alert("a", lost=True)
    world.device.restart()
    world.settle()
    world.wait(EVERY_S + 1)
    world.settle()
    assert world.given == []


def test_what_is_pruned_while_nobody_asks_is_counted_and_the_present_is_told() -> None:
    """Where all states that were lost are gone from the journal, a subscriber learns the present one and the gap."""
    world = joined(kinds=("state",))
    before = len(world.given)
    for _ in range(3):
        world.state("a", lost=True)
    world.device.journal.clear()
    world.health("a")
    world.heal()
    assert [(one.message.seq, one.missed, one.origin) for one in world.given[before:]] == [(4, 1, "snapshot")]


def test_journal_that_is_busy_is_asked_again_at_the_next_heartbeat() -> None:
    """Where the journal refuses, what is heard is given with its gap; what is lost is read soon."""
    world = joined(kinds=("state",))
    world.device.has_journal = False
    world.state("a", lost=True)
    world.state("a")
    world.health("a")
    world.settle()
    world.device.has_journal = True
    world.health("a")
    world.settle()
    assert [(one.message.seq, one.missed, one.origin) for one in world.given[-2:]] == [(3, 1, "live"), (2, 0, "replay")]
