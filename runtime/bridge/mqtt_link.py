"""A connection to an MQTT broker, for asyncio: paho's client has a thread of its own, which calls us from there.

paho connects again by itself, with waits from 1 to 30 s, and publishes again what was not confirmed.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from edge_config.errors import SettingsError
from edge_config.settings.bridge import Mqtt
from runtime.bridge.secret import read_secret
from runtime.bridge.topics import OFFLINE

KEEPALIVE_S = 15
"""A broker that does not answer for so long is gone."""

MAX_SCORES = 100
"""So many scores may wait to be written to the network; more are dropped."""

_LONGEST_WAIT_S = 30
_IN_FLIGHT = 1000  # the callers have bounds of their own; paho's 20 would make a slow network slower
_CONNECT_S = 3.0
_MAX_AGE = 60_000  # ids of MQTT begin anew after 65,535: see `publish_now`


@dataclass(slots=True)
class _Sent:
    """A message that is not confirmed, and the number of messages that were sent before it."""

    confirmed: asyncio.Future[None]
    number: int


class MqttLink:
    """Publishes with QoS 1 until it is confirmed, and with QoS 0 if that is possible now.

    Use it inside one event loop.
    """

    def __init__(self, settings: Mqtt, client_id: str, status_topic: str) -> None:
        """Set the client up; nothing connects before `start`.

        Args:
            settings: of the broker.
            client_id: by which the broker knows this client; another with the same one throws it out.
            status_topic: the broker publishes `offline` there when it loses this client.

        Raises:
            SettingsError: a password or certificate file cannot be used.
        """
        self.address = f"{settings.host}:{settings.port}"
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id)
        self._client.will_set(status_topic, OFFLINE, qos=1, retain=True)
        self._client.reconnect_delay_set(1, _LONGEST_WAIT_S)
        self._client.connect_timeout = _CONNECT_S
        self._client.max_inflight_messages_set(_IN_FLIGHT)
        _set_access(self._client, settings)
        self._client.on_socket_open = _send_at_once
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = lambda *_: self._tell(self._trouble, "no connection")
        self._client.on_disconnect = lambda *args: self._tell(self._disconnected, str(args[3]))
        self._client.on_publish = lambda _client, _data, mid, *_: self._tell(self._published, mid)
        self._settings = settings
        self._online = asyncio.Event()
        self._turn = asyncio.Lock()
        self._on_back: Callable[[], None] = lambda: None
        self._was_online = False
        self._unconfirmed: dict[int, _Sent] = {}
        self._scores: set[int] = set()
        self._number = 0
        self._troubled = False
        self._closing = False
        self._log = structlog.get_logger().bind(broker=f"mqtt {self.address}")

    @property
    def online(self) -> bool:
        """Whether the broker is there."""
        return self._online.is_set()

    def start(self, on_back: Callable[[], None]) -> None:
        """Begin to connect; `on_back` is called each time that the broker is there again."""
        self._loop = asyncio.get_running_loop()
        self._on_back = on_back
        self._client.connect_async(self._settings.host, self._settings.port, KEEPALIVE_S)
        self._client.loop_start()

    async def publish(self, topic: str, payload: Callable[[], bytes], *, retain: bool) -> None:
        """Publish when the broker is there, in the order of the calls; return when it has confirmed that.

        Args:
            topic: where to.
            payload: gives what, at the moment when it is sent.
            retain: the broker keeps it for those who come later.
        """
        async with self._turn:  # whoever waits first is first
            while not self._online.is_set():
                await self._online.wait()
            confirmed = self._send(topic, payload(), retain=retain)
        await confirmed

    def publish_now(self, topic: str, payload: bytes) -> bool:
        """Publish with QoS 0, or tell that the broker is not there or not fast enough.

        paho tells of a message that was written (QoS 0) as of one that was confirmed (QoS 1), by its id, and ids come
        again. So none is sent while the id of an unconfirmed one could come again.
        """
        oldest = next(iter(self._unconfirmed.values()), None)
        old = oldest is not None and self._number - oldest.number > _MAX_AGE
        if old or not self._online.is_set() or len(self._scores) >= MAX_SCORES:
            return False
        self._number += 1
        self._scores.add(self._client.publish(topic, payload, qos=0).mid)
        return True

    async def close(self, status_topic: str, timeout_s: float) -> None:
        """Say `offline`, and disconnect; give up what is not confirmed."""
        end_s = self._loop.time() + timeout_s
        if self.online:
            await asyncio.wait([self._send(status_topic, OFFLINE, retain=True)], timeout=timeout_s)
        self._closing = True
        self._client.disconnect()
        ended = asyncio.Event()
        # It ends within a second, unless a name server or the broker keeps it; the process does not wait for that.
        threading.Thread(target=self._stop, args=(ended,), name="mqtt-stop", daemon=True).start()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(ended.wait(), max(0.1, end_s - self._loop.time()))

    def _stop(self, ended: asyncio.Event) -> None:
        self._client.loop_stop()
        self._tell(ended.set)

    def _send(self, topic: str, payload: bytes, *, retain: bool) -> asyncio.Future[None]:
        confirmed: asyncio.Future[None] = self._loop.create_future()
        self._number += 1
        info = self._client.publish(topic, payload, qos=1, retain=retain)
        while info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:  # the id belongs to one that is not confirmed
            info = self._client.publish(topic, payload, qos=1, retain=retain)
        self._unconfirmed[info.mid] = _Sent(confirmed, self._number)
        return confirmed

    def _on_connect(self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if self._closing:  # it was on its way when `close` was called
            client.disconnect()
        elif reason.is_failure:
            self._tell(self._trouble, str(reason))
        else:
            self._tell(self._connected)

    def _connected(self) -> None:
        self._log.info("connected")
        self._troubled = False
        self._scores.clear()  # what was not written when the last connection broke never will be
        self._online.set()
        if self._was_online:
            self._on_back()
        self._was_online = True

    def _disconnected(self, reason: str) -> None:
        if self._online.is_set() and not self._closing:
            self._trouble(reason)
        self._online.clear()

    def _trouble(self, reason: str) -> None:
        """Log why the broker is not there, once until it is there again."""
        if not self._troubled and not self._closing:
            self._troubled = True
            self._log.warning("not connected; trying again", reason=reason)

    def _published(self, mid: int) -> None:
        if mid in self._scores:
            self._scores.discard(mid)
        elif (sent := self._unconfirmed.pop(mid, None)) is not None and not sent.confirmed.done():
            sent.confirmed.set_result(None)

    def _tell(self, call: Callable[..., object], *args: Any) -> None:
        """Call in the event loop, from paho's thread; when the loop is gone nobody wants to know."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *args)


def _send_at_once(_client: paho.Client, _data: Any, sock: Any) -> None:
    """Turn off what holds a small packet back until the one before it is received: 40 ms with many brokers."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _set_access(client: paho.Client, settings: Mqtt) -> None:
    if settings.username is not None:
        password = None
        if settings.password_file is not None:
            password = read_secret(settings.password_file).partition("\n")[0].rstrip("\r")
        client.username_pw_set(settings.username, password)
    if settings.tls:
        try:
            client.tls_set_context(ssl.create_default_context(cafile=settings.ca_file))
        except OSError as error:  # SSLError is one
            raise SettingsError(f"no certificates to be read ({error})", where=settings.ca_file or "mqtt") from error
