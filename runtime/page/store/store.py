"""What the page keeps, on disk: opened with the page, written by one thread."""

from __future__ import annotations

from pathlib import Path

from edge_config.settings.page import PageStore


class Store:
    """Scores, alerts and comments in the page's folder."""

    def __init__(self, folder: Path, settings: PageStore) -> None:
        """Do nothing yet; `open` opens the file."""
        self._path = folder / "page.sqlite"
        self._settings = settings

    async def open(self) -> None:
        """Open the file, or make it."""

    async def close(self) -> None:
        """Write what is left, and close the file."""
