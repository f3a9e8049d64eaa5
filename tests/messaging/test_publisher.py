"""The publisher knows for which cameras somebody wants previews, and those that nobody wants are not made."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest
import zmq

from runtime.messaging.publisher import Publisher

WAIT_S = 10.0
"""For what is sure to come, on a machine under load."""

SWITCHED = 2_000
"""Times that previews are switched on and off: by the bytes of each, a subscriber would be cut off twice."""

AT_ONCE = 100
"""So often in a row: a subscriber drops what it cannot send at once."""


class Rig:
    """A publisher of the device `edge`, and the subscribers of a test."""

    def __init__(self, stack: ExitStack) -> None:
        self.publisher = Publisher("tcp://127.0.0.1:*", device="edge")
        stack.callback(self.publisher.close)
        self._stack = stack
        self._sockets: list[zmq.Socket[bytes]] = []

    def subscriber(self, *topics: str) -> zmq.Socket[bytes]:
        context = self._stack.enter_context(zmq.Context())
        socket = self._stack.enter_context(closing(context.socket(zmq.SUB)))
        socket.set(zmq.LINGER, 0)
        socket.connect(self.publisher.endpoint)
        for topic in topics:
            socket.subscribe(topic)
        self._sockets.append(socket)
        return socket

    def settle(self, subscribers: int) -> None:
        """Wait until so many are there, and have been heard."""
        self.until(lambda: self.publisher.has_subscribers(subscribers, 10))

    def until(self, reached: Callable[[], bool]) -> None:
        """Take in what subscribers say until something is so."""
        end_s = time.monotonic() + WAIT_S
        while not reached():
            assert time.monotonic() < end_s, "it never came"
            self.publisher.has_subscribers(0, 10)
            for socket in self._sockets:  # it subscribes again, after a lost connection, while it is in use
                assert socket.closed or not socket.poll(0)

    def wanted(self) -> list[str]:
        return [camera for camera in ("cam1", "cam10", "side") if self.publisher.previews(camera)]


@pytest.fixture
def rig() -> Iterator[Rig]:
    """Yield a publisher."""
    with ExitStack() as stack:
        yield Rig(stack)


@pytest.mark.parametrize(
    ("topic", "cameras"),
    [
        ("v1/preview/edge/cam1/", ["cam1"]),
        ("v1/preview/edge/", ["cam1", "cam10", "side"]),
        ("v1/preview/", ["cam1", "cam10", "side"]),
        ("v1/preview/other/cam1/", []),
        ("v1/preview", []),
        ("v1/", []),
        ("", []),
        ("v1/score/edge/cam1/", []),
    ],
)
def test_previews_are_wanted_by_those_who_name_them(rig: Rig, topic: str, cameras: list[str]) -> None:
    """A subscription that names previews has them made, of the cameras that it covers; one to everything does not."""
    assert rig.wanted() == []
    rig.subscriber(topic)
    rig.settle(1)
    assert rig.wanted() == cameras


def test_previews_end_with_the_last_who_wants_them(rig: Rig) -> None:
    """Of two subscribers one unsubscribes, then the other vanishes: only then are the previews not wanted any more."""
    first, second = (rig.subscriber("v1/preview/edge/cam1/") for _ in range(2))
    rig.settle(2)
    first.unsubscribe("v1/preview/edge/cam1/")
    first.subscribe("v1/score/")
    before = sum(rig.publisher.refused.values())
    rig.settle(2)
    assert rig.wanted() == ["cam1"]
    second.close()
    rig.until(lambda: not rig.wanted())
    assert sum(rig.publisher.refused.values()) == before


def test_all_previews_end_when_everybody_is_cut_off(rig: Rig) -> None:
    """When the socket is bound again nobody wants previews, until a subscriber is back."""
    rig.subscriber("v1/preview/")
    rig.settle(1)
    rig.publisher.rebind()
    assert rig.wanted() == []
    rig.until(lambda: rig.wanted() == ["cam1", "cam10", "side"])


def test_switching_previews_all_day_is_no_flood(rig: Rig) -> None:
    """A subscriber that turns previews on and off again and again stays connected."""
    socket = rig.subscriber("v1/score/")
    rig.settle(1)
    for _ in range(SWITCHED // AT_ONCE):
        for _ in range(AT_ONCE):
            socket.unsubscribe("v1/preview/edge/cam1/")
            socket.subscribe("v1/preview/edge/cam1/")
        rig.until(lambda: rig.wanted() == ["cam1"])
        socket.unsubscribe("v1/preview/edge/cam1/")
        rig.until(lambda: not rig.wanted())
    assert not rig.publisher.refused
