"""The value of `--may-vary`: what is no fault."""

from __future__ import annotations

import argparse
import math
import re
from typing import Any, get_args

import msgspec

from edge_config.bundle.may_vary import MayVary

_FORMS = {
    "light": (re.compile(r"(.+)%"), 0.01, "a percentage such as light=20%"),
    "shift": (re.compile(r"(.+?)(?:px)?"), 1.0, "pixels of the camera such as shift=4px"),
    "rotation": (re.compile(r"(.+)"), 1.0, "degrees such as rotation=5, or rotation=any"),
}
"""Tolerance with a strength -> the form of its value, its unit, and what it is."""
_WORDS = ("focus", "flip")


def may_vary(text: str) -> dict[str, Any]:
    """Parse tolerances with commas between them, or `none`."""
    if text.strip() == "none":
        return {}
    found: dict[str, Any] = {}
    for part in text.split(","):
        name, equals, given = part.strip().partition("=")
        if name in found:
            raise argparse.ArgumentTypeError(f"{name} stands there twice")
        if name in _FORMS:
            found[name] = _strength(name, given)
        elif name in _WORDS and not equals:
            found[name] = True
        else:
            known = "light=20%, shift=4px, rotation=5, rotation=any, focus, flip, or none alone"
            raise argparse.ArgumentTypeError(f"{part.strip()!r} is none of {known}")
    return found


def _strength(name: str, given: str) -> float | str:
    """Return a strength in the unit of its field."""
    if name == "rotation" and given == "any":
        return given
    form, unit, what = _FORMS[name]
    try:
        number = float(match[1]) if (match := form.fullmatch(given)) else math.nan
    except ValueError:
        number = math.nan
    most = _most(name)
    if not 0 < number * unit <= most:
        raise argparse.ArgumentTypeError(f"{name}={given}: give {what}, above 0 and at most {most / unit:g}")
    return round(number * unit, 12)


def _most(name: str) -> float:
    """Return the upper bound of a field."""
    (field,) = (one for one in msgspec.structs.fields(MayVary) if one.name == name)
    kinds = (field.type, *get_args(field.type))
    return next(float(meta.le) for kind in kinds for meta in getattr(kind, "__metadata__", ()) if meta.le is not None)
