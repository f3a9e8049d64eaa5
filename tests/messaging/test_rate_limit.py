"""How often may be asked."""

from __future__ import annotations

import math

import pytest

from runtime.messaging.rate_limit import MAX_PEERS, Rates
from runtime.process.token_bucket import Rate

EACH, ALL = Rate(10, 20), Rate(50, 60)


def done(rates: Rates, peer: bytes, now_s: float, times: int) -> int:
    """Ask so often at one moment, and count how often that was allowed."""
    return sum(rates.ask(peer, now_s) == 0 for _ in range(times))


def test_peer_has_its_burst_and_then_its_rate() -> None:
    """After a pause a peer may ask in a burst, then at its rate, and gets no more than a burst for a long pause."""
    rates = Rates(EACH, ALL)
    assert done(rates, b"a", 100.0, 30) == 20
    assert done(rates, b"a", 101.0, 30) == 10
    assert done(rates, b"a", 101.05, 30) == 0
    assert done(rates, b"a", 9000.0, 30) == 20


def test_refusal_says_when_to_ask_again() -> None:
    """A peer that waits as long as it was told may ask."""
    rates = Rates(EACH, ALL)
    done(rates, b"a", 0.0, 20)
    wait_s = rates.ask(b"a", 0.0)
    assert wait_s == pytest.approx(0.1)
    assert rates.ask(b"a", wait_s * 0.9) > 0
    assert rates.ask(b"a", wait_s) == 0


def test_who_goes_on_is_met_with_silence() -> None:
    """So many refusals at once as a burst has, ten times the rate of them after that, and no more."""
    rates = Rates(EACH, ALL)
    done(rates, b"a", 0.0, 20)
    assert [rates.ask(b"a", 0.0) == math.inf for _ in range(30)] == [False] * 20 + [True] * 10
    later = [rates.ask(b"a", 0.1) for _ in range(30)]
    assert [later.count(0), later.count(math.inf)] == [1, 30 - 1 - 10]


def test_peers_share_what_all_may_ask() -> None:
    """Many peers together are held to the rate of all; a flood of one takes from others no more than its own rate."""
    rates = Rates(EACH, ALL)
    assert sum(done(rates, b"%d" % peer, 0.0, 20) for peer in range(10)) == 60
    rates = Rates(EACH, ALL)
    done(rates, b"flood", 0.0, 10_000)
    assert done(rates, b"good", 0.0, 20) == 20


def test_peers_that_were_there_long_ago_are_forgotten() -> None:
    """A peer with ever new names does not make the table grow; one that asks all the time is remembered."""
    rates = Rates(EACH, Rate(1e9, 1e9))
    done(rates, b"often", 0.0, 20)
    for number in range(3 * MAX_PEERS):
        rates.ask(b"%d" % number, 0.0)
        assert rates.ask(b"often", 0.0) > 0
    assert len(rates._peers) == MAX_PEERS
