"""Connections: slow clients are disconnected, heads are bounded, and a stream ends with the right to read it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from edge_config.settings.page import parse
from runtime.page.access import bounds, slow_clients
from runtime.page.access.bounds import MAX_OF_ADDRESS, Crowd, bounded
from runtime.page.access.control import AccessControl, make_access
from runtime.page.access.guard import Guard
from runtime.page.access.identify import cookie_name
from runtime.page.refused import Refused
from runtime.page.users import manage

PASSWORD = "correct horse battery"  # noqa: S105 - of a page of the test
SOON_S = 10.0
"""Time-out of what should happen at once."""

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


async def greet(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("hello")(scope, receive, send)


@pytest.fixture
def control(tmp_path: Path) -> AccessControl:
    return make_access(parse({}), tmp_path)


@pytest.fixture
def address(control: AccessControl, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """Return where a page listens that waits half a second for a head."""
    monkeypatch.setattr(slow_clients, "HEAD_S", 0.5)
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        Guard(greet, control.rules), lifespan="off", ws="none", log_config=None, **control.server_options
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    yield listening.getsockname()
    server.should_exit = True
    thread.join()
    listening.close()


def talk(address: tuple[str, int]) -> socket.socket:
    return socket.create_connection(address, timeout=SOON_S)


def read_reply(connection: socket.socket) -> bytes:
    said = b""
    while not said.endswith(b"hello"):
        part = connection.recv(1000)
        assert part, said
        said += part
    return said


@pytest.mark.slow
@pytest.mark.parametrize("said", [b"", b"GET", GET, GET + b"X: y\r\n"])
def test_a_client_that_never_finishes_its_head_is_disconnected(address: tuple[str, int], said: bytes) -> None:
    """Whether it says nothing or a part; also after a request that was answered."""
    with talk(address) as fresh, talk(address) as used:
        used.sendall(GET + b"\r\n")
        read_reply(used)
        for connection in (fresh, used):
            connection.sendall(said)
        assert fresh.recv(1000) == b""
        if said:  # one that is silent after a reply has the longer time of keep-alive
            assert used.recv(1000) == b""


@pytest.mark.slow
def test_a_client_in_time_is_served_again_and_again(address: tuple[str, int]) -> None:
    """The time-out of heads ends with the head: a connection that is kept alive outlives it."""
    with talk(address) as client:
        for _ in range(4):
            client.sendall(GET)
            assert threading.Event().wait(0.3) is False  # less than the time-out each, more than it together
            client.sendall(b"\r\n")
            assert read_reply(client).startswith(b"HTTP/1.1 200")


@pytest.mark.slow
def test_a_head_is_bounded(address: tuple[str, int]) -> None:
    """20 kB of headers are refused."""
    with talk(address) as client:
        client.sendall(GET + b"X: " + b"y" * 20_000)
        assert client.recv(1000).startswith(b"HTTP/1.1 400")


def scope_of(cookie: str) -> Scope:
    headers = [(b"host", b"localhost"), (b"cookie", cookie.encode())]
    return {"type": "http", "method": "GET", "path": "/api/v1/events", "headers": headers, "client": ("127.0.0.1", 9)}


def test_a_stream_ends_with_the_user(tmp_path: Path) -> None:
    """The events of a user who is removed stop before the next one, and what made them is ended."""
    users = tmp_path / "users.json"
    manage.add_user(users, "anna", "viewer", lambda: PASSWORD)
    control = make_access(parse({}), tmp_path)
    ended = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
            manage.remove_user(users, "anna")
            await send({"type": "http.response.body", "body": b"data: 2\n\n", "more_body": True})
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def watched() -> list[Message]:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        session = control.log_in._sessions.begin("anna", control.identify.register().users["anna"].password)
        cookie = f"{cookie_name(encrypted=False)}={session}"
        await asyncio.wait_for(Guard(app, control.rules)(scope_of(cookie), asyncio.Event().wait, send), SOON_S)
        return sent

    sent = asyncio.run(watched())
    assert b"".join(message.get("body", b"") for message in sent) == b"data: 1\n\n"
    assert sent[-1]["more_body"] is False
    assert ended


def test_a_body_that_trickles_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole body has one time-out, however often a byte comes."""
    monkeypatch.setattr(bounds, "BODY_S", 0.2)

    async def receive() -> Message:
        await asyncio.sleep(0.05)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def read() -> None:
        request = Request(scope_of(""))
        request._receive = bounded(receive, request.headers, picture=False)
        with pytest.raises(Refused, match="try again") as error:
            await request.body()
        assert error.value.status == 408

    asyncio.run(read())


@pytest.mark.parametrize(("picture", "most"), [(False, 1_000_000), (True, 16_000_000)])
def test_a_body_without_a_size_is_bounded(picture: bool, most: int) -> None:  # noqa: FBT001
    """What comes is counted: the largest body is read whole, one byte more is refused, an endless one not read on."""
    part = b"x" * 500_000

    def read(parts: Iterator[Message]) -> int:
        async def receive() -> Message:
            return next(parts)

        async def whole() -> int:
            request = Request(scope_of(""))
            request._receive = bounded(receive, request.headers, picture=picture)
            return len(await request.body())

        return asyncio.run(whole())

    def body(size: int) -> Iterator[Message]:
        for at in range(0, size, len(part)):
            yield {"type": "http.request", "body": part[: size - at], "more_body": at + len(part) < size}

    assert read(body(most)) == most
    for size in (most + 1, 1 << 40):
        parts = body(size)
        with pytest.raises(Refused, match="too large") as error:
            read(parts)
        assert error.value.status == 413
    assert next(parts)["more_body"]  # it was not read to its end


def test_one_address_cannot_take_all_requests() -> None:
    """Beyond its share it is refused, others are not, and what is over no longer counts."""
    crowd = Crowd()
    held = [crowd.one_more("10.0.0.9") for _ in range(MAX_OF_ADDRESS)]
    for one in held:
        one.__enter__()
    with pytest.raises(Refused) as error, crowd.one_more("10.0.0.9"):
        pass
    assert error.value.status == 503
    with crowd.one_more("10.0.0.8"):
        pass
    for one in held:
        one.__exit__(None, None, None)
    with crowd.one_more("10.0.0.9"):
        pass
