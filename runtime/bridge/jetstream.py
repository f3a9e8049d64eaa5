"""Publish to a NATS server with JetStream.

    PREFIX.alert.DEVICE.CAMERA    each alert message, JSON as the device published it
    PREFIX.state.DEVICE.CAMERA    states, JSON; of those in quick succession the newest
    PREFIX.score.DEVICE.CAMERA    scores, JSON: plain NATS, stored by no stream of ours

Alerts and states have a `Nats-Msg-Id`, so that the stream leaves out what is published again within its window (two
minutes by default). Alert messages of a camera are stored in their order. Pictures and heat maps are left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import structlog
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from edge_config.errors import MissingExtra, SettingsError
from edge_config.settings.bridge import Nats
from edge_config.wire.messages import AlertMessage, AnyMessage, HealthMessage, Kind, ScoreMessage, StateMessage
from runtime.bridge.latest import Latest
from runtime.bridge.secret import read_secret
from runtime.bridge.topics import body
from runtime.process.backoff import Backoff

CONFIRM_S = 5.0
"""What is not confirmed by then is published again."""

KEEP_S = 30 * 24 * 3600
"""A stream that we make keeps messages for so long."""

MAX_PENDING = 64 * 1024
"""Scores are dropped while more bytes than this wait to be written to the network."""

_PING_S = 10
_CONNECT_S = 3
_LOOK_S = 0.5


class _Session:
    """One connection, from its beginning to its end."""

    def __init__(self, client: Client, lost: asyncio.Event) -> None:
        self.client = client
        self.lost = lost
        self.stream: JetStreamContext = client.jetstream(timeout=CONFIRM_S)

    async def until_lost(self) -> None:
        """Wait for the end. nats-py does not tell where closing the connection fails too: so look at it as well."""
        while not self.client.is_closed:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.lost.wait(), _LOOK_S)
                return
        self.lost.set()

    async def publish(self, subject: str, payload: bytes, key: str, stream: str) -> None:
        """Publish, and wait for the confirmation.

        Raises:
            ConnectionResetError: the connection was lost meanwhile.
            Exception: what nats-py raises.
        """
        headers = {"Nats-Msg-Id": key}
        sending = asyncio.create_task(self.stream.publish(subject, payload, CONFIRM_S, stream, headers))
        losing = asyncio.create_task(self.lost.wait())
        try:
            await asyncio.wait([sending, losing], return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                raise ConnectionResetError("connection lost")
            await sending
        finally:
            for task in (sending, losing):
                task.cancel()
            await asyncio.gather(sending, losing, return_exceptions=True)


class NatsSink:
    """A NATS server or cluster."""

    def __init__(self, settings: Nats, bridge: str) -> None:
        """Set it up; nothing connects before `start`.

        Args:
            settings: of the servers.
            bridge: name of the bridge, which the servers show.

        Raises:
            SettingsError: the credentials cannot be used.
            MissingExtra: credentials need a package that is not installed.
        """
        self.name = f"nats {', '.join(settings.servers)}"
        self._settings = settings
        self._options: dict[str, Any] = {"name": f"patchedge-{bridge}", **_access(settings)}
        self._latest: Latest[tuple[bytes, str]] = Latest(lambda subject, said: self._publish(subject, *said))
        self._turns: dict[str, asyncio.Lock] = {}
        self._session: _Session | None = None
        self._connected = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._troubled = ""
        self._log = structlog.get_logger().bind(broker=self.name)

    async def start(self) -> None:
        """Begin to connect."""
        self._task = asyncio.create_task(self._keep_connected())

    async def alert(self, said: AlertMessage, _parts: Sequence[bytes], key: str) -> None:
        """Publish an alert message, after those of the camera before it; return when the stream has it."""
        subject = self._subject("alert", said)
        async with self._turns.setdefault(subject, asyncio.Lock()):
            await self._publish(subject, body(said), key)

    def state(self, said: StateMessage, key: str) -> None:
        """Publish the state of a camera in time."""
        self._latest.put(self._subject("state", said), (body(said), key))

    async def score(self, said: ScoreMessage) -> bool:
        """Publish a score if the server takes it now."""
        if self._session is None or self._session.client.pending_data_size > MAX_PENDING:
            return False
        try:
            await self._session.client.publish(self._subject("score", said), body(said))
        except Exception:  # noqa: BLE001 - as below
            return False
        return True

    def health(self, said: HealthMessage) -> None:
        """Do nothing: who reads a stream sees by its messages that a device is alive."""

    def lost(self, device: str) -> None:
        """Do nothing."""

    async def close(self, timeout_s: float) -> None:
        """Disconnect."""
        await self._latest.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=timeout_s)

    def _subject(self, kind: Kind, said: AnyMessage) -> str:
        return f"{self._settings.prefix}.{kind}.{said.device}.{said.camera}"

    async def _publish(self, subject: str, payload: bytes, key: str) -> None:
        """Publish until it is confirmed."""
        backoff = Backoff(0.1, CONFIRM_S)
        while True:
            while self._session is None:
                await self._connected.wait()
            try:
                await self._session.publish(subject, payload, key, self._settings.stream)
            except Exception as error:  # noqa: BLE001 - as below
                self._trouble(f"not confirmed: {_explain(error)}")
                await asyncio.sleep(backoff.after(0))
            else:
                self._troubled = ""
                return

    async def _keep_connected(self) -> None:
        backoff = Backoff(0.5, 30)
        while True:
            began_s = asyncio.get_running_loop().time()
            try:
                await self._connect_once()
                self._trouble("connection lost")
            except Exception as error:  # noqa: BLE001 - whatever nats-py makes of a server that dies: it must go on
                self._trouble(_explain(error))
            await asyncio.sleep(backoff.after(asyncio.get_running_loop().time() - began_s))

    async def _connect_once(self) -> None:
        """Connect, and return when the connection is lost.

        Connecting again is our business: then what is not confirmed is published again at once.
        """
        client, lost = Client(), asyncio.Event()

        async def on_closed() -> None:
            lost.set()

        try:
            await client.connect(
                list(self._settings.servers),
                closed_cb=on_closed,
                error_cb=self._on_error,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=_CONNECT_S,
                ping_interval=_PING_S,
                **self._options,
            )
            session = _Session(client, lost)
            await self._make_stream(session)
            self._log.info("connected")
            self._troubled = ""
            self._session = session
            self._connected.set()
            await session.until_lost()
        finally:
            self._session = None
            self._connected.clear()
            with contextlib.suppress(Exception):
                await client.close()

    async def _make_stream(self, session: _Session) -> None:
        """Make the stream if there is none; one that is there is left as it is."""
        name, prefix = self._settings.stream, self._settings.prefix
        try:
            await session.stream.stream_info(name)
        except NotFoundError:
            subjects = [f"{prefix}.alert.>", f"{prefix}.state.>"]
            await session.stream.add_stream(name=name, subjects=subjects, max_age=KEEP_S)
            self._log.info("stream made", stream=name, subjects=subjects)

    async def _on_error(self, error: Exception) -> None:
        self._trouble(_explain(error))

    def _trouble(self, reason: str) -> None:
        """Log what is wrong, once until it is over or something else is."""
        if reason != self._troubled:
            self._troubled = reason
            self._log.warning("trouble; trying again", reason=reason)


def _explain(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _access(settings: Nats) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if any(server.startswith("tls://") for server in settings.servers):
        options["tls"] = ssl.create_default_context()
    if (path := settings.credentials_file) is not None:
        text = read_secret(path)
        if "BEGIN NATS USER JWT" not in text or "BEGIN USER NKEY SEED" not in text:  # nats-py would look for ever
            raise SettingsError("no NATS credentials", where=path, remedy="give the file that `nsc` makes")
        if find_spec("nkeys") is None:  # nats-py loads it when it connects
            raise MissingExtra("nkeys is not installed", remedy="pip install 'nats-py[nkeys]'")
        options["user_credentials"] = path
    return options
