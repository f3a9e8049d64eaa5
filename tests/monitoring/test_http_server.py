"""The pages for Prometheus and orchestrators, and clients that are slow, greedy or rude."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest

from edge_config.errors import AddressUnavailable
from runtime.monitoring.health import Health
from runtime.monitoring.http_server import MAX_CLIENTS, MAX_REQUEST_BYTES, HttpServer, Page
from runtime.monitoring.metrics import CONTENT_TYPE, Metrics

WAIT_S = 10.0
"""For an answer of this machine: more means that there is none."""

BIG = b"x" * (8 << 20)
"""More than any socket buffer holds."""


@pytest.fixture
def web() -> Iterator[HttpServer]:
    """Yield a server with a small page, a big one and a broken one."""
    pages = {"/small": lambda: Page.text("yes"), "/big": lambda: Page(BIG), "/broken": lambda: 1 // 0}
    web = HttpServer("127.0.0.1:0", pages, patience_s=WAIT_S)
    yield web
    web.close()


def descriptors_open() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def connect(web: HttpServer) -> socket.socket:
    host, _, port = web.address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=WAIT_S)


def get(web: HttpServer, path: str, method: str = "GET") -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection(web.address, timeout=WAIT_S)) as connection:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read()


def talk(web: HttpServer, sent: bytes) -> bytes:
    with connect(web) as client:
        client.sendall(sent)
        return b"".join(iter(lambda: client.recv(1 << 16), b""))


def test_pages_are_found_by_their_path(web: HttpServer) -> None:
    """A page is given for its path, with and without a query; another path names those that exist."""
    assert get(web, "/small") == (200, b"yes\n")
    assert get(web, "/small?x=1") == (200, b"yes\n")
    assert get(web, "/big") == (200, BIG)
    assert get(web, "/") == (404, b"no such page; pages: /small /big /broken\n")


def test_head_gives_the_length_without_the_page(web: HttpServer) -> None:
    """HEAD is answered as GET, without the body."""
    answer = talk(web, b"HEAD /small HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"Content-Length: 4\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"POST /small HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 405),
        (b"\x16\x03\x01 hello\r\n\r\n", 400),
        (b"\xff\xfe \xff HTTP/1.1\r\n\r\n", 405),
        (b"GET /\xff\xfe HTTP/1.1\r\n\r\n", 404),
        (b"GET /small\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"GET /small HTTP/1.1\r\nX: " + b"y" * 10 * MAX_REQUEST_BYTES, 431),
        (b"GET /small HTTP/1.0\n\n", 200),
    ],
)
def test_bad_request_gets_its_status(web: HttpServer, sent: bytes, status: int) -> None:
    """What is no proper request is answered by what is wrong with it, and the next client is served."""
    assert talk(web, sent).startswith(b"HTTP/1.1 %d " % status)
    assert get(web, "/small")[0] == 200


def test_broken_page_is_an_answer_too(web: HttpServer) -> None:
    """A page that cannot be made is 500, and others are still served."""
    assert get(web, "/broken")[0] == 500
    assert get(web, "/small")[0] == 200


def test_clients_that_say_nothing_hold_nobody_up(web: HttpServer) -> None:
    """More silent, half-spoken and unread connections than the server keeps do not keep an honest one away."""
    with ExitStack() as stack:
        for number in range(3 * MAX_CLIENTS):
            client = stack.enter_context(connect(web))
            client.sendall((b"", b"GET /sm", b"GET /big HTTP/1.1\r\n\r\n")[number % 3])
        assert get(web, "/small") == (200, b"yes\n")


def test_slow_client_is_cut_off() -> None:
    """A client that has not asked within the time is cut off, and nothing of it is left."""
    with closing(HttpServer("127.0.0.1:0", {}, patience_s=0.2)) as web, connect(web) as client:
        client.sendall(b"GET")
        assert client.recv(1) == b""


def test_client_that_does_not_read_is_cut_off() -> None:
    """A client that does not take its page within the time is cut off in the middle of it."""
    with ExitStack() as stack:
        web = stack.enter_context(closing(HttpServer("127.0.0.1:0", {"/big": lambda: Page(BIG)}, patience_s=0.2)))
        others = set(threading.enumerate())
        client = stack.enter_context(connect(web))
        client.sendall(b"GET /big HTTP/1.1\r\n\r\n")
        received = len(client.recv(1))
        for thread in set(threading.enumerate()) - others:  # that of this client: it gives up
            thread.join(WAIT_S)
        with suppress(ConnectionResetError):
            while block := client.recv(1 << 16):
                received += len(block)
        assert received < len(BIG)


def test_client_that_leaves_early_is_forgotten(web: HttpServer) -> None:
    """A connection that is reset while its page is sent harms nobody."""
    for _ in range(2 * MAX_CLIENTS):
        client = connect(web)
        client.sendall(b"GET /big HTTP/1.1\r\n\r\n")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
    assert get(web, "/small")[0] == 200


def test_close_frees_everything_at_once() -> None:
    """After close, with clients connected, the address can be bound again and no thread or descriptor is left."""
    threads, descriptors = threading.active_count(), descriptors_open()
    web = HttpServer("127.0.0.1:0", {"/big": lambda: Page(BIG)})
    with connect(web) as client:
        client.sendall(b"GET /big HTTP/1.1\r\n\r\n")
        assert client.recv(1)
        web.close()
        web.close()
        HttpServer(web.address, {}).close()
    assert threading.active_count() == threads
    assert descriptors_open() == descriptors


@pytest.mark.parametrize("bind", ["203.0.113.1:9456", "no-such-host.invalid:9456"])
def test_address_of_another_machine(bind: str) -> None:
    """An address that is not of this machine is refused in one line, with its key."""
    with pytest.raises(AddressUnavailable, match=r"set another metrics\.bind"):
        HttpServer(bind, {})


def test_port_that_is_taken(web: HttpServer) -> None:
    """A port in use is refused in one line that names it."""
    with pytest.raises(AddressUnavailable, match=f"^{web.address}: cannot be bound \\(Address already in use\\);"):
        HttpServer(web.address, {})


def test_ipv6_loopback() -> None:
    """An IPv6 address is written in brackets, in settings and in what is told."""
    if not Path("/proc/net/if_inet6").exists() or "lo" not in Path("/proc/net/if_inet6").read_text():
        pytest.skip("no IPv6 here")
    with closing(HttpServer("[::1]:0", {"/small": lambda: Page.text("yes")})) as web:
        assert web.address.startswith("[::1]:")
        assert talk(web, b"GET /small HTTP/1.1\r\n\r\n").endswith(b"\r\n\r\nyes\n")


def test_pages_of_the_runtime() -> None:
    """Metrics and health are what Prometheus and an orchestrator get."""
    metrics, health = Metrics(), Health()
    metrics.captured("top", 0)
    pages = {
        "/metrics": lambda: Page(metrics.text(), CONTENT_TYPE),
        "/healthz": health.alive_page,
        "/readyz": health.ready_page,
    }
    with closing(HttpServer("127.0.0.1:0", pages)) as web:
        status, body = get(web, "/metrics")
        assert status == 200
        assert b'patchedge_frames_captured_total{camera="top"} 1.0\n' in body
        assert get(web, "/healthz")[0] == 200
        assert get(web, "/readyz")[0] == 503
