"""The fleet that the page shows: read from its servers when a browser asks, and at most every other second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack

from edge_config.errors import UnavailableError
from edge_config.extra import needs_extra
from edge_config.fleet_errors import FleetError
from edge_config.settings.fleet import FleetOfPage
from runtime.fleet.rollout.status import FleetStatus, status_of
from runtime.fleet.store.interface import Store
from runtime.page.refused import Refused

PATIENCE_S = 5.0
"""Time-out of an answer of the servers, seconds."""

FRESH_S = 2.0
"""Age up to which an answer is given again, seconds."""


class ShownFleet:
    """Reads what is known of the fleet. Open, ask and close it in one event loop."""

    def __init__(self, connect: Callable[[], AbstractAsyncContextManager[Store]]) -> None:
        """Prepare; `connect` connects to the servers."""
        self._connect = connect
        self._stack = AsyncExitStack()
        self._store: Store | None = None
        self._reading = asyncio.Lock()
        self._status: FleetStatus | None = None
        self._read_s = -FRESH_S

    async def open(self) -> None:
        """Begin to connect."""
        self._store = await self._stack.enter_async_context(self._connect())

    async def close(self) -> None:
        """Disconnect."""
        await self._stack.aclose()

    async def status(self) -> FleetStatus:
        """Return what is known of the fleet.

        Raises:
            Refused: the servers do not answer, or refuse.
        """
        async with self._reading:  # many browsers are one reader
            if self._status is None or time.monotonic() - self._read_s >= FRESH_S:
                self._status = await self._read()
                self._read_s = time.monotonic()
            return self._status

    async def _read(self) -> FleetStatus:
        store = self._store
        if store is None:
            raise Refused(503, "the page is ending")
        try:
            reports, assigned, rollouts = await store.reports(), await store.assigned(), await store.rollouts()
        except (UnavailableError, FleetError) as error:
            raise Refused(503, str(error)) from error
        return status_of(reports, assigned, rollouts, time.time_ns() // 1_000_000)


def fleet_of(settings: FleetOfPage | None) -> ShownFleet | None:
    """Return the fleet of the settings; None: the page shows none.

    Raises:
        MissingExtra: nats-py is not installed.
    """
    if settings is None:
        return None
    with needs_extra("fleet"):
        from runtime.fleet.store.store import FleetStore
    return ShownFleet(lambda: FleetStore.connect(settings, "page", PATIENCE_S))
