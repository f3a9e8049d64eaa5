"""Numbers on the command line, with their bounds.

The docstring of each type begins with "Parse" and says which values it allows: the reference shows it.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable


def whole(least: int, most: int) -> Callable[[str], int]:
    """Return an argparse type: a whole number from `least` to `most`."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{number} is not between {least} and {most}")
        return number

    parse.__doc__ = f"Parse a whole number from {least} to {most}."
    return parse


def odd(text: str) -> int:
    """Parse an odd whole number from 1 to 31."""
    number = whole(1, 31)(text)
    if number % 2 == 0:
        raise argparse.ArgumentTypeError(f"{number} is not odd")
    return number


def between(low: float, high: float) -> Callable[[str], float]:
    """Return an argparse type: a number above `low` and below `high`."""

    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not low < number < high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number between {low:g} and {high:g}")
        return number

    parse.__doc__ = f"Parse a number above {low:.10g} and below {high:.10g}."
    return parse


def share(text: str) -> float:
    """Parse a number from 0 to 1."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return number


def share_or_count(text: str) -> float | int:
    """Parse a share between 0 and 1, or a whole number from 2."""
    if text.isdecimal() and int(text) > 1:
        return whole(2, 10**9)(text)
    try:
        return between(0, 1)(text)
    except argparse.ArgumentTypeError:
        said = f"{text!r} is neither a share between 0 and 1 nor a whole number from 2"
        raise argparse.ArgumentTypeError(said) from None


def triple(text: str) -> tuple[float, ...]:
    """Parse three numbers with commas between them."""
    try:
        red, green, blue = (float(number) for number in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not three numbers such as 123.7,116.3,103.5") from None
    return red, green, blue


def polygon(text: str) -> list[tuple[int, int]]:
    """Parse the corners of a polygon, X,Y,X,Y,X,Y: at least three, whole numbers from 0 to 65535."""
    try:
        numbers = [whole(0, 65535)(number.strip()) for number in text.split(",")]
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, in the polygon {text!r}") from None
    if len(numbers) < 6 or len(numbers) % 2:  # noqa: PLR2004 - three corners
        raise argparse.ArgumentTypeError(f"{text!r} is not a polygon of at least three corners, such as 0,0,90,0,90,40")
    return list(zip(numbers[::2], numbers[1::2], strict=True))
