"""The highest counters that a device has accepted, on its disk: an older assignment is a replay, and is refused.

Assignments of a device, of each group, of each camera, of bundles and of settings have slots of their own, in the store
as here. A slot follows from the signed assignment itself, so that nobody can move one into another slot.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from edge_config.fleet_errors import AssignmentOld
from edge_config.saving import put_durably
from edge_config.wire.fleet import Assignment, PullOrder, Signed

_OF_ALL = "*"
"""Stands for the name of a camera in the slot of all cameras; no camera has this name."""


class _Accepted(msgspec.Struct, frozen=True):
    counter: int
    payload_sha256: str


def slot(record: Assignment | PullOrder) -> str:
    """Return the slot of an assignment or an order, such as `device:press-3/*/root`."""
    if isinstance(record, PullOrder):
        return f"{record.target}/{record.camera}/pull"
    return f"{record.target}/{record.camera or _OF_ALL}/{'root' if record.root else 'settings'}"


class Counters:
    """The newest accepted assignment of each slot."""

    def __init__(self, path: Path) -> None:
        """Read the file, if there is one.

        Raises:
            OSError: it cannot be read.
            msgspec.DecodeError: it is damaged.
        """
        self._path = path
        self._accepted: dict[str, _Accepted] = {}
        if path.exists():
            self._accepted = msgspec.json.decode(path.read_bytes(), type=dict[str, _Accepted])

    def check(self, signed: Signed, record: Assignment | PullOrder) -> bool:
        """Return whether a verified assignment is new; false if it is the one that was accepted last.

        Raises:
            AssignmentOld: a newer one, or another one with this counter, was accepted before.
        """
        known = self._accepted.get(slot(record))
        if known is None or record.counter > known.counter:
            return True
        if record.counter == known.counter and _digest(signed) == known.payload_sha256:
            return False
        what = "another assignment with this counter" if record.counter == known.counter else f"{known.counter}"
        raise AssignmentOld(
            f"{what} was accepted before for {slot(record)}",
            where=f"assignment {record.counter}",
            remedy="assign again: to go back is a newer assignment of an older bundle",
        )

    def accept(self, signed: Signed, record: Assignment | PullOrder) -> None:
        """Remember an assignment that `check` found new; it is on the disk when this returns.

        Raises:
            NotWritten: the disk does not take it: then it must not be acted upon.
        """
        after = {**self._accepted, slot(record): _Accepted(record.counter, _digest(signed))}
        put_durably(self._path, msgspec.json.encode(after), mode=0o600)
        self._accepted = after


def _digest(signed: Signed) -> str:
    return hashlib.sha256(signed.payload.encode()).hexdigest()
