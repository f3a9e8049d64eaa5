"""An MQTT client that remembers what it hears, by paho alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.processes import ENOUGH_S


class Listener:
    """Subscribes, and again at each connection; `session` is the name of one that the broker remembers."""

    def __init__(self, port: int, topic: str = "#", *, session: str = "", **access: str) -> None:
        self.heard: list[paho.MQTTMessage] = []
        self.connections = 0
        self._changed = threading.Condition()
        self._topic = topic
        # What is never acknowledged to the broker leaves nothing on the way to it, which would cut off, when it is
        # killed, what is on the way from it.
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=session, clean_session=not session, manual_ack=True
        )
        if access:
            self._client.username_pw_set(**access)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda *_: self._client.subscribe(topic, qos=1)
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def __enter__(self) -> Listener:  # noqa: PYI034 - typing.Self needs Python 3.11
        """Wait for the first subscription."""
        self.until(lambda: self.connections > 0)
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def until(self, met: Callable[[], bool]) -> None:
        """Wait for a condition: it is looked at whenever something is heard, and ten times a second."""
        end_s = time.monotonic() + ENOUGH_S
        with self._changed:
            while not met():
                assert time.monotonic() < end_s, [one.topic for one in self.heard]
                self._changed.wait(0.1)

    def last(self, topic: str) -> paho.MQTTMessage:
        """Wait for a topic, and give the last that was heard in it."""
        self.until(lambda: any(one.topic == topic for one in self.heard))
        return [one for one in self.heard if one.topic == topic][-1]

    def until_says(self, topic: str, payload: bytes) -> None:
        """Wait until a topic says something."""
        self.until(lambda: any((one.topic, one.payload) == (topic, payload) for one in self.heard))

    def _on_subscribe(self, *_: Any) -> None:
        with self._changed:
            self.connections += 1
            self._changed.notify_all()

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        with self._changed:
            self.heard.append(message)
            self._changed.notify_all()
