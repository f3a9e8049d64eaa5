"""Which devices are in which stage."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_config.errors import UsageError
from runtime.fleet.rollout.stages import LATELY_MS, StageShare, divide, members, parse_stages
from tests.fleet.rollout.fleet_of import NOW_MS, names, report


@pytest.mark.parametrize(
    ("text", "devices", "counts"),
    [
        ("1,10%,100%", 200, [1, 20, 200]),
        ("1,10%,100%", 5, [1, 1, 5]),
        ("100%", 3, [3]),
        ("0.5%,50%,100%", 40, [1, 20, 40]),
        ("7,100%", 3, [3, 3]),
    ],
)
def test_shares(text: str, devices: int, counts: list[int]) -> None:
    """Numbers are devices, percentages are rounded up, and never more than there are."""
    assert [share.of(devices) for share in parse_stages(text)] == counts


@pytest.mark.parametrize("text", ["", "1", "10%,50%", "0,100%", "101%", "a,100%", "1,,100%", "-1,100%", "0%,100%"])
def test_shares_that_are_none(text: str) -> None:
    """Anything else is refused, and so are stages that do not end with all devices."""
    with pytest.raises(UsageError, match="--stages"):
        parse_stages(text)


@given(
    states=st.lists(st.sampled_from(["well", "unwell", "off"]), min_size=1, max_size=60),
    percent=st.lists(st.integers(1, 100), max_size=4),
)
def test_every_device_once_and_those_that_are_off_last(states: list[str], percent: list[int]) -> None:
    """Every device is in one stage; those that are off in the last; no ill one comes before one that works."""
    fleet = {
        name: report(
            name,
            age_ms=LATELY_MS + 1 if state == "off" else 0,
            camera={"state": "failed" if state == "unwell" else "live"},
        )
        for name, state in zip(names(len(states)), states, strict=True)
    }
    state_of = dict(zip(fleet, states, strict=True))
    shares = [StageShare(f"{one}%") for one in sorted(percent)] + [StageShare("100%")]
    if set(states) == {"off"} and len(shares) > 1:
        with pytest.raises(UsageError, match="has reported"):
            divide(fleet, sorted(fleet), "", shares, NOW_MS)
        return
    division = divide(fleet, sorted(fleet), "", shares, NOW_MS)
    order = [name for stage in division.stages for name in stage]
    assert sorted(order) == sorted(fleet)
    assert [state_of[name] for name in order] == sorted(states, key=["well", "unwell", "off"].index)
    assert all(division.stages[:-1])
    assert "off" not in {state_of[name] for stage in division.stages[:-1] for name in stage}
    on = len(states) - states.count("off")
    reached = 0
    for stage, share in zip(division.stages[:-1], sorted({math.ceil(one * on / 100) for one in percent}), strict=True):
        reached += len(stage)
        assert reached == share


def test_devices_without_the_camera_are_left_out() -> None:
    """A device that lacks the camera gets no assignment, and is named."""
    fleet = {"a": report("a"), "b": report("b", camera={"camera": "lid"})}
    division = divide(fleet, ["a", "b"], "belt", parse_stages("100%"), NOW_MS)
    assert (division.stages, division.without) == ((("a",),), ("b",))
    with pytest.raises(UsageError, match="has a camera seam"):
        divide(fleet, ["a", "b"], "seam", parse_stages("100%"), NOW_MS)


def test_members_of_a_group() -> None:
    """A group is what devices say they are in; a wrong name is answered with those that there are."""
    fleet = {"b": report("b"), "a": report("a"), "c": report("c", groups=("hall-2",))}
    assert members(fleet, "press", ()) == ["a", "b"]
    assert members(fleet, "", ("c", "a")) == ["a", "c"]
    with pytest.raises(UsageError, match="there are hall-2, press"):
        members(fleet, "press-9", ())
    with pytest.raises(UsageError, match="no device d has ever reported"):
        members(fleet, "", ("d",))
