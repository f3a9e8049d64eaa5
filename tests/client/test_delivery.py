"""Publisher and subscriber over real sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import zmq

from edge_config.errors import AddressUnavailable, MessageError
from edge_config.wire import messages
from runtime.client.subscriber import Subscriber
from runtime.messaging.listener import MAX_CONNECTIONS
from runtime.messaging.publisher import Publisher

CONNECTIONS = 3000
"""More than events of connections that ZeroMQ keeps for a program that does not ask for them."""

UNBOUND = b""
"""What ZeroMQ says of the address of a socket that was not bound."""

WAIT_S = 10.0
"""For a message on this machine: more means that it is lost."""


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    """Return an address that nothing else uses."""
    return f"ipc://{tmp_path}/events"


@pytest.fixture
def publisher(endpoint: str) -> Iterator[Publisher]:
    """Yield a bound publisher."""
    publisher = Publisher(endpoint, device="edge")
    yield publisher
    publisher.close()


@pytest.fixture
def patient_publisher(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    """Yield a publisher for which nobody has been quiet for long enough yet."""
    monkeypatch.setattr("runtime.messaging.publisher.QUIET_S", WAIT_S)
    publisher = Publisher(endpoint, device="edge")
    yield publisher
    publisher.close()


def send_state(publisher: Publisher, camera: str, reason: str) -> None:
    publisher.send("state", camera, bundle="0" * 64, state="live", reason=reason)


def test_subscriber_gets_what_was_published_after_it_joined(publisher: Publisher, endpoint: str) -> None:
    """After the wait for subscribers nothing is lost, and `seq` counts from 1 in each topic."""
    with Subscriber(endpoint) as subscriber:
        publisher.wait_subscribers(1, threading.Event())
        for camera in ("a", "b", "a"):
            send_state(publisher, camera, "test")
        received = [subscriber.receive(WAIT_S) for _ in range(3)]
    assert [(r.message.camera, r.message.seq, r.missed) for r in received] == [("a", 1, 0), ("b", 1, 0), ("a", 2, 0)]


def test_wait_counts_subscribers_and_not_subscriptions(publisher: Publisher, endpoint: str) -> None:
    """A subscriber with three topics is one subscriber: the wait for two goes on until a second has come."""
    stop, waited = threading.Event(), threading.Event()

    def wait() -> None:
        publisher.wait_subscribers(2, stop)
        waited.set()

    with Subscriber(endpoint, kinds=("score", "alert", "state")):
        thread = threading.Thread(target=wait)
        thread.start()
        assert not waited.wait(0.5)
        with Subscriber(endpoint, kinds=("score", "alert", "state")):
            assert waited.wait(WAIT_S)
        thread.join(WAIT_S)


def test_wait_for_subscribers_can_be_called_off(publisher: Publisher) -> None:
    """A wait for subscribers that never come ends when it is called off."""
    stop = threading.Event()
    thread = threading.Thread(target=publisher.wait_subscribers, args=(1, stop))
    thread.start()
    stop.set()
    thread.join(WAIT_S)
    assert not thread.is_alive()


def test_visitor_that_is_no_subscriber_does_not_disturb_the_count() -> None:
    """Somebody who connects to the port and leaves does not keep the publisher waiting for a real subscriber."""
    publisher = Publisher("tcp://127.0.0.1:*", device="edge")
    host, port = publisher.endpoint.removeprefix("tcp://").split(":")
    socket.create_connection((host, int(port))).close()
    with Subscriber(publisher.endpoint):
        waiting = threading.Thread(target=publisher.wait_subscribers, args=(1, threading.Event()))
        waiting.start()
        waiting.join(WAIT_S)
        assert not waiting.is_alive()
    publisher.close()


def test_camera_filter_leaves_out_its_namesakes(publisher: Publisher, endpoint: str) -> None:
    """A subscription to cam1 does not receive cam10."""
    with Subscriber(endpoint, device="edge", camera="cam1") as subscriber:
        publisher.wait_subscribers(1, threading.Event())
        send_state(publisher, "cam10", "other")
        send_state(publisher, "cam1", "mine")
        assert subscriber.receive(WAIT_S).message.reason == "mine"


def test_gap_is_noticed(endpoint: str, publisher: Publisher) -> None:
    """Messages that were dropped on the way are counted at the next that arrives."""
    with Subscriber(endpoint) as subscriber:
        publisher.wait_subscribers(1, threading.Event())
        send_state(publisher, "a", "one")
        publisher._seq["v1/state/edge/a/"] += 3  # what a full queue does
        send_state(publisher, "a", "five")
        assert [subscriber.receive(WAIT_S).missed for _ in range(2)] == [0, 3]
        assert subscriber.missed == 3


def test_late_joiner_has_missed_nothing(endpoint: str, publisher: Publisher) -> None:
    """What was published before a subscriber came does not count as lost to it."""
    send_state(publisher, "a", "before")
    with Subscriber(endpoint) as subscriber:
        publisher.wait_subscribers(1, threading.Event())
        send_state(publisher, "a", "after")
        received = subscriber.receive(WAIT_S)
    assert (received.message.seq, received.missed) == (2, 0)


def test_restart_of_the_device_is_no_gap(endpoint: str) -> None:
    """A restarted device counts from 1 again under a new epoch, which is no loss."""

    def live_once() -> None:
        publisher = Publisher(endpoint, device="edge")
        publisher.wait_subscribers(1, threading.Event())
        send_state(publisher, "a", "hello")
        publisher.close()

    seen = []
    with Subscriber(endpoint) as subscriber:
        for _start in range(2):
            device = threading.Thread(target=live_once)
            device.start()
            seen.append(subscriber.receive(WAIT_S))
            device.join(WAIT_S)
    assert [(r.message.seq, r.missed) for r in seen] == [(1, 0), (1, 0)]
    assert seen[0].message.epoch != seen[1].message.epoch


def test_address_in_use_is_one_line() -> None:
    """A second publisher on the same address is told that it is in use."""
    first = Publisher("tcp://127.0.0.1:*", device="edge")
    with pytest.raises(AddressUnavailable, match="in use"):
        Publisher(first.endpoint, device="edge")
    first.close()


def test_address_that_is_none_is_refused() -> None:
    """An address that ZeroMQ cannot connect to is refused."""
    with pytest.raises(AddressUnavailable):
        Subscriber("not an address")


def test_silence_is_none() -> None:
    """`receive` with a timeout gives None where nothing comes."""
    with Subscriber("ipc:///tmp/patchedge-nobody") as subscriber:
        assert subscriber.receive(0.01) is None


def test_foreign_messages_are_counted_and_passed_over(endpoint: str) -> None:
    """Iterating passes over messages that cannot be read; `receive` raises for them."""
    with zmq.Context() as context, context.socket(zmq.XPUB) as foreign:
        foreign.bind(endpoint)
        with Subscriber(endpoint, kinds=["state"]) as subscriber:
            foreign.recv()
            foreign.send_multipart([b"v1/state/x/y/", b"garbage"])
            with pytest.raises(MessageError):
                subscriber.receive(WAIT_S)
            foreign.send_multipart([b"v1/state/x/y/", b"garbage"])
            foreign.send_multipart(
                [
                    b"v1/state/x/y/",
                    b'{"schema":"s","device":"x","camera":"y","epoch":"e","seq":1,"t_publish_ns":1,'
                    b'"bundle":"","state":"live","reason":"good"}',
                ]
            )
            assert next(iter(subscriber)).message.reason == "good"
            assert subscriber.damaged == 2


def connect(publisher: Publisher) -> socket.socket:
    host, port = publisher.endpoint.removeprefix("tcp://").split(":")
    return socket.create_connection((host, int(port)), timeout=WAIT_S)


@pytest.fixture
def open_publisher() -> Iterator[Publisher]:
    """Yield a publisher that others can connect to over TCP."""
    publisher = Publisher("tcp://127.0.0.1:*", device="edge")
    yield publisher
    publisher.close()


def test_message_can_be_made_before_it_is_sent(publisher: Publisher, endpoint: str) -> None:
    """What was made, encoded and kept arrives byte for byte, and its number is known before."""
    with Subscriber(endpoint) as subscriber:
        publisher.wait_subscribers(1, threading.Event())
        assert publisher.seq("state", "a") == 0
        made = [publisher.make("state", "a", bundle="", state="live", reason=why) for why in ("one", "two")]
        assert publisher.seq("state", "a") == 2
        assert [one.seq for _, one in made] == [1, 2]
        for one in made:
            publisher.send_frames("state", messages.encode(*one, parts=[b"a part"]))
        assert [subscriber.receive(WAIT_S).message for _ in made] == [one for _, one in made]
    assert publisher.sent == {"state": 2}


def test_first_words_of_a_subscriber_are_not_all(patient_publisher: Publisher, endpoint: str) -> None:
    """A device does not take a client that is still subscribing for a subscriber to all its topics."""
    with zmq.Context() as context, context.socket(zmq.XSUB) as peer:
        peer.connect(endpoint)
        peer.send(b"\x01v1/score/")
        peer.send(b"no subscription")
        while not patient_publisher.refused["no subscription"]:  # so its subscription was taken in before
            assert not patient_publisher.has_subscribers(1)
        assert not patient_publisher.has_subscribers(1)
        assert not patient_publisher.has_subscribers(1)
        assert patient_publisher.has_subscribers(0)


def test_subscriber_is_there_though_another_never_stops_talking(publisher: Publisher, endpoint: str) -> None:
    """Nobody can put off a start that waits for a subscriber, by subscribing on and on."""
    with zmq.Context() as context, context.socket(zmq.XSUB) as talker, Subscriber(endpoint):
        talker.connect(endpoint)
        while not publisher.has_subscribers(1, timeout_ms=10):
            talker.send(b"\x01v1/score/")


def test_rebind_is_a_gap_at_most(open_publisher: Publisher) -> None:
    """After a rebind a subscriber comes back by itself, at the same address; epoch and numbers go on."""
    with Subscriber(open_publisher.endpoint) as subscriber:
        open_publisher.wait_subscribers(1, threading.Event())
        send_state(open_publisher, "a", "before")
        before = subscriber.receive(WAIT_S).message
        open_publisher.rebind()
        assert not open_publisher.has_subscribers(1)
        send_state(open_publisher, "a", "meanwhile")
        while not open_publisher.has_subscribers(1, timeout_ms=20):
            assert subscriber.receive(0.02) is None  # it subscribes again while it receives
        send_state(open_publisher, "a", "after")
        received = subscriber.receive(WAIT_S)
    assert (received.message.reason, received.message.seq, received.missed) == ("after", 3, 1)
    assert received.message.epoch == before.epoch


@pytest.mark.slow
def test_rebind_where_the_address_was_taken() -> None:
    """Should another program have taken the address, that is an error, and a later try may succeed."""
    with zmq.Context() as context, context.socket(zmq.REP) as thief:
        publisher = Publisher("tcp://127.0.0.1:*", device="edge")
        publisher._listener._close_socket(linger_ms=0)  # what a rebind does at first
        while True:
            with suppress(zmq.ZMQError):
                thief.bind(publisher.endpoint)
                break
        with pytest.raises(AddressUnavailable, match=r"in use.*another events\.bind"):
            publisher.rebind()
        send_state(publisher, "a", "to nobody")
        thief.unbind(publisher.endpoint)
        publisher.rebind()
        with Subscriber(publisher.endpoint):
            publisher.wait_subscribers(1, threading.Event())
        publisher.close()


@pytest.mark.slow
def test_connections_that_nobody_looks_at_do_not_stop_zeromq(open_publisher: Publisher) -> None:
    """Thousands come and go while nothing is published: after that a subscriber is served as ever."""
    for _ in range(CONNECTIONS):
        connect(open_publisher).close()
    with Subscriber(open_publisher.endpoint) as subscriber:
        open_publisher.wait_subscribers(1, threading.Event())
        send_state(open_publisher, "a", "hello")
        assert subscriber.receive(WAIT_S).message.reason == "hello"


@pytest.mark.slow
def test_connections_are_bounded_and_who_has_subscribed_stays(open_publisher: Publisher) -> None:
    """A peer that opens more connections than are allowed loses the oldest of them; a subscriber loses nothing."""
    with Subscriber(open_publisher.endpoint) as subscriber, ExitStack() as stack:
        open_publisher.wait_subscribers(1, threading.Event())
        silent = [stack.enter_context(connect(open_publisher)) for _ in range(MAX_CONNECTIONS + 10)]
        while open_publisher.refused["too many connections"] < 11:  # the subscriber is one, too
            open_publisher.has_subscribers(1, timeout_ms=100)
        for one in silent[:11]:
            while one.recv(100):  # ZeroMQ's greeting, and then the end
                pass
        silent[11].setblocking(False)  # noqa: FBT003 - the standard library's
        silent[11].recv(100)
        with pytest.raises(BlockingIOError):
            silent[11].recv(100)
        send_state(open_publisher, "a", "hello")
        received = subscriber.receive(WAIT_S)
    assert (received.message.reason, received.missed) == ("hello", 0)


def test_words_that_are_no_subscriptions_are_counted(open_publisher: Publisher) -> None:
    """What a subscriber says beside its subscriptions is counted, and makes it no subscriber twice."""
    with zmq.Context() as context, context.socket(zmq.XSUB) as peer:
        peer.connect(open_publisher.endpoint)
        for words in (b"\x01v1/", b"\x02v1/", b"hello", b"", b"\x00v1/"):
            peer.send(words)
        while open_publisher.refused["no subscription"] < 3:
            open_publisher.has_subscribers(1, timeout_ms=100)
        assert open_publisher.refused == {"no subscription": 3}


def test_context_that_is_shared_stays() -> None:
    """In a context of somebody else each socket is guarded before it is bound, and closing leaves the context."""
    with zmq.Context() as context:
        guarded: list[bytes] = []
        publisher = Publisher(
            "tcp://127.0.0.1:*",
            device="edge",
            context=context,
            guard=lambda one: guarded.append(one.get(zmq.LAST_ENDPOINT)),
        )
        publisher.rebind()
        publisher.close()
        assert len(guarded) >= 2
        assert set(guarded) == {UNBOUND}
        assert not context.closed
