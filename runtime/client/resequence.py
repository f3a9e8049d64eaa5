"""The messages of one topic, put back into their order, with those that were lost fetched from the journal."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from runtime.client.received import Place, Received
from runtime.client.seen import MOST_EPOCHS, Seen

MOST_HELD = 2000
"""So many messages wait for those before them; more are let go, as the journal has them too."""

MOST_HELD_BYTES = 32 << 20
"""And so many bytes of binary parts."""


class Resequencer:
    """Gives every message of a topic once, and in the order of the journal.

    Live messages are given at once while each follows the last. Where one is missing, a replay is asked for from
    there, and what comes live waits for it. If the device does not answer (`give_up`), what waits is given with its
    gap; the replay is still owed, and what it brings then comes late: given as all others, once, but out of order.

    Attributes:
        topic: its topic.
        at: up to here nothing is missing, or what is missing is lost for good; None before the first message.
        asking: a replay was asked for and is not over.
        loose: what is live does not wait for it.
        barren: the last replay gave nothing of what there was, so that a snapshot tells more.
    """

    def __init__(
        self, topic: str, give: Callable[[Received], object], ask: Callable[[str, Place, int], object]
    ) -> None:
        """Begin with nothing.

        Args:
            topic: its topic.
            give: gets every message for the user.
            ask: is told topic, place, and how many are known to be missing, where a replay from behind it is wanted.
        """
        self.topic = topic
        self.at: Place | None = None
        self.asking = False
        self.loose = False
        self.barren = False
        self.seen = Seen()
        self._give = give
        self._ask = ask
        self._held: list[Received] = []
        self._held_bytes = 0
        self._cause: Received | None = None  # what was held when the replay was asked for
        self._target: Place | None = None  # the last that was given loosely when the replay was asked for
        self._passed: set[str] = set()  # epochs that the replay came through
        self._last: Place | None = None  # the last that was given live
        self._past: deque[str] = deque(maxlen=MOST_EPOCHS)  # epochs that are over
        self._told: Place | None = None  # asked for because the device said so, once
        self._lost = 0  # to be told with the next message

    def begin(self, place: Place, *, forget: bool = True) -> None:
        """Begin behind `place`. What is before is not wanted, unless it comes as pending: then do not `forget` it."""
        self._move(place)
        self._last = place
        self.barren = False
        if forget:
            self.seen.fill(place)

    def adopt(self, head: Place, newest: Received | None) -> None:
        """Begin with a snapshot: `newest` is given, and what follows `head` comes next."""
        if self.at is not None and self._has(head):
            self.barren = False
            return
        is_new = newest is not None and newest.place not in self.seen
        self.begin(head)
        if newest is not None and is_new:
            self.seen.add(newest.place)
            self._pass(newest)

    def arrived(self, received: Received, *, answering: bool) -> None:
        """Take in a live message; `answering` tells whether a replay can be hoped for."""
        place = received.place
        if place in self.seen:
            return
        if self.asking and not self.loose:
            self._hold(received)
        elif self.at is None:
            self.at = place
            self._take(received)
        elif self.loose or self._follows(place) or self._is_of_old(place):
            self._take(received)
        else:
            self._fetch(self._missing(self.at, place))
            if answering:
                self._cause = received
                self._hold(received)
            else:
                self.loose, self._target = True, self._last
                self._take(received)

    def told(self, head: Place, *, answering: bool) -> None:
        """Take in that the device has published up to `head`; number 0 of a new epoch says that the old one is over."""
        if self.at is None or self.asking or head == self._told or self._has(head):
            return
        self._told = head
        self._fetch(self._missing(self.at, Place(head.epoch, head.seq + 1)))
        if not answering:
            self.loose, self._target = True, self._last

    def pending(self, received: Received, missed: int = 0) -> bool:
        """Take in a message that was not acknowledged, and tell whether it is new; they come in their order."""
        if received.place in self.seen:
            return False
        self.seen.add(received.place)
        self._pass(received, missed)
        self._follow()
        return True

    def replayed(self, messages: Iterable[Received], *, complete: bool) -> None:
        """Take in a page of the replay."""
        self.barren = False
        for received in messages:
            place = received.place
            if self.at is not None and not self.loose:  # what was lost loosely has been told
                self._lost += self._missing(self.at, place)
            if not complete:
                self._lost, complete = max(1, self._lost), True
            if self.at is None or self.at.epoch != place.epoch or self.at.seq < place.seq:
                self._move(place)
            self._passed.add(place.epoch)
            if place not in self.seen:
                self.seen.add(place)
                self._pass(received)
        if not complete:  # nothing is left at all
            self._lost = max(1, self._lost)
            self.barren = True

    def finish(self) -> None:
        """End the replay: what the journal did not have is lost, and what waited goes on."""
        self.asking = False
        self._follow()
        cause, self._cause = self._cause, None
        if self.loose:
            self._finish_loose()
            return
        if self._told is not None and not self._told.seq and len(self._passed) == 1 and not self._has(self._told):
            self._move(self._told)  # nothing came of any later epoch
        for received in self._take_held():
            if received is cause and received.place not in self.seen:
                self._lost = max(self._lost, self._missing(self.at, received.place))
                self._move(received.place)
                self._take(received)
            else:
                self.arrived(received, answering=True)

    def give_up(self) -> None:
        """Let what waits go on without the replay, which is still owed."""
        if not self.asking or self.loose:
            return
        self.loose, self._cause = True, None
        epochs: dict[str, int] = {}
        for received in self._held:
            epochs.setdefault(received.place.epoch, len(epochs))
        for received in sorted(self._take_held(), key=lambda one: (epochs[one.place.epoch], one.place.seq)):
            if received.place not in self.seen:
                self._take(received)
        self._target = self._last

    def _finish_loose(self) -> None:
        if self._target is not None and not self._is_past(self._target):
            self._move(self._target)  # it had come before the replay was asked for: what is not there is lost
            self._follow()
        if self._last is None or self._is_past(self._last):
            self.loose, self._target = False, None
        else:
            self._target = self._last
            self._fetch(0)

    def _take(self, received: Received) -> None:
        """Give a live message with what is known to be missing before it."""
        place = received.place
        missed = self._missing(self.at, place) if self.loose else 0
        old = self._is_of_old(place)
        self.seen.add(place)
        if not old:
            if self._last is not None and self._last.epoch != place.epoch:
                self._past.append(self._last.epoch)
            self._last = place
        self._pass(received, missed)
        self._follow()

    def _pass(self, received: Received, missed: int = 0) -> None:
        missed, self._lost = missed + self._lost, 0
        self._give(replace(received, missed=missed) if missed else received)

    def _fetch(self, missing: int) -> None:
        self.asking = True
        if self.at is not None:
            self._passed = {self.at.epoch}
            self._ask(self.topic, self.at, missing)

    def _hold(self, received: Received) -> None:
        self._held_bytes += sum(map(len, received.parts))
        if not self._held or (len(self._held) < MOST_HELD and self._held_bytes <= MOST_HELD_BYTES):
            self._held.append(received)

    def _take_held(self) -> Sequence[Received]:
        held, self._held, self._held_bytes = self._held, [], 0
        return held

    def _move(self, place: Place) -> None:
        if self.at is not None and self.at.epoch != place.epoch:
            self._past.append(self.at.epoch)
        self.at = place

    def _follow(self) -> None:
        """Move on over what one has."""
        if self.at is not None:
            self.at = self.seen.follow(self.at)

    def _follows(self, place: Place) -> bool:
        return self.at is not None and place == Place(self.at.epoch, self.at.seq + 1)

    def _is_of_old(self, place: Place) -> bool:
        """Return whether it belongs before what was reached: to the same epoch, or to one that is over."""
        if self.at is not None and place.epoch == self.at.epoch:
            return place.seq <= self.at.seq
        return place.epoch in self._past

    def _is_past(self, place: Place) -> bool:
        """Return whether the replay came to this place, or an earlier one did."""
        return self._is_of_old(place) or (self.at is not None and place.epoch in self._passed - {self.at.epoch})

    def _has(self, head: Place) -> bool:
        return head in self.seen or self._is_of_old(head)

    def _missing(self, at: Place | None, place: Place) -> int:
        """Count what is known to be missing between two places; how an epoch ended one cannot know."""
        if at is None:
            return 0
        return max(0, place.seq - 1 - max(at.seq if at.epoch == place.epoch else 0, self.seen.top(place.epoch)))
