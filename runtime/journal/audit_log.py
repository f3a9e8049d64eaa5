"""Audit log: requests that changed something, each with the client's public key and the person that it claims."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from edge_config.wire.requests import name_of
from runtime.events import Asked

KEPT = 200
"""Maximum number of orders that are kept; the oldest are deleted."""

MAX_CHARACTERS = 4000
"""Maximum length of the stored fields of an order."""

SIZE = MAX_CHARACTERS + 400
"""Maximum size of an order, bytes."""

CHANGED = "changed"
"""In place of the name of a request: what came of one."""

_WRITE = "INSERT INTO orders (t_ns, key, request, fields, user) VALUES (?, ?, ?, ?, ?)"
_READ = "SELECT t_ns, key, request, fields, user FROM orders ORDER BY number"
_PRUNE = "DELETE FROM orders WHERE number <= (SELECT max(number) FROM orders) - ?"


@dataclass(frozen=True, slots=True)
class Order:
    """A request that changed something.

    Attributes:
        t_ns: wall clock of the request, nanoseconds since 1970 UTC.
        key: public key (Z85) of the client; empty if the device has no keys.
        request: name of the request.
        fields: its fields, as JSON, cut off if they are long.
        user: the person, as claimed by that key, never cut off; empty if none was named.
    """

    t_ns: int
    key: str
    request: str
    fields: str
    user: str = ""

    @classmethod
    def of(cls, asked: Asked) -> Order:
        """Return the order for a request that is made now."""
        fields = msgspec.json.encode(asked.request).decode()
        return cls(time.time_ns(), asked.key, name_of(asked.request), fields[:MAX_CHARACTERS], asked.request.user)

    @classmethod
    def of_change(cls, asked: Asked, change: Any) -> Order:
        """Return the note of what a request has changed, from what to what."""
        fields = msgspec.json.encode(change).decode()
        return cls(time.time_ns(), asked.key, CHANGED, fields[:MAX_CHARACTERS], asked.request.user)


def write(db: sqlite3.Connection, orders: Sequence[Order]) -> None:
    """Store orders, within the caller's transaction."""
    db.executemany(_WRITE, [(one.t_ns, one.key, one.request, one.fields, one.user) for one in orders])
    db.execute(_PRUNE, (KEPT,))


def read(db: sqlite3.Connection) -> list[Order]:
    """Return the stored orders, the oldest first."""
    return [Order(*row) for row in db.execute(_READ)]
