"""Which stored pictures are deleted when they are too old, or too many.

Those go first that cost a person least: the oldest of the kinds in the order of `RANKS`. Held-out pictures have at most
half of the room, so that there is always some for new ones.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from edge_config.wire.teaching import StoredPicture
from runtime.teaching.picture import new_id

RECORD_BYTES = 1024
"""What the JSON file of a picture counts for."""

RANKS = ("rejected", "learnt", "set aside", "peak", "to learn", "held out")
"""Order in which pictures are deleted, the first of them first."""

_DAY_NS = 86_400_000_000_000


def room(pictures: Iterable[StoredPicture]) -> int:
    """Return how much room pictures take on the disk, bytes."""
    return sum(one.bytes + RECORD_BYTES for one in pictures)


def rank(picture: StoredPicture) -> int:
    """Return the place of a picture in `RANKS`."""
    return RANKS.index(status(picture))


def status(picture: StoredPicture) -> str:
    """Return which of `RANKS` a picture is."""
    if picture.kind == "held_out":
        return "held out"
    if picture.decided == "learnt":
        return "learnt"
    if picture.decided == "accepted":
        return "to learn"
    if picture.kind == "peak":
        return "peak"  # a rejected one is a fault that must still be found
    if picture.decided == "rejected":
        return "rejected"
    return "to learn" if picture.kind == "taught" else "set aside"


def too_old(pictures: Collection[StoredPicture], now_s: float, max_days: float) -> list[StoredPicture]:
    """Return the pictures that were taken more than `max_days` before this wall clock, seconds since 1970 UTC."""
    oldest = new_id(max(0, round(now_s * 1e9) - round(max_days * _DAY_NS)))
    return [one for one in pictures if one.id < oldest]


def too_many(pictures: Collection[StoredPicture], max_bytes: int) -> list[StoredPicture]:
    """Return the pictures that must be deleted so that the others take at most `max_bytes`."""
    held_out = [one for one in pictures if one.kind == "held_out"]
    gone = list(_first(held_out, room(held_out) - max_bytes // 2))
    kept = [one for one in pictures if one not in gone] if gone else pictures
    return gone + list(_first(kept, room(kept) - max_bytes))


def outdone(pictures: Collection[StoredPicture]) -> list[StoredPicture]:
    """Return peaks that a higher one of the same alert replaces: a process was killed before it deleted them."""
    best: dict[str, StoredPicture] = {}
    for one in pictures:
        if one.kind == "peak" and one.alert and not one.decided:
            best[one.alert] = max(best.get(one.alert, one), one, key=lambda peak: (peak.score, peak.id))
    return [
        one for one in pictures if one.kind == "peak" and one.alert and not one.decided and best[one.alert].id != one.id
    ]


def _first(pictures: Collection[StoredPicture], excess: int) -> Iterator[StoredPicture]:
    """Yield pictures until they take more room than `excess`, bytes."""
    if excess <= 0:
        return
    for one in sorted(pictures, key=lambda one: (rank(one), one.id)):
        yield one
        excess -= one.bytes + RECORD_BYTES
        if excess <= 0:
            return
