"""One connection to a NATS server, from its beginning to its end, and the options that settings give it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from importlib.util import find_spec
from typing import Any

from nats.aio.client import Client
from nats.js import JetStreamContext

from edge_config.errors import MissingExtra, SettingsError
from runtime.brokers.connection import CONFIRM_S, explain
from runtime.brokers.secret import read_secret
from runtime.client.within import within

_SEED = re.compile(r"SU[A-Z2-7]{56}")
_PING_S = 10
_CONNECT_S = 3
_POLL_S = 0.5


class NatsSession:
    """One connection, from its beginning to its end."""

    def __init__(self, client: Client, lost: asyncio.Event) -> None:
        self.client = client
        self.stream: JetStreamContext = client.jetstream(timeout=CONFIRM_S)
        self._lost = lost

    async def until_lost(self) -> None:
        """Wait for the end. nats-py calls nothing where closing fails, too: so poll as well."""
        while not self.client.is_closed:
            with contextlib.suppress(asyncio.TimeoutError):
                await within(_POLL_S, self._lost.wait())
                return

    async def publish(self, subject: str, payload: bytes, key: str, stream: str) -> None:
        """Publish, and wait for the confirmation; the stream drops what has the key of an earlier message."""
        await self.stream.publish(subject, payload, CONFIRM_S, stream, {"Nats-Msg-Id": key})


@contextlib.asynccontextmanager
async def nats_session(
    servers: Sequence[str], options: dict[str, Any], trouble: Callable[[str], None], client: Client | None = None
) -> AsyncIterator[NatsSession]:
    """Connect once, to one of the servers. Reconnecting is the caller's: so what is not confirmed is repeated at once.

    Args:
        servers: their URLs.
        options: those of `access_options`, and others of `Client.connect`.
        trouble: is told what the server refuses.
        client: what connects, by default a plain one.
    """
    client, lost = client or Client(), asyncio.Event()

    async def on_closed() -> None:
        lost.set()

    async def on_error(error: Exception) -> None:
        trouble(explain(error))

    try:
        await client.connect(
            list(servers),
            closed_cb=on_closed,
            error_cb=on_error,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=_CONNECT_S,
            ping_interval=_PING_S,
            **options,
        )
        yield NatsSession(client, lost)
    finally:
        with contextlib.suppress(Exception):
            await client.close()


def access_options(servers: Sequence[str], credentials_file: str | None, ca_file: str | None = None) -> dict[str, Any]:
    """Return options of `Client.connect` for encryption and credentials.

    Raises:
        SettingsError: the credentials or the certificates cannot be used.
        MissingExtra: credentials need a package that is not installed.
    """
    options: dict[str, Any] = {}
    if any(server.startswith("tls://") for server in servers):
        options["tls"] = _tls(ca_file)
    if credentials_file is not None:
        text = read_secret(credentials_file)
        is_seed = _SEED.fullmatch(text.strip()) is not None
        if not is_seed and not ("BEGIN NATS USER JWT" in text and "BEGIN USER NKEY SEED" in text):
            # nats-py would search without end
            raise SettingsError("no NATS credentials", where=credentials_file, remedy="name a file made by `nsc`")
        need_nkeys()
        options["nkeys_seed" if is_seed else "user_credentials"] = credentials_file
    return options


def need_nkeys() -> None:
    """Fail early where nats-py would fail when it connects.

    Raises:
        MissingExtra: the package for NKeys is not installed.
    """
    if find_spec("nkeys") is None:
        raise MissingExtra("nkeys is not installed", remedy="pip install 'nats-py[nkeys]'")


def _tls(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # of OpenSSL, too
        raise SettingsError(f"no certificates ({error.strerror or error})", where=str(ca_file)) from error
