"""The list of kept changes of settings, in the state folder: it survives restarts."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
import structlog

from edge_config.errors import NotWritten
from edge_config.saving import put_durably, writing
from edge_config.wire.configure import KEPT_CHANGES, SettingsChange
from runtime.state_folder import state_folder

MAX_BYTES = 16 << 20
"""Maximum size of a list that is read."""

_changes = msgspec.json.Decoder(tuple[SettingsChange, ...])


class KeptChanges:
    """The kept changes of all cameras of a device. Use it from one thread."""

    def __init__(self, device: str) -> None:
        """Take the name of the device; the list is read when it is needed."""
        self._device = device
        self._changes: list[SettingsChange] | None = None

    def of(self, camera: str) -> tuple[SettingsChange, ...]:
        """Return the changes of a camera, the newest first."""
        return tuple(one for one in reversed(self._all()) if one.camera == camera)

    def add(self, change: SettingsChange) -> int:
        """Add a change, and return the number that it gets; the oldest are forgotten.

        Raises:
            NotWritten: the list cannot be written, and is as it was.
        """
        number = max((one.number for one in self._all()), default=0) + 1
        self._write([*self._all(), msgspec.structs.replace(change, number=number)][-KEPT_CHANGES:])
        return number

    def drop(self, number: int) -> None:
        """Take a change off the list that was not made after all."""
        with contextlib.suppress(NotWritten):
            self._write([one for one in self._all() if one.number != number])

    def mark_undone(self, number: int) -> None:
        """Note that a change was taken back.

        Raises:
            NotWritten: the list cannot be written, and is as it was.
        """
        self._write([msgspec.structs.replace(one, undone=one.undone or one.number == number) for one in self._all()])

    def _all(self) -> Sequence[SettingsChange]:
        if self._changes is None:
            self._changes = self._read()
        return self._changes

    def _path(self) -> Path:
        return state_folder() / f"{self._device}.changes.json"

    def _read(self) -> list[SettingsChange]:
        """Read the list; one that cannot be read is moved aside."""
        try:
            path = self._path()
            with path.open("rb") as file:
                return list(_changes.decode(file.read(MAX_BYTES)))
        except FileNotFoundError:
            return []
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            structlog.get_logger().error(
                "the list of kept changes cannot be read; a new one begins", problem=str(error)
            )
            with contextlib.suppress(OSError):
                path.rename(path.with_name(f"{path.name}.damaged"))
            return []

    def _write(self, changes: list[SettingsChange]) -> None:
        with writing("the list of kept changes"):
            path = self._path()
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        put_durably(path, msgspec.json.encode(changes), mode=0o600)
        self._changes = changes
