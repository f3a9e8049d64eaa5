"""When frames of a stream are due, by simulated streams."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from random import Random

import pytest

from runtime.camera.sources.playout import CATCH_UP, MAX_SLIP_S, MAX_STEP_S, InTime, Playout

FPS = 25.0
STEP_S = 1 / FPS
DECODE_S = 0.002
"""What a grab takes where the frame is there."""

EVEN_S = 0.015
"""Frames that are taken up evenly are off by less: a grab, and rounding."""


@dataclass
class Seen:
    """One frame: its number, when it was there, and when it was taken up."""

    number: int
    there_s: float
    taken_s: float

    @property
    def late_s(self) -> float:
        """How long it was there before it was taken up, beyond what a grab takes."""
        return self.taken_s - self.there_s - DECODE_S


Stamp = Callable[[int], float | None]


def by_rate(number: int) -> float:
    """Stamp frames as a camera of 25 does."""
    return number * STEP_S


def play(there_s: Iterable[float], stamp: Stamp = by_rate, *, segmented: bool = False) -> list[Seen]:
    """Grab frames that are there at these times; a grab waits for the frame, and then for its time."""
    playout, now_s, seen = Playout(segmented=segmented), 0.0, []
    for number, there in enumerate(there_s):
        came_s = max(now_s, there) + DECODE_S
        now_s = max(came_s, playout(stamp(number), now_s, came_s))
        seen.append(Seen(number, there, now_s))
    return seen


def in_time(seconds: float, jitter_s: float = 0.0, seed: int = 0) -> Iterator[float]:
    """Send frames as they are taken, each a little later."""
    random = Random(seed)  # noqa: S311
    return (number * STEP_S + random.uniform(0, jitter_s) for number in range(round(seconds * FPS)))


def in_bursts(seconds: float, burst_s: float, jitter_s: float = 0.0, at_first_s: float = 0.0) -> Iterator[float]:
    """Send what was taken in `burst_s` at once, and `at_first_s` of before at the start."""
    random = Random(1)  # noqa: S311
    late = [random.uniform(0, jitter_s) for _ in range(round(seconds / burst_s) + 1)]
    for number in range(round((seconds + at_first_s) * FPS)):
        burst = max(0, int((number * STEP_S - at_first_s) / burst_s + 1))
        yield 0.0 if burst == 0 else burst * burst_s + late[burst - 1]


def gaps(seen: list[Seen], from_s: float) -> list[float]:
    """Return the times between frames that were taken up, from some time on."""
    taken = [one.taken_s for one in seen if one.taken_s >= from_s]
    return [after - before for before, after in pairwise(taken)]


def worst(seen: list[Seen], from_s: float) -> float:
    """Return how far those times are from even."""
    return max(abs(gap - STEP_S) for gap in gaps(seen, from_s))


@pytest.mark.parametrize("jitter_s", [0.0, 0.01, 0.1])
def test_camera_in_time_is_never_waited_for(jitter_s: float) -> None:
    """A stream in time has no added latency at all, however unsteady its network is."""
    assert max(one.late_s for one in play(in_time(60, jitter_s))) < 2 * DECODE_S + jitter_s
    fast = [one for one in play(in_time(60, 0.0)) if one.late_s > 2 * DECODE_S]
    assert fast == []


def test_first_burst_of_a_camera_in_time_is_passed_over_at_once() -> None:
    """What was sent while a camera was opened is old: it is not played, and costs no latency later."""
    there = [0.0] * 40 + list(in_time(30))
    seen = play(there)
    assert seen[39].taken_s < 0.2
    assert max(one.late_s for one in seen[60:]) < 2 * DECODE_S


def test_stall_of_the_network_adds_no_latency() -> None:
    """Half a second without a frame now and then, and all of them at once after it, makes no stream of bursts."""
    there = [max(at, 10.5 if 10 < at < 10.5 else 0, 30.5 if 30 < at < 30.5 else 0) for at in in_time(60)]
    assert max(one.late_s for one in play(there) if not 10 < one.there_s < 11 and not 30 < one.there_s < 31) < 0.01


@pytest.mark.parametrize("segment_s", [1.0, 2.0, 6.0])
@pytest.mark.parametrize("jitter_s", [0.0, 0.5])
def test_segments_are_taken_up_evenly(segment_s: float, jitter_s: float) -> None:
    """Frames of HLS come one after the other, from the first on, and after minutes they are at most a segment late."""
    seen = play(in_bursts(60 + 80 * segment_s, segment_s, jitter_s, at_first_s=3 * segment_s), segmented=True)
    # Once a segment is later than all before, there is a wait; and where it was hurried until one had to be waited for.
    assert worst(seen, 0.1) < EVEN_S + jitter_s + CATCH_UP * segment_s
    assert sum(abs(gap - STEP_S) > EVEN_S for gap in gaps(seen, 0.1)) < 0.005 * len(seen)
    assert max(one.late_s for one in seen[-250:]) < 1.2 * segment_s + jitter_s


@pytest.mark.slow
@pytest.mark.parametrize(
    ("segmented", "burst_s", "clock"), [(True, 2.0, 0.999), (False, 0.4, 0.999), (False, 2.0, 1.0), (True, 2.0, 1.001)]
)
def test_hours_of_bursts_stay_even(burst_s: float, clock: float, *, segmented: bool) -> None:
    """Many small waits, for segments or for a clock that is not ours, do not add up: nothing is ever passed over."""
    there = in_bursts(3 * 3600, burst_s, 0.1 * burst_s)
    seen = play(there, lambda number: number * STEP_S * clock, segmented=segmented)
    settled = gaps(seen, 5 * burst_s + 1)
    assert min(settled) > 0.5 * STEP_S
    assert max(settled) < 0.5


def test_segments_that_are_late_cost_one_wait() -> None:
    """A list that begins with one segment is waited for until there is enough, and is even from then on."""
    seen = play(in_bursts(60, 2.0, 0.8, at_first_s=2.0), segmented=True)
    uneven = [gap for gap in gaps(seen, 0.1) if abs(gap - STEP_S) > EVEN_S]
    assert sum(uneven) < 3.0  # some waits for the one that was latest so far
    assert worst(seen, 30.0) < 0.2


@pytest.mark.parametrize("burst_s", [0.4, 1.0, 4.0])
@pytest.mark.parametrize("jitter_s", [0.0, 0.04])
def test_any_stream_in_bursts_is_found_out(burst_s: float, jitter_s: float) -> None:
    """After three bursts frames are taken up evenly, none later than by a burst and what the network adds."""
    seen = play(in_bursts(120, burst_s, jitter_s))
    assert worst(seen, 4 * burst_s + 1) < EVEN_S + jitter_s
    assert max(one.late_s for one in seen[-500:]) < burst_s + 2 * jitter_s + 0.1


def test_bursts_that_turn_into_a_stream_in_time_do_not_stay_late() -> None:
    """Once frames come in time the latency of the bursts goes, within minutes."""
    there = [*in_bursts(20, 2.0), *(22.0 + at for at in in_time(150))]
    seen = play(there)
    assert max(one.late_s for one in seen if one.there_s > 120) < 0.05


@pytest.mark.parametrize(
    "stamp",
    [lambda _: None, lambda _: 0.0, lambda _: 7.0, lambda number: -number * STEP_S, lambda number: number * 3600.0],
    ids=["none", "zero", "constant", "backward", "jumping"],
)
@pytest.mark.parametrize("segmented", [False, True])
def test_stamps_that_make_no_sense_are_not_followed(stamp: Stamp, *, segmented: bool) -> None:
    """Frames are taken up when they come, as if there were no stamps."""
    seen = play(in_time(20), stamp, segmented=segmented)
    assert max(one.late_s for one in seen if one.number > 30) < 2 * DECODE_S


@pytest.mark.parametrize("rate", [0.3, 3.0])
def test_stamps_of_another_rate_are_not_followed(rate: float) -> None:
    """A camera that stamps its frames as if it were slower or faster is taken as it comes."""
    seen = play(in_time(60, 0.02), lambda number: number * STEP_S * rate)
    assert max(one.late_s for one in seen) < 0.05


def test_discontinuities_change_nothing() -> None:
    """Stamps that begin anew with each segment, or jump, as around an advertisement, are followed in between."""
    seen = play(in_bursts(60, 2.0, at_first_s=6.0), lambda number: 1000.0 * (number // 50 % 2) + number % 50 * STEP_S)
    even = play(in_bursts(60, 2.0, at_first_s=6.0), lambda number: number % 50 * STEP_S, segmented=True)
    assert worst(seen, 14.0) < EVEN_S
    assert worst(even, 0.1) < EVEN_S


def test_outages_do_not_add_up() -> None:
    """Where segments were late again and again, what is old is passed over: the latency has a bound."""
    outages = ((40, 45), (80, 88), (120, 145))
    there = list(in_bursts(240, 2.0, at_first_s=6.0))
    for began, ended in outages:
        there = [ended if began < at < ended else at for at in there]
    seen = play(there, segmented=True)
    assert max(one.late_s for one in seen if one.there_s > 160) < MAX_SLIP_S
    assert worst(seen, 160) < EVEN_S


class Plain:
    """A camera whose frames have no stamps, as one at the USB."""

    def __init__(self, pictures: int) -> None:
        self.left = pictures

    def grab(self) -> bool:
        self.left -= 1
        return self.left >= 0


class Behind(Plain):
    """A stream that is an hour ahead of its time."""

    segmented = True

    def stamp_s(self) -> float | None:
        return -1.0 * self.left


def test_camera_without_stamps_is_grabbed_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is ever waited for, and the end is the end; a stream with stamps is waited for, its first frame not."""
    waited: list[float] = []
    monkeypatch.setattr("threading.Event.wait", lambda _, seconds: waited.append(seconds))
    for camera, waits in ((Plain(50), 0), (Behind(50), 49)):
        in_time = InTime(camera)
        assert [in_time.grab() for _ in range(51)] == [True] * 50 + [False]
        assert len(waited) == waits
        assert in_time.paced == bool(waits)
    assert max(waited) <= MAX_STEP_S
