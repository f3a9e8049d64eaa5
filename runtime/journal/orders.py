"""Audit log: requests that changed something, each with the public key of the client."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from edge_config.wire.requests import name_of
from runtime.events import Asked

KEPT = 200
"""So many orders are kept; the oldest go."""

MAX_CHARACTERS = 1000
"""Of the fields of an order that are written down."""

SIZE = MAX_CHARACTERS + 200
"""Bytes that an order takes at most."""

_WRITE = "INSERT INTO orders (t_ns, key, request, fields) VALUES (?, ?, ?, ?)"
_PRUNE = "DELETE FROM orders WHERE number <= (SELECT max(number) FROM orders) - ?"


@dataclass(frozen=True, slots=True)
class Order:
    """What was ordered.

    Attributes:
        t_ns: wall clock when it was asked, nanoseconds since 1970 UTC.
        key: public key (Z85) of who asked; empty where the device has no keys.
        request: its name.
        fields: all that it says, as JSON.
    """

    t_ns: int
    key: str
    request: str
    fields: str

    @classmethod
    def of(cls, asked: Asked) -> Order:
        """Return the order that a request is, now."""
        fields = msgspec.json.encode(asked.request).decode()
        return cls(time.time_ns(), asked.key, name_of(asked.request), fields[:MAX_CHARACTERS])


def write(db: sqlite3.Connection, orders: Sequence[Order]) -> None:
    """Write orders down, within the caller's transaction."""
    db.executemany(_WRITE, [(one.t_ns, one.key, one.request, one.fields) for one in orders])
    db.execute(_PRUNE, (KEPT,))


def read(db: sqlite3.Connection) -> list[Order]:
    """Return those that are kept, the oldest first."""
    return [Order(*row) for row in db.execute("SELECT t_ns, key, request, fields FROM orders ORDER BY number")]
