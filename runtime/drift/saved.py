"""The state of the drift watch on disk, so that a restart forgets nothing: one small file for each camera."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated

import msgspec
import structlog
from msgspec import Meta

from edge_config.errors import NotWritten
from edge_config.saving import put

NAME = "drift.json"
MAX_BYTES = 4096
"""A larger file was not written here."""

_Time = Annotated[int, Meta(ge=0, le=2**63 - 1)]

_log = structlog.get_logger()


class SavedDrift(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of the drift of a camera.

    Attributes:
        bundle: id of the bundle that it drifts from.
        evidence: that normal frames score higher, as `value` of `Evidence`.
        is_drift: it is enough.
        since_ns: since when, wall clock.
        look: changes of light and sharpness that go on, by kind: since when, wall clock.
    """

    bundle: str
    evidence: Annotated[float, Meta(ge=0, le=100)] = 0.0
    is_drift: bool = False
    since_ns: _Time = 0
    look: Annotated[dict[str, _Time], Meta(max_length=8)] = msgspec.field(default_factory=dict)


class DriftFile:
    """Reads and writes the file of a camera; it is written in a thread, as a disk may take its time."""

    def __init__(self, path: Path) -> None:
        """Use this file, whose folder need not exist."""
        self._path = path
        self._thread: threading.Thread | None = None
        self._failed = False

    def read(self) -> SavedDrift | None:
        """Return what was saved; None if there is nothing that can be used."""
        try:
            with self._path.open("rb") as stream:
                return msgspec.json.decode(stream.read(MAX_BYTES + 1), type=SavedDrift)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            _log.warning(
                "what was known of drift cannot be read: it is noticed again", path=str(self._path), error=f"{error}"
            )
            return None

    def write(self, state: SavedDrift) -> bool:
        """Begin to write; return whether that could be: not while the last is being written."""
        if self._thread is not None and self._thread.is_alive():
            return False
        self._thread = threading.Thread(target=self._write, args=(state,), name="drift", daemon=True)
        self._thread.start()
        return True

    def close(self, patience_s: float = 2.0) -> None:
        """Wait for what is being written."""
        if self._thread is not None:
            self._thread.join(patience_s)

    def _write(self, state: SavedDrift) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            put(self._path, msgspec.json.encode(state))
            self._failed = False
        except (OSError, NotWritten) as error:
            if not self._failed:  # once, and not each minute
                _log.warning(
                    "what is known of drift cannot be saved: a restart forgets it",
                    path=str(self._path),
                    error=f"{error}",
                )
            self._failed = True

    def _warn(self, what: str, error: Exception) -> None:
        _log.warning(what, path=str(self._path), reason=str(error))
