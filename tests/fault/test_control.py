"""Requests over a real socket: good ones, bad ones, and those that nobody answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
import zmq

from edge_config.control import MAX_REQUEST_BYTES, SCHEMA, Reload, Status
from edge_config.errors import AddressUnavailable
from runtime.control import MAX_WAITING, Asked, Control

WAIT_S = 10.0
"""For a reply of this machine: more means that there is none."""


def descriptors_open() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


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

    def close(self) -> None:
        self._context.destroy(linger=0)


@pytest.fixture
def inbox() -> SimpleQueue[Asked]:
    """Give the inbox of a main loop."""
    return SimpleQueue()


@pytest.fixture
def control(inbox: SimpleQueue[Asked]) -> Iterator[Control]:
    """Give a socket that hands requests to the inbox."""
    control = Control("tcp://127.0.0.1:*", inbox.put)
    yield control
    control.close()


@pytest.fixture
def client(control: Control) -> Iterator[Client]:
    """Give a client that waits for each reply, as REQ does."""
    with closing(Client(control.endpoint)) as client:
        yield client


@pytest.fixture
def busy_client(control: Control) -> Iterator[Client]:
    """Give a client that asks without waiting, as DEALER may."""
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
        (b"\xff\xfe", "not a request that is understood"),
        (b"[" * 20000, "not a request that is understood"),
        (b"[]", "Expected `object`"),
        (b'{"request": "status"}', "missing required field `schema`"),
        (b'{"schema": "patchedge.control.v9", "request": "status"}', "unknown schema `patchedge.control.v9`"),
        (b'{"schema": "patchedge.control.v1"}', "missing required field `request`"),
        (b'{"schema": "patchedge.control.v1", "request": "explode"}', "known here: status, reload"),
        (b'{"schema": "patchedge.control.v1", "request": "reload", "cameras": "top"}', "unknown field `cameras`"),
        (b'{"schema": "patchedge.control.v1", "request": "reload", "path": ""}', "$.path"),
        (b'{"schema": "patchedge.control.v1", "request": "reload", "path": 1}', "$.path"),
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


@pytest.mark.parametrize(("parts", "said"), [((b"{}", b"{}"), "2 parts"), ((b"",), "0 parts"), ((b"", b"", b""), "2")])
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
