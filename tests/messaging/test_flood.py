"""Floods over real sockets: a device in a process of its own stays as it was, and goes on."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest
import zmq

from edge_config.wire.requests import REQUESTS, SCHEMA
from runtime.messaging.listener import MAX_CONNECTIONS
from runtime.security import keys
from runtime.security.keys import Keys
from tests.support.keyring import Client

pytestmark = pytest.mark.slow

SEED = 20260731
REQUESTS_BAD = 10_000
WARM_UP = 3_000
"""So many before what the device uses is looked at: threads, buffers and caches come with the first ones."""

PEERS = 5
AT_ONCE = 50
"""Requests that a peer sends before it reads what comes back."""

MORE_MB = 12.0
"""Memory that the C library may keep of 10,000 requests of up to 200 KB. One that is never freed in ten is more."""

WAIT_S = 30.0
"""For what is sure to come, on a machine that is flooded."""

CONNECTIONS = 2 * MAX_CONNECTIONS
GREETING = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01%b" + b"\0" * 32
"""Of ZMTP 3.1, with a mechanism of 20 bytes."""


class Attacked:
    """The process of the device, seen from outside."""

    def __init__(self, folder: Path, *, encrypted: bool) -> None:
        command = [sys.executable, "-m", "tests.support.fakes.attacked", str(folder), "keys" if encrypted else "none"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        while not (line := self._process.stdout.readline()).startswith("{"):  # the log comes before it
            assert line
        told = json.loads(line)
        self.events, self.control, self.epoch = told["events"], told["control"], told["epoch"]
        self.keys: Keys | None = None
        if encrypted:
            public, secret = keys.make(str(folder / "laptop"))
            (folder / "clients" / public.name).write_bytes(public.read_bytes())
            self.keys = Keys(secret, folder / "device.key")

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self._process.pid}/fd").iterdir()))

    def threads(self) -> int:
        return len(list(Path(f"/proc/{self._process.pid}/task").iterdir()))

    def megabytes(self) -> float:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def refused(self) -> dict[str, Any]:
        """Ask a good request, as often as it takes, and give what was refused so far."""
        with closing(Client(zmq.REQ, self.control, self.keys)) as client:
            for _ in range(100):
                client.ask()
                assert client.socket.poll(WAIT_S * 1000), "a good request is not answered"
                reply = json.loads(client.socket.recv_multipart()[0])
                if reply["ok"]:
                    return reply["reply"]
                assert "too many requests" in reply["error"]
        raise AssertionError("a good request is refused again and again")

    def next_seq(self) -> int:
        """Return `seq` of a message that is published now."""
        with closing(Client(zmq.SUB, self.events, self.keys)) as client:
            assert client.socket.poll(WAIT_S * 1000), "nothing is published"
            message = json.loads(client.socket.recv_multipart()[1])
        assert message["epoch"] == self.epoch
        return message["seq"]

    def rest(self, descriptors: int) -> None:
        """Wait until no more descriptors are open than that."""
        until_s = time.monotonic() + WAIT_S
        while self.descriptors() > descriptors:
            assert time.monotonic() < until_s, f"{self.descriptors()} descriptors are open, {descriptors} were"
            self.next_seq()

    def close(self) -> None:
        self._process.communicate("", timeout=WAIT_S)
        assert self._process.returncode == 0


@pytest.fixture(params=["keys", "none"])
def attacked(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Attacked]:
    """Yield a device that encrypts, or does not."""
    with closing(Attacked(tmp_path, encrypted=request.param == "keys")) as attacked:
        yield attacked


def bad_request(chance: random.Random) -> list[bytes]:
    """Make the parts of something that is no request."""
    good = json.dumps({"schema": SCHEMA, "request": chance.choice(REQUESTS), "id": "x" * chance.randrange(9)}).encode()
    wrong: Any = chance.choice([1, 1e308, None, True, [], {}, [[1]], {"a": {}}, "", "v1/alert/edge/press/"])
    kinds = [
        lambda: [chance.randbytes(chance.randrange(300))],
        lambda: [chance.randbytes(chance.choice([1 << 12, 1 << 16, (1 << 16) + 1]))],
        lambda: [chance.choice([b"[", b'{"a":', b'[{"b":']) * chance.randrange(10_000)],
        lambda: [good[:-1] + b', "x": ' + b"[" * chance.randrange(60_000)],
        lambda: [chance.randbytes(chance.randrange(9)) for _ in range(chance.randrange(3, 300))],
        lambda: [b"", b"", *[good] * chance.randrange(1, 9)],
        lambda: [good[: chance.randrange(len(good))]],
        lambda: [good[:-1] + b', "y": ' + json.dumps(wrong).encode() + b"}"],
        lambda: [json.dumps({"schema": wrong, "request": wrong, "id": wrong}).encode()],
        lambda: [json.dumps({"schema": "patchedge.score.v1", "device": "edge", "camera": "press", "seq": 1}).encode()],
        lambda: [json.dumps(wrong).encode()],
        lambda: [good[:-1] + b', "id": ' + b"9" * chance.randrange(1, 60_000) + b"}"],
        lambda: [good[:-1] + b', "limit": NaN}'],
        lambda: [good.replace(b"request", b"re\xffquest")],
        list,
    ]
    return chance.choice(kinds)() or [b""]


def flood_control(attacked: Attacked, times: int, chance: random.Random) -> None:
    """Send so many bad requests from several peers, which read what comes back, and some parts that are huge."""
    with ExitStack() as stack:
        peers = [
            stack.enter_context(closing(Client(zmq.DEALER, attacked.control, attacked.keys))) for _ in range(PEERS)
        ]
        for peer in peers:
            peer.wait_for(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        for number in range(times):
            peer = peers[number // AT_ONCE % PEERS]
            peer.socket.send_multipart(bad_request(chance))
            if number % AT_ONCE == AT_ONCE - 1:
                while peer.socket.poll(0):
                    assert not json.loads(peer.socket.recv_multipart()[-1])["ok"]
        for peer in peers:
            peer.socket.send(b"x" * (4 << 20))  # it is thrown out
            peer.wait_for(zmq.EVENT_DISCONNECTED)


def flood_events(attacked: Attacked, times: int, chance: random.Random) -> None:
    """Send what nobody should send to a publisher: random bytes, and subscriptions to nonsense without end."""
    with closing(Client(zmq.XSUB, attacked.events, attacked.keys)) as peer:
        peer.wait_for(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        for _ in range(times):
            peer.socket.send(chance.choice([b"\1", b"\1", b"\0", b""]) + chance.randbytes(chance.randrange(300)))
        peer.wait_for(zmq.EVENT_DISCONNECTED)


def flood_tcp(endpoint: str, times: int, chance: random.Random) -> None:
    """Open so many connections at once and say something that is not the protocol, or nothing."""
    host, port = endpoint.removeprefix("tcp://").split(":")
    mechanisms = [GREETING % name.ljust(20, b"\0") for name in (b"NULL", b"CURVE", b"PLAIN", b"GSSAPI", b"?" * 20)]
    with ExitStack() as stack:
        for _ in range(times):
            connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=WAIT_S))
            start = chance.choice([b"", b"GET / HTTP/1.1\r\n\r\n", GREETING[:9], *mechanisms])
            command = bytes([4, chance.randrange(256)]) + chance.choice([b"\x05HELLO", b"\x05READY", b"\x08INITIATE"])
            with suppress(OSError):  # it may have been cut off
                connection.sendall(start + chance.choice([b"", command]) + chance.randbytes(chance.randrange(2000)))


def test_ten_thousand_bad_requests_change_nothing_but_a_counter(attacked: Attacked) -> None:
    """After the flood a good request is answered, and descriptors, threads and memory are as before."""
    chance = random.Random(SEED)  # noqa: S311 - garbage, no secret
    flood_control(attacked, WARM_UP, chance)
    before, seq = attacked.refused()["control"], attacked.next_seq()
    descriptors, threads, megabytes = attacked.descriptors(), attacked.threads(), attacked.megabytes()
    flood_control(attacked, REQUESTS_BAD, chance)
    after = attacked.refused()["control"]
    attacked.rest(descriptors)
    counted = sum(after.get(reason, 0) - before.get(reason, 0) for reason in ("malformed", "rate"))
    assert counted >= REQUESTS_BAD - PEERS * AT_ONCE  # what was on its way when a peer left may be lost
    assert set(after) <= {"malformed", "rate", "handshake"}  # a peer may leave while it connects again
    assert attacked.next_seq() > seq
    assert attacked.threads() == threads
    assert attacked.megabytes() - megabytes < MORE_MB


def test_subscriptions_without_end_change_nothing_but_a_counter(attacked: Attacked) -> None:
    """A peer that sends a publisher random bytes and subscribes to nonsense is cut off; what it cost is given back."""
    chance = random.Random(SEED)  # noqa: S311 - garbage, no secret
    flood_events(attacked, WARM_UP, chance)
    before, seq = attacked.refused()["events"], attacked.next_seq()
    descriptors, threads, megabytes = attacked.descriptors(), attacked.threads(), attacked.megabytes()
    flood_events(attacked, REQUESTS_BAD, chance)
    attacked.rest(descriptors)
    after = attacked.refused()["events"]
    assert after["too much said"] > before["too much said"]
    assert after["no subscription"] > before["no subscription"]
    assert attacked.next_seq() > seq
    assert attacked.threads() == threads
    assert attacked.megabytes() - megabytes < MORE_MB


@pytest.mark.parametrize("port", ["events", "control"])
def test_garbage_over_tcp_changes_nothing_but_a_counter(attacked: Attacked, port: str) -> None:
    """More connections than are allowed, that do not speak the protocol, keep nobody out and leave nothing behind."""
    chance = random.Random(SEED)  # noqa: S311 - garbage, no secret
    flood_tcp(getattr(attacked, port), CONNECTIONS, chance)
    attacked.refused()
    seq, descriptors, threads = attacked.next_seq(), attacked.descriptors(), attacked.threads()
    megabytes = attacked.megabytes()
    for _ in range(3):
        flood_tcp(getattr(attacked, port), CONNECTIONS, chance)
    attacked.rest(descriptors)
    assert attacked.refused()[port]["handshake"] > 0
    assert attacked.next_seq() > seq
    assert attacked.threads() == threads
    assert attacked.megabytes() - megabytes < MORE_MB
