"""Durations in the settings and on the command line, such as 24h."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

PATTERN = r"^[0-9]{1,6}(\.[0-9]{1,3})?(s|min|h|d)\Z"

Duration = Annotated[str, Meta(pattern=PATTERN, description="a number and its unit: s, min, h or d, such as 24h")]
"""A time and its unit."""

_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}


def seconds(duration: str) -> float:
    """Return the seconds of a duration that matches `PATTERN`."""
    number = duration.rstrip("".join(_SECONDS))
    return float(number) * _SECONDS[duration[len(number) :]]


def in_words(seconds_: float) -> str:
    """Return a time in its usual unit, such as `19.5 h`."""
    for unit, least in (("h", 5400.0), ("min", 90.0)):
        if seconds_ >= least:
            return f"{seconds_ / _SECONDS[unit]:.3g} {unit}"
    return f"{max(0.0, seconds_):.0f} s"
