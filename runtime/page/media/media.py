"""What takes a while to make: films, exports and simulations, and how many of them at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from runtime.page.media.films import Films
from runtime.page.media.thumbnails import Thumbnails
from runtime.page.refused import Refused

MAX_EXPORTS = 2
"""Maximum number of archives and tables that are being made; one more is refused."""

MAX_SIMULATIONS_WAITING = 4
"""Maximum number of simulations that wait for the one that runs."""


class Media:
    """What takes a while to make. Use it from one event loop.

    Attributes:
        films: the films of clips.
        thumbnails: small pictures.
    """

    def __init__(self, folder: Path) -> None:
        """Keep films in the page's folder; nothing is made yet."""
        self.films = Films(folder / "films")
        self.thumbnails = Thumbnails()
        self._exports = 0
        self._simulating = asyncio.Lock()
        self._waiting = 0

    async def close(self) -> None:
        """End what is being made."""
        await self.films.close()
        await self.thumbnails.close()

    def begin_export(self) -> None:
        """Take note of an export, until `end_export`.

        Raises:
            Refused: there are too many.
        """
        if self._exports >= MAX_EXPORTS:
            raise Refused(429, "other exports are being made: try again when they are done")
        self._exports += 1

    def end_export(self) -> None:
        """Take note that an export is over."""
        self._exports -= 1

    @asynccontextmanager
    async def simulation(self) -> AsyncIterator[None]:
        """Wait for the turn of a simulation.

        Raises:
            Refused: too many wait.
        """
        if self._waiting > MAX_SIMULATIONS_WAITING:
            raise Refused(429, "others try alert settings at the moment: try again in a moment")
        self._waiting += 1
        try:
            async with self._simulating:
                yield
        finally:
            self._waiting -= 1
