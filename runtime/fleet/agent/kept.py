"""The memory of the agent on the disk: one JSON file, written before anything is done by it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from edge_config.saving import put_durably
from runtime.fleet.agent.core.memory import CameraMemory
from runtime.fleet.store.records import UNREADABLE

_VERSION = 1


class _Content(msgspec.Struct, frozen=True, kw_only=True):
    version: int = _VERSION
    cameras: dict[str, CameraMemory] = {}


class KeptMemory(Protocol):
    """Where the memory is kept."""

    def load(self) -> dict[str, CameraMemory]:
        """Return what was kept, by camera."""

    def save(self, cameras: dict[str, CameraMemory]) -> None:
        """Keep it; it is safe when this returns. Raises `NotWritten`."""


class KeptFile:
    """A file; what is written is on the disk when `save` returns."""

    def __init__(self, path: Path) -> None:
        """Name it; it need not exist."""
        self._path = path

    def load(self) -> dict[str, CameraMemory]:
        """Return what was kept, by camera; a file that is damaged is set aside, and said.

        What served stays in service in any case. The counters are in a file of their own, so nothing older is taken.
        """
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Content).cameras
        except FileNotFoundError:
            return {}
        except UNREADABLE as error:
            aside = self._path.with_suffix(".damaged")
            self._path.replace(aside)
            log = structlog.get_logger()
            log.warning("what the agent knew is damaged, and begun again", file=str(aside), reason=str(error))
            return {}

    def save(self, cameras: dict[str, CameraMemory]) -> None:
        """Write it, whole or not at all.

        Raises:
            NotWritten: the disk does not take it.
        """
        put_durably(self._path, msgspec.json.encode(_Content(cameras=cameras)), mode=0o600)
