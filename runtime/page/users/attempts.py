"""Limits of log-in: growing waits and a lock-out, for each address and for each user name.

A stranger who guesses is locked out by address. Guesses from many addresses lock the name too, but not for addresses
from which this user has logged in before, so that a stranger cannot keep the user out of the usual places.
"""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from runtime.page.users.register import MAX_NAME

MAX_WRONG = 10
"""Number of wrong passwords in a row that lock out."""

LOCK_S = 15 * 60.0
"""Duration of a lock-out, seconds; attempts during it do not prolong it."""

FREE = 4
"""Number of wrong passwords without a wait."""

FIRST_WAIT_S = 1.0
"""Wait after the next wrong password; it doubles with each further one."""

MAX_ENTRIES = 4096
"""Maximum number of addresses, of names and of usual places that are remembered; the oldest are forgotten."""

_IPV6_NETWORK = 64  # bits that one customer of a provider has


@dataclass(slots=True)
class _Count:
    wrong: int = 0
    until: float = 0.0
    last: float = 0.0


class Attempts:
    """Counts wrong passwords; not for several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with none."""
        self._clock = clock
        self._counts: OrderedDict[tuple[str, ...], _Count] = OrderedDict()
        self._usual: OrderedDict[tuple[str, str], None] = OrderedDict()

    def begin(self, user: str, address: str) -> float:
        """Count an attempt as wrong until `succeed` says otherwise, so that attempts at the same time all count.

        Returns:
            0 if the password may be checked; otherwise the time to wait, seconds.
        """
        now = self._clock()
        counts = [self._count(key, now) for key in self._keys(user, network(address))]
        locked = max((one.until - now for one in counts if one.wrong >= MAX_WRONG), default=0.0)
        if locked > 0:
            return locked
        wait = max(one.until - now for one in counts)
        for one in counts:
            one.wrong += 1
            one.last = now
            one.until = now + _wait_after(one.wrong)
        return max(0.0, wait)

    def succeed(self, user: str, address: str) -> None:
        """Take back the attempt that `begin` counted: the password was right.

        Wrong passwords for other users from the same address stay counted, or a user could guess those of others.
        """
        place = network(address)
        whose, where = self._keys(user, place)
        self._counts.pop(whose, None)
        if (count := self._counts.get(where)) is not None:
            count.wrong -= 1
            count.until = 0.0
        self._usual[user, place] = None
        self._usual.move_to_end((user, place))
        while len(self._usual) > MAX_ENTRIES:
            self._usual.popitem(last=False)

    def _keys(self, user: str, place: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return what is counted for the name, and what for the address."""
        user = user[: MAX_NAME + 1]  # no user has a longer one
        usual = (user, place) in self._usual
        return ("user", user, place) if usual else ("user", user), ("place", place)

    def _count(self, key: tuple[str, ...], now: float) -> _Count:
        count = self._counts.get(key)
        over = count is not None and (now - count.last > LOCK_S or (count.wrong >= MAX_WRONG and now >= count.until))
        if count is None or over:
            count = self._counts[key] = _Count(last=now)
        self._counts.move_to_end(key)
        while len(self._counts) > 2 * MAX_ENTRIES:
            self._counts.popitem(last=False)
        return count


def network(address: str) -> str:
    """Return whose attempts count together: an IPv4 address, or a network of IPv6."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, _IPV6_NETWORK), strict=False))
    return str(found)


def _wait_after(wrong: int) -> float:
    if wrong >= MAX_WRONG:
        return LOCK_S
    return FIRST_WAIT_S * float(2 ** (wrong - FREE - 1)) if wrong > FREE else 0.0
