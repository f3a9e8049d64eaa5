"""Frames that were not scored: counted by reason, and said where they are many."""

from __future__ import annotations

from runtime.monitoring.dropped_frames import FEW, MANY, WINDOW_S, Drops, DropsChanged
from runtime.monitoring.metrics import DROPPED


def totals(newer: int = 0, degraded: int = 0) -> dict[str, int]:
    """Return what a feed counts."""
    return {"newer": newer, "no slot": 0, "degraded": degraded}


def told(drops: Drops, shares: list[float], per_s: int = 100) -> list[tuple[int, bool]]:
    """Look once a second at a camera of which these shares are dropped; give when something was said, and what."""
    newer, news = 0, []
    for second, share in enumerate(shares):
        newer += round(share * per_s)
        if (one := drops.look(float(second), "top", (second + 1) * per_s, totals(newer))) is not None:
            news.append((second, one.many))
    return news


def test_counts_are_those_of_the_feed_and_what_came_after() -> None:
    """All reasons are there from the start, and each camera has its own."""
    drops = Drops()
    assert drops.of("top", totals()) == dict.fromkeys(DROPPED, 0)
    drops.count("top", "too old")
    drops.count("side", "not scored")
    assert drops.of("top", totals(7)) == {**dict.fromkeys(DROPPED, 0), "newer": 7, "too old": 1}


def test_many_drops_are_said_once_and_that_they_are_over() -> None:
    """A device that is too slow says so in one line, and another one when it keeps up again."""
    news = told(Drops(), [0.0] * 20 + [0.9] * 30 + [0.0] * 30)
    assert [many for _, many in news] == [True, False]
    assert 20 <= news[0][0] <= 20 + WINDOW_S
    assert 50 <= news[1][0] <= 52 + WINDOW_S


def test_bursts_are_seen_over_a_whole_window() -> None:
    """A second in which nearly all is dropped, and one in which nothing comes, are one thing, and it is said once."""
    drops, captured, newer, news = Drops(), 0, 0, []
    for second in range(30):
        captured += 50 * (second % 2)
        newer += 49 * (second % 2)
        news.append(drops.look(float(second), "hls", captured, totals(newer)))
    (one,) = [one for one in news if one]
    assert one.many
    assert one.share > 0.9
    assert set(one.reasons) == {"newer"}


def test_some_drops_and_wanted_ones_are_not_said() -> None:
    """Between few and many nothing is new; frames left out by a degraded device were said with its level."""
    assert told(Drops(), [(FEW + MANY) / 2] * 40) == []
    drops = Drops()
    assert [drops.look(float(at), "top", 100 * at, totals(degraded=75 * at)) for at in range(30)] == [None] * 30


def test_frames_that_were_never_taken_count_too() -> None:
    """Where none of a window was taken, so that nothing is known of how many there were, all were dropped."""
    drops = Drops()
    news = [drops.look(float(at), "top", 5, totals(25 * at)) for at in range(12)]
    assert [one for one in news if one] == [DropsChanged(many=True, share=1.0, reasons={"newer": 125})]


def test_what_a_stream_sends_at_once_when_it_is_opened_is_not_said() -> None:
    """At each opening 25 frames come at once, and all but the last are old: that is no trouble; dropping later is."""
    drops, captured, newer, news = Drops(), 0, 0, []
    for second in range(60):
        connection, since = divmod(second, 20)
        opening = since == 5  # it takes so long until the first picture is there
        captured += (15 + 25 * opening) * (since >= 5)
        newer += 25 * opening
        news.append(drops.look(float(second), "top", captured, totals(newer), connection))
    assert not any(news)
    for second in range(60, 80):
        captured, newer = captured + 15, newer + 10
        news.append(drops.look(float(second), "top", captured, totals(newer), 2))
    (one,) = [one for one in news if one]
    assert one.many
