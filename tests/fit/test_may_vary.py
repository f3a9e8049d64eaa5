"""What may vary: how it is written on the command line, and what is refused."""

from __future__ import annotations

import argparse
from typing import Any

import msgspec
import pytest

from edge_config.bundle.may_vary import MayVary
from runtime.cli.may_vary import may_vary

GOOD: dict[str, dict[str, Any]] = {
    "none": {},
    "light=20%": {"light": 0.2},
    "light=12.5%, focus": {"light": 0.125, "focus": True},
    "shift=4px": {"shift": 4},
    "shift=2.5": {"shift": 2.5},
    "rotation=5,flip": {"rotation": 5, "flip": True},
    "rotation=any": {"rotation": "any"},
}
BAD = {
    "": "is none of",
    "dark": "is none of",
    "none,flip": "is none of",
    "focus=1": "is none of",
    "light=20": "light=20: give a percentage such as light=20%, above 0 and at most 50",
    "light=60%": "at most 50",
    "light=0%": "above 0",
    "light": "give a percentage",
    "light=10%,light=20%": "twice",
    "shift=-1px": "above 0",
    "shift=4mm": "pixels of the camera",
    "rotation=91": "at most 90",
    "rotation=nan": "degrees",
}


@pytest.mark.parametrize("text", GOOD)
def test_tolerances_are_parsed(text: str) -> None:
    """Each tolerance is read in its own unit, and what is not named may not vary."""
    assert msgspec.convert(may_vary(text), MayVary) == MayVary(**GOOD[text])


@pytest.mark.parametrize("text", BAD)
def test_bad_tolerance_is_refused_in_one_line(text: str) -> None:
    """A bad tolerance is named with what is allowed, on one line."""
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        may_vary(text)
    assert BAD[text] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", GOOD)
def test_tolerances_are_shown_as_they_are_given(text: str) -> None:
    """What the summary shows can be given to `--may-vary` again."""
    given = MayVary(**GOOD[text])
    assert msgspec.convert(may_vary(str(given)), MayVary) == given
