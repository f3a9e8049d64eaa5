"""Requests over a real socket: good ones, bad ones, and those that nobody answers."""

from __future__ import annotations

import json
import resource
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import pytest
import zmq
from structlog.testing import capture_logs

from edge_config.errors import AddressUnavailable
from edge_config.wire.inspect import MAX_PICTURE_PART_BYTES
from edge_config.wire.requests import MAX_REQUEST_BYTES, SCHEMA, Reload, Status
from runtime.events import Asked
from runtime.messaging.control_socket import MAX_WAITING, MAX_WAITING_ALL, Control
from runtime.messaging.rate_limit import Rates
from runtime.process.token_bucket import Rate

BIG = b"x" * (1 << 20)
KEPT_MB = 64
"""Of replies to one that does not read: 32 of 1 MiB, and as much again on their way and in the reader."""

STATUS = json.dumps({"schema": SCHEMA, "request": "status"}).encode()
INSPECT = {"request": "inspect", "id": "7", "camera": "top", "height": 2, "width": 3}

WAIT_S = 10.0
"""For a reply of this machine: more means that there is none."""

RETRY_S = 0.2
"""Between two requests, until one comes through."""


def descriptors_open() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def megabytes() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / (1 << 20)


class Client:
    """Asks as a user's program does."""

    def __init__(self, endpoint: str, kind: int = zmq.REQ) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(kind)
        self._socket.connect(endpoint)

    def send(self, *parts: bytes) -> None:
        self._socket.send_multipart(parts)

    def ask(self, **fields: Any) -> None:
        self.send(json.dumps({"schema": SCHEMA, **fields}).encode())

    def receive(self) -> dict[str, Any]:
        assert self._socket.poll(WAIT_S * 1000), "no reply"
        reply = json.loads(self._socket.recv_multipart()[-1])
        assert reply["schema"] == SCHEMA
        return reply

    def receive_parts(self) -> list[bytes]:
        assert self._socket.poll(WAIT_S * 1000), "no reply"
        return self._socket.recv_multipart()

    def close(self) -> None:
        self._context.destroy(linger=0)


@pytest.fixture
def inbox() -> SimpleQueue[Asked]:
    """Return the inbox of a main loop."""
    return SimpleQueue()


@pytest.fixture
def control(inbox: SimpleQueue[Asked]) -> Iterator[Control]:
    """Yield a socket that hands requests to the inbox."""
    control = Control("tcp://127.0.0.1:*", inbox.put)
    yield control
    control.close()


@pytest.fixture
def client(control: Control) -> Iterator[Client]:
    """Yield a client that waits for each reply, as REQ does."""
    with closing(Client(control.endpoint)) as client:
        yield client


@pytest.fixture
def busy_client(control: Control) -> Iterator[Client]:
    """Yield a client that asks without waiting, as DEALER may."""
    with closing(Client(control.endpoint, zmq.DEALER)) as client:
        yield client


def test_request_reaches_the_main_loop_and_its_answer_the_client(
    control: Control, inbox: SimpleQueue[Asked], client: Client
) -> None:
    """A request is handed on as its type, and what the main loop says comes back, with the id."""
    client.ask(request="status", id="a1")
    asked = inbox.get(timeout=WAIT_S)
    assert asked.request == Status(id="a1")
    control.reply(asked, {"cameras": {"top": "live"}})
    assert client.receive() == {"schema": SCHEMA, "id": "a1", "ok": True, "reply": {"cameras": {"top": "live"}}}


def test_refusal_of_the_main_loop_is_told(control: Control, inbox: SimpleQueue[Asked], client: Client) -> None:
    """A reload that fails comes back as one line."""
    client.ask(request="reload", camera="top", path="/new.bundle")
    asked = inbox.get(timeout=WAIT_S)
    assert asked.request == Reload(camera="top", path="/new.bundle")
    control.refuse(asked, "/new.bundle: no bundle here")
    assert client.receive() == {"schema": SCHEMA, "id": "", "ok": False, "error": "/new.bundle: no bundle here"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "truncated"),
        (b"reload", "malformed"),
        (b"\xff\xfe", "invalid request"),
        (b"[" * 20000, "invalid request"),
        (b"[]", "Expected `object`"),
        (b'{"request": "status"}', "missing required field `schema`"),
        (b'{"schema": "patchedge.control.v9", "request": "status"}', "unknown schema `patchedge.control.v9`"),
        (b'{"schema": "patchedge.control.v1"}', "missing required field `request`"),
        (b'{"schema": "patchedge.control.v1", "request": "explode"}', "known here: status, reload"),
        (b'{"schema": "patchedge.control.v1", "request": "reload", "cameras": "top"}', "unknown field `cameras`"),
        (b'{"schema": "patchedge.control.v1", "request": "reload", "path": ""}', "$.path"),
        (b'{"schema": "patchedge.control.v1", "request": "reload", "path": 1}', "$.path"),
        (b'{"schema": "patchedge.control.v1", "request": "status", "x": 1}', "it has no fields of its own"),
        (
            b'{"schema": "patchedge.control.v1", "request": "ack"}',
            "its fields are subscriber, alert_id, epoch (optional), ",
        ),
        (b'"' + b"x" * MAX_REQUEST_BYTES, f"a request of {MAX_REQUEST_BYTES + 1} bytes"),
    ],
)
def test_bad_request_gets_one_clear_reply(client: Client, inbox: SimpleQueue[Asked], body: bytes, said: str) -> None:
    """What is no request is refused in one line that says why, and never reaches the main loop."""
    client.send(body)
    reply = client.receive()
    assert reply["ok"] is False
    assert said in reply["error"]
    assert "\n" not in reply["error"]
    assert inbox.empty()
    client.ask(request="status")
    assert inbox.get(timeout=WAIT_S).request == Status()


def test_bad_request_keeps_its_id(busy_client: Client) -> None:
    """The refusal of a bad request carries its id, if that can be read."""
    busy_client.ask(request="explode", id="x7")
    assert busy_client.receive()["id"] == "x7"


@pytest.mark.parametrize(
    ("parts", "said"),
    [((STATUS, b"{}"), "2 parts"), ((STATUS, b"a", b"b"), "3 parts"), ((b"",), "0 parts"), ((b"", b"", b""), "")],
)
def test_request_of_several_parts_is_refused(busy_client: Client, parts: tuple[bytes, ...], said: str) -> None:
    """A request is one part, with or without the empty one that REQ puts before it."""
    busy_client.send(*parts)
    assert said in busy_client.receive()["error"]


def test_answers_find_their_requests_in_any_order(
    control: Control, inbox: SimpleQueue[Asked], client: Client, busy_client: Client
) -> None:
    """Several clients ask at once; each gets the answer to its own request, whatever the order."""
    busy_client.ask(request="status", id="1")
    busy_client.ask(request="reload", id="2")
    client.ask(request="status", id="3")
    asked = [inbox.get(timeout=WAIT_S) for _ in range(3)]
    for one in sorted(asked, key=lambda one: one.request.id, reverse=True):
        control.reply(one, one.request.id * 2)
    assert [busy_client.receive()["reply"] for _ in range(2)] == ["22", "11"]
    assert client.receive()["reply"] == "33"


def test_flood_is_refused_and_over_when_it_is_answered(
    control: Control, inbox: SimpleQueue[Asked], busy_client: Client
) -> None:
    """No more requests wait than the bound; answered ones make room."""
    for _ in range(MAX_WAITING + 1):
        busy_client.ask(request="status")
    assert "requests wait" in busy_client.receive()["error"]
    for _ in range(MAX_WAITING):
        control.reply(inbox.get(timeout=WAIT_S), None)
        assert busy_client.receive()["ok"]
    busy_client.ask(request="status")
    control.reply(inbox.get(timeout=WAIT_S), None)
    assert busy_client.receive()["ok"]


@pytest.mark.slow
def test_request_that_nobody_answers_is_refused_in_time(inbox: SimpleQueue[Asked]) -> None:
    """A main loop that never answers does not leave the client waiting; its late answer is dropped."""
    with (
        closing(Control("tcp://127.0.0.1:*", inbox.put, answer_s=0.1)) as control,
        closing(Client(control.endpoint)) as client,
    ):
        client.ask(request="status")
        assert client.receive()["error"] == "no answer within 0.1 s"
        control.reply(inbox.get(timeout=WAIT_S), "late")
        client.ask(request="status", id="next")
        control.reply(inbox.get(timeout=WAIT_S), "in time")
        assert client.receive()["reply"] == "in time"


def test_flood_of_bytes_is_thrown_out(control: Control, inbox: SimpleQueue[Asked], client: Client) -> None:
    """A message far beyond the bound is never taken in, and others get their answers."""
    with closing(Client(control.endpoint, zmq.DEALER)) as flood:
        flood.send(b"x" * (4 << 20))
        client.ask(request="status")
        control.reply(inbox.get(timeout=WAIT_S), "here")
        assert client.receive()["reply"] == "here"
    assert inbox.empty()


def test_client_that_has_left_harms_nobody(control: Control, inbox: SimpleQueue[Asked], client: Client) -> None:
    """An answer for a client that has gone is dropped, and others get theirs."""
    gone = Client(control.endpoint)
    gone.ask(request="status", id="gone")
    asked = inbox.get(timeout=WAIT_S)
    gone.close()
    control.reply(asked, None)
    client.ask(request="status")
    control.reply(inbox.get(timeout=WAIT_S), "here")
    assert client.receive()["reply"] == "here"


def test_close_refuses_who_still_waits_and_leaves_nothing(inbox: SimpleQueue[Asked]) -> None:
    """At the end the waiting are told, the address is free at once, and no thread or descriptor is left."""
    threads, descriptors = threading.active_count(), descriptors_open()
    control = Control("tcp://127.0.0.1:*", inbox.put)
    with closing(Client(control.endpoint)) as client:
        client.ask(request="status")
        asked = inbox.get(timeout=WAIT_S)
        control.close()
        control.close()
        control.reply(asked, "too late")
        assert client.receive()["error"] == "the device is stopping"
        Control(control.endpoint, inbox.put).close()
    assert threading.active_count() == threads
    assert descriptors_open() == descriptors


def test_address_that_is_taken(control: Control, inbox: SimpleQueue[Asked]) -> None:
    """An address in use is refused in one line that names it and its key."""
    with pytest.raises(AddressUnavailable, match=f"^{control.endpoint}: cannot be bound .* another control.bind"):
        Control(control.endpoint, inbox.put)


def test_address_in_a_folder_that_is_not_there(tmp_path: Path, inbox: SimpleQueue[Asked]) -> None:
    """The remedy is the folder, and not to stop what uses the address."""
    with pytest.raises(
        AddressUnavailable, match=r"cannot be bound .*; create its folder, or set another control\.bind"
    ):
        Control(f"ipc://{tmp_path}/none/control", inbox.put)


def test_parts_of_a_reply_are_further_frames(control: Control, inbox: SimpleQueue[Asked], client: Client) -> None:
    """A reply with binary parts arrives as one message: JSON, then the parts."""
    client.ask(request="status", id="p")
    control.reply(inbox.get(timeout=WAIT_S), [1, 2], [b"\xff\xd8", b"", b"\x00" * 1000])
    body, *parts = client.receive_parts()
    assert json.loads(body)["reply"] == [1, 2]
    assert parts == [b"\xff\xd8", b"", b"\x00" * 1000]


def test_answers_of_many_threads_and_the_end(inbox: SimpleQueue[Asked]) -> None:
    """Whatever threads answer while the socket is closed, none fails, and nothing is written to what is closed."""
    for _ in range(20):
        control = Control("tcp://127.0.0.1:*", inbox.put)
        going, failed = threading.Event(), []

        def answer(control: Control = control, going: threading.Event = going, failed: list[Any] = failed) -> None:
            try:
                for number in range(300):
                    control.reply(Asked(number, Status()), None)
                    control.refuse(Asked(number, Status()), "no")
                    going.set()
            except Exception as error:  # noqa: BLE001 - told by the main thread
                failed.append(error)

        threads = [threading.Thread(target=answer) for _ in range(3)]
        for thread in threads:
            thread.start()
        assert going.wait(WAIT_S)
        control.close()
        for thread in threads:
            thread.join(WAIT_S)
        assert failed == []


def test_peer_that_asks_too_often_is_told_when_to_come_back(inbox: SimpleQueue[Asked]) -> None:
    """Over its rate a peer gets one refusal for each request, which says when; others are answered meanwhile."""
    rates = Rates(Rate(0.1, 3), Rate(1000, 1000))
    with (
        closing(Control("tcp://127.0.0.1:*", inbox.put, rates=rates)) as control,
        closing(Client(control.endpoint, zmq.DEALER)) as often,
        closing(Client(control.endpoint)) as other,
    ):
        for number in range(5):
            often.ask(request="status", id=str(number))
        told = [often.receive() for _ in range(2)]
        assert [one["id"] for one in told] == ["3", "4"]
        for one in told:
            in_ms = int(one["error"].removeprefix("too many requests, retry in ").removesuffix(" ms"))
            assert 0 < in_ms <= 10_000
        for _ in range(3):
            control.reply(inbox.get(timeout=WAIT_S), None)
            assert often.receive()["ok"]
        other.ask(request="status", id="other")
        control.reply(inbox.get(timeout=WAIT_S), None)
        assert other.receive()["id"] == "other"
        assert control.refused == {"rate": 2}


def test_peer_that_goes_on_hears_nothing_more(inbox: SimpleQueue[Asked]) -> None:
    """A client that asks on and on is not even refused: its requests are counted, and others are answered."""
    rates = Rates(Rate(0.001, 3), Rate(1000, 1000))
    with (
        closing(Control("tcp://127.0.0.1:*", inbox.put, rates=rates)) as control,
        closing(Client(control.endpoint, zmq.DEALER)) as flood,
    ):
        for _ in range(100):
            flood.send(b"nothing")
        while control.refused["malformed"] + control.refused["rate"] < 100:
            with closing(Client(control.endpoint)) as other:
                other.ask(request="status")
                control.reply(inbox.get(timeout=WAIT_S), None)
                assert other.receive()["ok"]
        heard = [flood.receive()["error"] for _ in range(6)]
        assert [("too many" in one) for one in heard] == [False] * 3 + [True] * 3
        assert not flood._socket.poll(0)


def test_one_peer_cannot_take_all_places(control: Control, inbox: SimpleQueue[Asked], busy_client: Client) -> None:
    """A peer whose requests are not answered yet does not keep others from theirs."""
    for _ in range(2 * MAX_WAITING):
        busy_client.ask(request="reload")
    for _ in range(MAX_WAITING):
        assert "16 requests wait" in busy_client.receive()["error"]
    with closing(Client(control.endpoint)) as other:
        other.ask(request="status", id="other")
        asked = [inbox.get(timeout=WAIT_S) for _ in range(MAX_WAITING + 1)]
        control.reply(asked[-1], None)
        assert other.receive()["id"] == "other"


def test_all_places_are_bounded(control: Control, inbox: SimpleQueue[Asked]) -> None:
    """Many peers together cannot have more requests wait than the bound."""
    peers = [Client(control.endpoint, zmq.DEALER) for _ in range(MAX_WAITING_ALL // MAX_WAITING)]
    for peer in peers:
        for _ in range(MAX_WAITING):
            peer.ask(request="status")
    for _ in range(MAX_WAITING_ALL):
        inbox.get(timeout=WAIT_S)
    with closing(Client(control.endpoint)) as late:
        late.ask(request="status")
        assert f"{MAX_WAITING_ALL} requests wait" in late.receive()["error"]
    for peer in peers:
        peer.close()


def test_peer_that_does_not_read_costs_little(control: Control, inbox: SimpleQueue[Asked], client: Client) -> None:
    """Replies to somebody who does not read are dropped beyond a bound, and others get theirs."""
    before = megabytes()
    with closing(Client(control.endpoint, zmq.DEALER)) as deaf:
        deaf._socket.set(zmq.RCVHWM, 1)
        for _ in range(200):
            deaf.ask(request="status")
            control.reply(inbox.get(timeout=WAIT_S), None, [BIG])
        client.ask(request="status", id="other")
        control.reply(inbox.get(timeout=WAIT_S), None)
        assert client.receive()["id"] == "other"
        assert megabytes() - before < 32 + KEPT_MB


def test_request_that_breaks_what_takes_it_is_logged_and_the_next_one_taken() -> None:
    """A mistake of ours in handing on a request costs that request only."""
    inbox: SimpleQueue[Asked] = SimpleQueue()

    def tell(asked: Asked) -> None:
        if asked.request.id == "bad":
            raise ArithmeticError
        inbox.put(asked)

    with (
        capture_logs() as told,
        closing(Control("tcp://127.0.0.1:*", tell)) as control,
        closing(Client(control.endpoint, zmq.DEALER)) as client,
    ):
        client.ask(request="status", id="bad")
        client.ask(request="status", id="good")
        control.reply(inbox.get(timeout=WAIT_S), None)
        assert client.receive()["id"] == "good"
        assert control.refused == {"internal": 1}
    assert [line["event"] for line in told] == ["request failed"]


def test_rebind_cuts_off_and_takes_requests_again(
    control: Control, inbox: SimpleQueue[Asked], busy_client: Client
) -> None:
    """After a rebind clients come back by themselves, at the same address; what was asked before is not answered."""
    endpoint = control.endpoint
    busy_client.ask(request="status", id="before")
    before = inbox.get(timeout=WAIT_S)
    control.rebind()
    with closing(Client(endpoint, zmq.DEALER)) as other:
        while True:  # what is sent while the old socket closes is lost
            other.ask(request="status", id="after")
            if other._socket.poll(0) or not inbox.empty():
                break
        control.reply(inbox.get(timeout=WAIT_S), None)
        assert other.receive()["id"] == "after"
        control.reply(before, "too late")
    busy_client.ask(request="status", id="again")
    while (asked := inbox.get(timeout=WAIT_S)).request.id != "again":
        pass
    control.reply(asked, None)
    assert busy_client.receive()["id"] == "again"


def test_context_that_is_shared_stays(inbox: SimpleQueue[Asked]) -> None:
    """In a context of somebody else a socket is guarded before it is bound, and closing it leaves the context."""
    with zmq.Context() as context:
        guarded: list[bytes] = []
        control = Control(
            "tcp://127.0.0.1:*",
            inbox.put,
            context=context,
            guard=lambda one: guarded.append(one.get(zmq.LAST_ENDPOINT)),
        )
        control.close()
        assert guarded == [b""]
        assert not context.closed
        with pytest.raises(AddressUnavailable):
            Control("tcp://192.0.2.1:5557", inbox.put, context=context)
        assert not context.closed


@pytest.mark.parametrize("kind", [zmq.REQ, zmq.DEALER])
def test_part_of_a_picture_reaches_the_main_loop(control: Control, inbox: SimpleQueue[Asked], kind: int) -> None:
    """The second frame of a request that has one is handed on with it; without it the request is refused."""
    with closing(Client(control.endpoint, kind)) as client:
        body = json.dumps({"schema": SCHEMA, **INSPECT}).encode()
        client.send(body, b"pixels")
        asked = inbox.get(timeout=WAIT_S)
        assert (asked.request.id, asked.part) == ("7", b"pixels")
        control.reply(asked, {"received": 6})
        assert client.receive()["reply"] == {"received": 6}
        client.send(body)
        assert "1 parts" in client.receive()["error"]


def test_largest_part_is_taken_and_a_larger_one_cuts_off(control: Control, inbox: SimpleQueue[Asked]) -> None:
    """A part of the largest size comes through; one byte more, and ZeroMQ disconnects before it is in memory."""
    with closing(Client(control.endpoint, zmq.DEALER)) as client:
        body = json.dumps({"schema": SCHEMA, **INSPECT}).encode()
        client.send(body, bytes(MAX_PICTURE_PART_BYTES))
        assert len(inbox.get(timeout=WAIT_S).part) == MAX_PICTURE_PART_BYTES
        client.send(body, bytes(MAX_PICTURE_PART_BYTES + 1))
        came: Asked | None = None
        while came is None:  # what is sent before the connection is lost is lost with it
            client.send(STATUS)
            with suppress(Empty):
                came = inbox.get(timeout=RETRY_S)
        assert came.request == Status()
