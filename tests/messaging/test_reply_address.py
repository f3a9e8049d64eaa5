"""Every kind of client socket gets its answer: what stands before a request comes back before the reply."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_config.wire.requests import SCHEMA
from runtime.events import Asked
from runtime.messaging.control_socket import Control
from runtime.messaging.rate_limit import Rates
from runtime.messaging.reply_address import MAX_BYTES, MAX_FRAMES
from runtime.process.token_bucket import Rate

WAIT_MS = 10_000
"""For a reply of this machine: more means that there is none."""

REQUEST = json.dumps({"schema": SCHEMA, "request": "status", "id": "7"}).encode()
FAST = Rate(1e6, 1e6)
"""No test of envelopes is stopped by the rate."""


class Device:
    """A control socket that answers every request with `"here"`, and a context for clients."""

    def __init__(self) -> None:
        self.control = Control("tcp://127.0.0.1:*", self._answer, rates=Rates(FAST, FAST))
        self.context = zmq.Context()
        self._clients: list[zmq.Socket[bytes]] = []  # pyzmq warns of one that is dropped open

    def _answer(self, asked: Asked) -> None:
        self.control.reply(asked, "here", [b"a part"])

    def client(self, kind: int, *options: int, at: str = "") -> zmq.Socket[bytes]:
        """Connect a socket; each of `options` is set to 1."""
        socket = self.context.socket(kind)
        self._clients.append(socket)
        for option in options:
            socket.set(option, 1)
        socket.connect(at or self.control.endpoint)
        return socket

    def close(self) -> None:
        self.control.close()
        self.context.destroy(linger=0)


@pytest.fixture
def device() -> Iterator[Device]:
    """Return a device that answers."""
    with closing(Device()) as device:
        yield device


def said(socket: zmq.Socket[bytes]) -> list[bytes]:
    assert socket.poll(WAIT_MS), "no reply"
    return socket.recv_multipart()


def is_answer(frames: list[bytes]) -> bool:
    return json.loads(frames[0]).get("reply") == "here" and frames[1:] == [b"a part"]


@pytest.mark.parametrize(
    "options", [(), (zmq.REQ_CORRELATE,), (zmq.REQ_RELAXED,), (zmq.REQ_CORRELATE, zmq.REQ_RELAXED)]
)
def test_req_is_answered_with_every_option(device: Device, options: tuple[int, ...]) -> None:
    """A REQ gets its answers, one after the other, also with the options that ZeroMQ's guide recommends."""
    socket = device.client(zmq.REQ, *options)
    for _ in range(3):
        socket.send(REQUEST)
        assert is_answer(said(socket))


def test_req_that_asks_again_gets_the_answer_to_its_last_request(device: Device) -> None:
    """With both options a REQ may give up a request and ask again; it gets one answer, that of the second."""
    socket = device.client(zmq.REQ, zmq.REQ_CORRELATE, zmq.REQ_RELAXED)
    socket.send(REQUEST)
    socket.send(REQUEST.replace(b'"7"', b'"8"'))
    assert json.loads(said(socket)[0])["id"] == "8"
    assert not socket.poll(0)


@pytest.mark.parametrize("before", [[], [b""], [b"a number", b""], [b"1", b"2", b"3", b""]])
def test_dealer_is_answered_with_and_without_an_empty_frame(device: Device, before: list[bytes]) -> None:
    """What a DEALER puts before the request, up to and with an empty frame, comes back whole."""
    socket = device.client(zmq.DEALER)
    socket.send_multipart([*before, REQUEST])
    frames = said(socket)
    assert frames[: len(before)] == before
    assert is_answer(frames[len(before) :])


@contextmanager
def proxy(device: Device) -> Iterator[str]:
    """Return the address of a ROUTER that hands on to the device, as `zmq.proxy` does."""
    front, steer = device.context.socket(zmq.ROUTER), device.context.socket(zmq.PAIR)
    with closing(front), closing(steer):
        port = front.bind_to_random_port("tcp://127.0.0.1")
        steer.bind("inproc://steer")
        end = device.client(zmq.PAIR, at="inproc://steer")
        thread = threading.Thread(target=zmq.proxy_steerable, args=(front, device.client(zmq.DEALER), None, steer))
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{port}"
        finally:
            end.send(b"TERMINATE")
            thread.join()


def test_answer_finds_its_way_through_a_proxy(device: Device) -> None:
    """A request that comes by way of a proxy is answered to whom it came from."""
    with proxy(device) as address:
        one = device.client(zmq.REQ, zmq.REQ_CORRELATE, at=address)
        other = device.client(zmq.REQ, at=address)
        for socket in (one, other):
            socket.send(REQUEST)
        assert is_answer(said(one))
        assert is_answer(said(other))


@pytest.mark.parametrize(
    "before", [[b"x"] * MAX_FRAMES + [b""], [b"x" * (MAX_BYTES + 1), b""]], ids=["frames", "bytes"]
)
def test_envelope_out_of_bounds_is_refused_and_not_sent_back(device: Device, before: list[bytes]) -> None:
    """A device sends back no more than a bounded envelope, however much stands before a request."""
    socket = device.client(zmq.DEALER)
    socket.send_multipart([*before, REQUEST])
    (refusal,) = said(socket)
    assert "parts, a request has one" in json.loads(refusal)["error"]
    assert device.control.refused == {"malformed": 1}


_frame = st.binary(max_size=300)
_messages = st.lists(_frame | st.just(REQUEST) | st.just(b""), min_size=1, max_size=MAX_FRAMES + 4)


@pytest.fixture(scope="module")
def shared() -> Iterator[Device]:
    """Return one device for all examples: what one of them breaks, the next ones find."""
    with closing(Device()) as device:
        yield device


@pytest.mark.slow
@given(messages=st.lists(_messages, min_size=1, max_size=5))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_message_gets_one_answer_in_its_envelope(shared: Device, messages: list[list[bytes]]) -> None:
    """Whatever frames arrive, each message gets exactly one answer, in what precedes its first empty frame."""
    socket = shared.client(zmq.DEALER)
    for frames in messages:
        socket.send_multipart(frames)
    answers = [said(socket) for _ in messages]
    for frames, answer in zip(messages, answers, strict=True):
        before = frames[: frames.index(b"") + 1] if b"" in frames else []
        if len(before) > MAX_FRAMES or sum(map(len, before)) > MAX_BYTES:
            before = []
        assert answer[: len(before)] == before
        done = frames[len(before) :] == [REQUEST]
        assert is_answer(answer[len(before) :]) == done
        assert done or len(answer) == len(before) + 1
    assert not socket.poll(0)
    socket.close()
