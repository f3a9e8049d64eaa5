"""The subscriber that fetches what is lost, over real sockets, with a device that falls ill on command."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import zmq

from edge_config.errors import AddressUnavailable
from runtime.client import in_flight
from runtime.client.acks import MAX_WAITING
from runtime.client.received import Received
from runtime.client.subscriber import Subscriber
from tests.support.fakes.answering import Device

WAIT_S = 20.0
"""For a message on this machine, with two time-outs of 3 s within: more means that it is lost."""

TURN_S = 0.05


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    """Yield a device that has told the state of its cameras."""
    with Device(tmp_path) as device:
        device.state("a", "a is there")
        device.state("b", "b is there")
        yield device


def connect(fake: Device, **options: object) -> Subscriber:
    """Connect, and wait until what is published arrives."""
    subscriber = Subscriber(fake.events, control=fake.control, **options)
    fake.wait_subscribed(subscriber._follower.prefixes)
    return subscriber


def take(subscriber: Subscriber, count: int) -> list[Received]:
    """Receive so many."""
    received = [subscriber.receive(WAIT_S) for _ in range(count)]
    assert None not in received
    return received


def wait(subscriber: Subscriber, look: Callable[[], bool]) -> None:
    """Let the subscriber work until something is the case; nothing may arrive for the user."""
    end_s = time.monotonic() + WAIT_S
    while not look():
        assert time.monotonic() < end_s
        assert subscriber.receive(TURN_S) is None


def told(received: Sequence[Received]) -> list[tuple[str, int, int, str]]:
    """Return camera, number, missed and origin."""
    return [(one.message.camera, one.message.seq, one.missed, one.origin) for one in received]


def test_late_joiner_gets_what_is_the_case(device: Device) -> None:
    """State and open alert of each camera come first, then what is live; what was before is not given."""
    device.alert("a", "old", "start")
    device.alert("a", "old", "end")
    device.alert("b", "open", "start")
    device.alert("b", "open", "update")
    with connect(device) as subscriber:
        assert sorted(told(take(subscriber, 3))) == [
            ("a", 1, 0, "snapshot"),
            ("b", 1, 0, "snapshot"),
            ("b", 2, 0, "snapshot"),
        ]
        device.say(device.state("a"))
        assert told(take(subscriber, 1)) == [("a", 2, 0, "live")]
        assert subscriber.receive(TURN_S) is None


def test_lost_messages_are_replayed_in_their_place(device: Device) -> None:
    """What was lost is fetched with its binary parts, page by page, before what came after it; nothing is given twice,
    and the device is told how many were lost.
    """
    device.page = 2
    with connect(device, kinds=["alert"]) as subscriber:
        wait(subscriber, lambda: device.count("snapshot") == 1 and subscriber._follower.asking.is_idle)
        device.say(device.alert("a", "one", "start", (b"picture 1",)), times=2)
        lost = [device.alert("a", "one", "update", (b"picture", b"map")) for _ in range(5)]
        device.say(device.alert("a", "one", "end"))
        received = take(subscriber, 7)
        assert [one.message.seq for one in received] == [1, 2, 3, 4, 5, 6, 7]
        assert [one.origin for one in received] == ["live", *["replay"] * 6]
        assert received[0].parts == (b"picture 1",)
        assert received[1].parts == tuple(lost[0][2:])
        assert subscriber.missed == 0
        wait(subscriber, lambda: device.gaps == {"v1/alert/edge/a/": 5})


def test_lost_last_message_is_noticed_by_the_heartbeat(device: Device) -> None:
    """No later message is needed: the heartbeat says what the last one was. It is not given itself unless wanted."""
    with connect(device, kinds=["state"]) as subscriber:
        take(subscriber, 2)
        device.state("a")
        device.say(device.health("a"))
        assert told(take(subscriber, 1)) == [("a", 2, 0, "replay")]
    with connect(device, kinds=["health"]) as subscriber:
        wait(subscriber, lambda: device.count("snapshot") == 2 and subscriber._follower.asking.is_idle)
        device.say(device.health("b"))
        assert take(subscriber, 1)[0].message.journal == "on"


def test_restart_of_the_device_loses_nothing(device: Device) -> None:
    """What was published just before a restart, and just after, is fetched."""
    with connect(device, kinds=["state"], device="edge", camera="a") as subscriber:
        take(subscriber, 1)
        device.state("a", "lost before")
        device.restart()
        device.state("a", "lost after")
        device.say(device.state("a", "heard"))
        assert [one.message.reason for one in take(subscriber, 3)] == ["lost before", "lost after", "heard"]


def test_gap_of_scores_is_counted_and_reported(device: Device) -> None:
    """Lost scores cannot be had again: they are counted, and the device is told."""
    with connect(device, kinds=["score"]) as subscriber:
        device.say(device.score("a"))
        device.score("a")
        device.score("a")
        device.say(device.score("a"))
        assert [one.missed for one in take(subscriber, 2)] == [0, 2]
        wait(subscriber, lambda: device.gaps == {"v1/score/edge/a/": 2})
        assert subscriber.missed == 2


@pytest.mark.slow
def test_silent_control_socket_delays_alerts_and_loses_none(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the device does not answer, what came is given with its gap after two time-outs, and the lost ones late."""
    monkeypatch.setattr(in_flight, "ANSWER_S", 0.3)
    with connect(device, kinds=["alert"]) as subscriber:
        wait(subscriber, lambda: device.count("snapshot") == 1 and subscriber._follower.asking.is_idle)
        device.say(device.alert("a", "one", "start"))
        take(subscriber, 1)
        device.silent = True
        device.alert("a", "one", "update")
        device.say(device.alert("a", "one", "end"))
        assert told(take(subscriber, 1)) == [("a", 3, 1, "live")]
        device.say(device.alert("a", "two", "start"))
        assert told(take(subscriber, 1)) == [("a", 4, 0, "live")]
        device.silent = False
        assert told(take(subscriber, 1)) == [("a", 2, 0, "replay")]


def test_device_without_a_journal_is_followed_without_replays(device: Device) -> None:
    """Where the journal is off, gaps show as they do without it."""
    device.has_journal = False
    with connect(device, kinds=["state"]) as subscriber:
        take(subscriber, 2)
        device.state("a")
        device.say(device.state("a"))
        assert told(take(subscriber, 1)) == [("a", 3, 1, "live")]


def test_journal_that_threw_messages_away_shows_a_gap(device: Device) -> None:
    """Lost messages that are no longer in the journal are counted at the first one that is left."""
    with connect(device, kinds=["state"]) as subscriber:
        take(subscriber, 2)
        for _ in range(3):
            device.state("a")
        with device.lock:
            device.journal[:] = [entry for entry in device.journal if entry.message.seq > 3]
        device.say(device.state("a"))
        assert told(take(subscriber, 2)) == [("a", 4, 2, "replay"), ("a", 5, 0, "replay")]


def test_silence_is_noticed(device: Device) -> None:
    """A device that was heard and is silent for three heartbeats is not alive; one that is heard again is."""
    with connect(device, kinds=["alert"]) as subscriber:
        device.say(device.health("a", heartbeat_s=0.1))
        wait(subscriber, lambda: not subscriber.alive)
        device.say(device.health("a"))
        wait(subscriber, lambda: subscriber.alive)


def test_named_subscriber_gets_what_it_has_not_acknowledged(device: Device) -> None:
    """Over a restart of the subscriber: what was acknowledged is not given again, all else is, and what an earlier
    process handled without acknowledging it is acknowledged and not given.
    """
    for alert_id in ("one", "two", "three"):
        device.alert("a", alert_id, "start")
    with connect(device, kinds=["alert"], name="hall") as subscriber:
        first, second, third = take(subscriber, 3)
        assert told([first, second, third]) == [("a", 1, 0, "replay"), ("a", 2, 0, "replay"), ("a", 3, 0, "replay")]
        subscriber.acknowledge(first)
    assert [ack.alert_id for ack in device.acks] == ["one"]
    device.alert("a", "four", "start")
    with connect(device, kinds=["alert"], name="hall", handled=[third.key]) as subscriber:
        assert [one.message.alert_id for one in take(subscriber, 2)] == ["two", "four"]
        wait(subscriber, lambda: len(device.acks) == 2)
    assert (device.acks[1].alert_id, device.acks[1].epoch, device.acks[1].seq) == ("three", "epoch-1", 3)


def test_acknowledgement_of_the_last_phase_covers_the_others(device: Device) -> None:
    """One acknowledgement of the last message is enough for an alert."""
    for phase in ("start", "update", "end"):
        device.alert("a", "one", phase)
    with connect(device, kinds=["alert"], name="hall") as subscriber:
        subscriber.acknowledge(take(subscriber, 3)[-1])
    with connect(device, kinds=["alert"], name="hall") as subscriber:
        wait(subscriber, lambda: device.count("pending") == 2)


@pytest.mark.slow
def test_acknowledgements_survive_refusals_and_silence(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that has too much to do, and then does not answer, gets the acknowledgements all the same."""
    monkeypatch.setattr(in_flight, "ANSWER_S", 0.3)
    for number in range(40):
        device.alert("a", f"alert-{number}", "end")
    with connect(device, kinds=["alert"], name="hall") as subscriber:
        received = take(subscriber, 40)
        with device.lock:
            device.refusals = 3
        for one in received[:20]:
            subscriber.acknowledge(one)
        wait(subscriber, lambda: len(device.acks) == 20)
        device.silent = True
        for one in received[20:]:
            subscriber.acknowledge(one)
        wait(subscriber, lambda: subscriber._follower.asking.failures >= 1)
        device.silent = False
        wait(subscriber, lambda: len({ack.alert_id for ack in device.acks}) == 40)


@pytest.mark.slow
def test_acknowledgements_are_paced_and_bounded(device: Device) -> None:
    """Many at once stay below what a device allows a client, and so many wait at most; none is lost."""
    for number in range(600):
        device.alert("a", f"alert-{number}", "end")
    with connect(device, kinds=["alert"], name="hall") as subscriber:
        received = take(subscriber, 600)
        begin_s = time.monotonic()
        for one in received:
            subscriber.acknowledge(one)
            assert subscriber._follower.acks.waiting <= MAX_WAITING
        wait(subscriber, lambda: len(device.acks) == 600)
        took_s = time.monotonic() - begin_s
    assert in_flight.BURST + in_flight.RATE * took_s >= 600
    assert len({ack.alert_id for ack in device.acks}) == 600


def test_device_that_comes_later_is_followed(tmp_path: Path) -> None:
    """A subscriber may be there before the device."""
    events, control = f"ipc://{tmp_path}/events", f"ipc://{tmp_path}/control"
    with Subscriber(events, control=control, kinds=["state"]) as subscriber:
        assert subscriber.receive(TURN_S) is None
        with Device(tmp_path) as device:
            device.state("a")
            assert told(take(subscriber, 1)) == [("a", 1, 0, "snapshot")]


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    """A name without a control socket, without alerts or that is none; kinds and an address that are none."""
    url = f"ipc://{tmp_path}/x"
    with pytest.raises(ValueError, match="control socket"):
        Subscriber(url, name="hall")
    with pytest.raises(ValueError, match="subscriber of alerts"):
        Subscriber(url, control=url, name="hall", kinds=["state"])
    wrong: list[Any] = ["alert", ["alerts"]]
    for kinds in wrong:  # nothing would ever arrive
        with pytest.raises(ValueError, match="kinds are a list of score, alert, state, health, preview; this is"):
            Subscriber(url, kinds=kinds)
    with pytest.raises(ValueError, match="letters"):
        Subscriber(url, control=url, name="the hall")
    with pytest.raises(AddressUnavailable):
        Subscriber(url, control="not an address")


def test_context_of_the_caller_stays_open(device: Device) -> None:
    """Two subscribers can share a context; closing one leaves it to the other."""
    with zmq.Context() as context:
        with connect(device, kinds=["state"], context=context) as one:
            take(one, 2)
        with connect(device, kinds=["state"], context=context) as other:
            take(other, 2)
