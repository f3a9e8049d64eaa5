"""The subscriber that users import.

    from runtime.client import Subscriber

    with Subscriber("tcp://127.0.0.1:5556", kinds=["alert"]) as subscriber:
        for received in subscriber:
            alert = received.message
            print(alert.camera, alert.phase, alert.score, alert.peak_xy)

It needs pyzmq and msgspec only: no OpenCV, no ONNX Runtime.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType

import zmq

from edge_config import message
from edge_config.errors import AddressUnavailable, MessageError
from edge_config.message import DEFAULT_EVENTS, AnyMessage, Kind

_TURN_MS = 250


@dataclass(frozen=True, slots=True)
class Received:
    """One message as it arrived.

    Attributes:
        topic: its topic, v1/<kind>/<device>/<camera>/.
        message: a ScoreMessage, AlertMessage or StateMessage.
        missed: messages of this topic that were lost since the last one that arrived.
    """

    topic: str
    message: AnyMessage
    missed: int


class Subscriber:
    """Receives messages and notices what was lost. Use it from one thread; iterate over it, or call `receive`.

    Attributes:
        missed: messages lost so far, over all topics.
        damaged: messages that arrived but could not be read.
    """

    def __init__(
        self,
        url: str = DEFAULT_EVENTS,
        *,
        kinds: Sequence[Kind] = ("score", "alert", "state"),
        device: str | None = None,
        camera: str | None = None,
    ) -> None:
        """Connect and subscribe. The device need not be there yet; ZeroMQ connects, and again, by itself.

        Args:
            url: where the device publishes.
            kinds: kinds of messages to receive.
            device: only of this device; by default of all.
            camera: only of this camera of the device.

        Raises:
            AddressUnavailable: `url` is not a ZeroMQ address.
            ValueError: a camera without its device.
        """
        self.missed = 0
        self.damaged = 0
        self._last: dict[str, tuple[str, int]] = {}
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.set(zmq.LINGER, 0)
        for kind in kinds:
            self._socket.subscribe(message.topic_prefix(kind, device, camera))
        try:
            self._socket.connect(url)
        except zmq.ZMQError as error:
            self.close()
            raise AddressUnavailable(
                f"not an address to connect to ({zmq.strerror(error.errno or 0)})",
                where=url,
                remedy="write tcp://ADDRESS:PORT",
            ) from error

    def receive(self, timeout_s: float | None = None) -> Received | None:
        """Wait for the next message; None if none came within `timeout_s` seconds (by default, wait for ever).

        Raises:
            MessageError: something arrived that is not a patchedge message.
        """
        if not self._wait(math.inf if timeout_s is None else timeout_s):
            return None
        try:
            topic, body = message.decode(self._socket.recv_multipart())
        except MessageError:
            self.damaged += 1
            raise
        missed = self._gap(topic, body.epoch, body.seq)
        self.missed += missed
        return Received(topic, body, missed)

    def __iter__(self) -> Iterator[Received]:
        """Yield messages for ever; damaged ones are counted and passed over."""
        while True:
            try:
                received = self.receive()
            except MessageError:
                continue
            if received is not None:
                yield received

    def close(self) -> None:
        """Disconnect."""
        self._context.destroy(linger=0)

    def __enter__(self) -> Subscriber:  # noqa: PYI034 - typing.Self needs Python 3.11
        """Give itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect."""
        self.close()

    def _wait(self, timeout_s: float) -> bool:
        """Wait until a message is there, at most `timeout_s`.

        In short turns: a signal that arrives just before a poll does not interrupt it, and Python calls its handler
        only between two turns.
        """
        end = time.monotonic() + timeout_s
        while not self._socket.poll(max(0, math.ceil(min(_TURN_MS, (end - time.monotonic()) * 1000)))):
            if time.monotonic() >= end:
                return False
        return True

    def _gap(self, topic: str, epoch: str, seq: int) -> int:
        """Count what is missing before `seq`. What went out before the very first message was never ours."""
        last_epoch, last_seq = self._last.get(topic, (epoch, seq - 1))
        self._last[topic] = epoch, seq
        return max(0, seq - 1 - (last_seq if last_epoch == epoch else 0))
