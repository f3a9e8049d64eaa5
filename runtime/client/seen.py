"""Which messages of a topic one has: numbers in ranges, so that it stays small however many there are."""

from __future__ import annotations

from bisect import bisect_right

from runtime.client.received import Place

MOST_EPOCHS = 64
MOST_RANGES = 1000


class Seen:
    """The places of a topic that were given to the user, or that were passed over for good.

    It is bounded: the oldest of `MOST_EPOCHS` starts of a device is forgotten, and of more than `MOST_RANGES` holes
    in one epoch the lowest is taken for filled.
    """

    def __init__(self) -> None:
        self._epochs: dict[str, list[tuple[int, int]]] = {}  # first and last of each range, ascending, apart

    def __contains__(self, place: Place) -> bool:
        """Return whether this message is among them."""
        ranges = self._epochs.get(place.epoch, [])
        index = bisect_right(ranges, (place.seq, 1 << 63)) - 1
        return index >= 0 and ranges[index][0] <= place.seq <= ranges[index][1]

    def top(self, epoch: str) -> int:
        """Return the highest number of an epoch, 0 if it has none."""
        ranges = self._epochs.get(epoch)
        return ranges[-1][1] if ranges else 0

    def add(self, place: Place) -> None:
        """Add a message."""
        self._join(place.epoch, place.seq, place.seq)

    def fill(self, place: Place) -> None:
        """Add a message and all before it in its epoch; number 0 adds the epoch only."""
        if place.seq:
            self._join(place.epoch, 1, place.seq)
        else:
            self._of(place.epoch)

    def follow(self, place: Place) -> Place:
        """Return the last place that follows this one without a hole."""
        following = Place(place.epoch, place.seq + 1)
        if following not in self:
            return place
        ranges = self._epochs[place.epoch]
        return Place(place.epoch, ranges[bisect_right(ranges, (following.seq, 1 << 63)) - 1][1])

    def _join(self, epoch: str, first: int, last: int) -> None:
        ranges = self._of(epoch)
        if ranges and ranges[-1][1] == first - 1:  # as nearly always: the next one
            ranges[-1] = (ranges[-1][0], last)
            return
        touched = [(low, high) for low, high in ranges if low <= last + 1 and high >= first - 1]
        apart = [one for one in ranges if one not in touched]
        joined = min([first, *(low for low, _ in touched)]), max([last, *(high for _, high in touched)])
        ranges[:] = sorted([*apart, joined])
        if len(ranges) > MOST_RANGES:
            ranges[:2] = [(ranges[0][0], ranges[1][1])]

    def _of(self, epoch: str) -> list[tuple[int, int]]:
        if epoch not in self._epochs and len(self._epochs) >= MOST_EPOCHS:
            del self._epochs[next(iter(self._epochs))]
        return self._epochs.setdefault(epoch, [])
