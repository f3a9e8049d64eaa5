"""Light and sharpness beyond the usual range, with their hysteresis."""

from __future__ import annotations

import pytest

from edge_config.bundle.may_vary import Usual
from runtime.drift.scene_change import BEGIN_S, END_S, LookChange, SceneChange
from runtime.measures import Measures

FPS = 10
SECOND = 1_000_000_000
USUAL = Usual(luminance=(80.0, 120.0), highlights=(140.0, 180.0), edges=(0.5, 0.6))
INSIDE = Measures(luminance=100.0, contrast=60.0, sharpness=0.55 * 60 / 101, detail=0.1)
OUTSIDE: dict[LookChange, Measures] = {
    "brighter": INSIDE._replace(luminance=125.0, contrast=50.0, sharpness=0.55 * 50 / 126),
    "darker": INSIDE._replace(luminance=75.0, contrast=70.0, sharpness=0.55 * 70 / 76),
    "sharper": INSIDE._replace(sharpness=0.65 * 60 / 101),
    "softer": INSIDE._replace(sharpness=0.45 * 60 / 101),
}


class Played:
    """Plays measures for some time, at 10 frames a second."""

    def __init__(self) -> None:
        self.change = SceneChange(USUAL)
        self.number = 0

    def __call__(self, measures: Measures, seconds: float) -> set[str]:
        """Return the changes that there are afterwards."""
        for _ in range(round(seconds * FPS)):
            at = self.number * SECOND // FPS
            self.change(at, at, measures)
            self.number += 1
        return {kind for kind, latch in self.change.latches.items() if latch.is_on}


@pytest.mark.parametrize("kind", OUTSIDE)
def test_change_begins_and_ends_after_a_while(kind: LookChange) -> None:
    """What is outside of the range is a change after 10 s, since it began; back inside, it ends after 60 s."""
    played = Played()
    assert played(INSIDE, 30) == set()
    assert played(OUTSIDE[kind], BEGIN_S - 3) == set()
    assert played(OUTSIDE[kind], 8) == {kind}
    assert played.change.latches[kind].since_ns == 30 * SECOND
    assert played(INSIDE, END_S - 5) == {kind}
    assert played(INSIDE, 10) == set()


def test_bright_parts_alone_are_brighter() -> None:
    """A gain beyond the range shows in the bright parts before it shows in the mean, which a gamma may raise more."""
    assert Played()(INSIDE._replace(luminance=118.0, contrast=66.0, sharpness=0.55 * 66 / 119), 20) == {"brighter"}


def test_at_the_bound_nothing_has_changed() -> None:
    """Pictures at the very bound are inside: the margin is for what they differ by."""
    assert Played()(INSIDE._replace(luminance=120.5, contrast=60.5, sharpness=0.55 * 60.5 / 121.5), 60) == set()


def test_moments_outside_change_nothing() -> None:
    """A light that goes on for some seconds every half minute is no change."""
    played = Played()
    for _ in range(20):
        assert played(OUTSIDE["brighter"], 6) == set()
        assert played(INSIDE, 24) == set()


def test_few_frames_do_not_make_a_change() -> None:
    """Of a camera with a frame a minute, four frames are not enough."""
    change = SceneChange(USUAL)
    for minute in range(5):
        change(minute * 60 * SECOND, 0, OUTSIDE["darker"])
    assert not change.latches["darker"].is_on
    for minute in range(5, 7):
        change(minute * 60 * SECOND, 0, OUTSIDE["darker"])
    assert change.latches["darker"].is_on


def test_edges_hardly_change_with_gain_and_gamma() -> None:
    """`edges` is sharpness without light: the same for pictures of which one is 1.5 times as bright."""
    bright = Measures(luminance=150.0, contrast=90.0, sharpness=INSIDE.sharpness, detail=0.1)
    assert bright.edges == pytest.approx(INSIDE.edges, rel=0.01)
