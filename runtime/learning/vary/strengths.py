"""How strong the alterations are: fixed ones for the bank, random ones within the tolerance for the calibration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edge_config.bundle.may_vary import MayVary
from runtime.learning.vary.change import Change

GAMMA_BELOW, GAMMA_ABOVE = 1.5, 2.0
"""A tolerance t for light allows a gain from 1 - t to 1 + t, or a gamma from 1 - 1.5 t to 1 + 2 t, which is 0.7 to 1.4
for 20 %: in the middle of the scale, about the same change as that of the gains."""

FOCUS = 0.003
"""Largest blur that `focus` allows: its standard deviation, relative to the width. A blur of 0.01 makes a picture that
cannot be judged (`runtime.learning.learn_scene.SOFTEST`)."""

_GOLDEN = (5**0.5 - 1) / 2
"""Multiples of it, without their whole part, are spread evenly however many there are."""

_ANY_STEP = 30  # degrees
_FULL_TURN = 360.0

_Part = dict[str, Any]
"""Fields of a `Change` that one tolerance sets."""

_MIRRORED: list[_Part] = [{"left_right": x, "top_bottom": y} for x, y in ((True, False), (False, True), (True, True))]


def steps(may_vary: MayVary) -> int:
    """Return the number of fixed strengths of all tolerances together."""
    return sum(len(parts) for parts in _levels(may_vary))


def fixed(may_vary: MayVary, count: int, seed: int) -> list[Change]:
    """Return alterations for the bank, in turn through the fixed strengths of each tolerance.

    If several tolerances are declared, each alteration also has a strength of the others, or none, at random.

    Args:
        may_vary: the tolerances.
        count: number of alterations.
        seed: of what is random.
    """
    levels = _levels(may_vary)
    turns = [(lead, part) for lead, parts in enumerate(levels) for part in parts]
    random = np.random.default_rng([seed, count])
    return [_joined(levels, *turns[number % len(turns)], random) for number in range(count)] if turns else []


def each_alone(may_vary: MayVary) -> list[MayVary]:
    """Return the declared tolerances one by one."""
    given = {name: getattr(may_vary, name) for name in MayVary.__struct_fields__}
    return [MayVary(**{name: value}) for name, value in given.items() if value]


def looks(may_vary: MayVary) -> list[Change]:
    """Return the strongest alterations of light and sharpness, by which the limits of a scene are widened."""
    return [Change(**part) for part in (*_lights(may_vary.light), *([{"blur": FOCUS}] if may_vary.focus else []))]


def displaces(may_vary: MayVary) -> bool:
    """Return whether a point of a picture may be elsewhere."""
    return displacement(may_vary, 1, 1) != 0


def displacement(may_vary: MayVary, height: int, width: int) -> float | None:
    """Return how far a point of a picture may move, relative to the width; None if it may be anywhere."""
    if may_vary.rotation == "any" or may_vary.flip:
        return None
    corner = np.hypot(height, width) / 2 * 2 * np.sin(np.radians(may_vary.rotation) / 2)
    return float(may_vary.shift + corner) / width


def at_random(may_vary: MayVary, seed: int, picture: int) -> Change:
    """Return a random alteration within all tolerances at once: the same for the same seed and number of a picture."""
    random = np.random.default_rng([seed, picture])
    parts: _Part = {}
    if may_vary.light:
        parts |= _light_of(may_vary.light, seed, picture)
    if may_vary.shift:
        parts |= _moved(may_vary.shift * np.sqrt(random.uniform()), random.uniform(0, 2 * np.pi))
    if may_vary.rotation:
        most = _FULL_TURN / 2 if may_vary.rotation == "any" else may_vary.rotation
        parts["turn"] = float(random.uniform(-most, most))
    if may_vary.focus:
        parts["blur"] = float(random.uniform(0, FOCUS))
    if may_vary.flip:
        parts |= {"left_right": bool(random.integers(2)), "top_bottom": bool(random.integers(2))}
    return Change(**parts)


def _light_of(light: float, seed: int, picture: int) -> _Part:
    """Return a gain or a gamma: uniform over the tolerance, and spread evenly over pictures in a row.

    In one light all pictures of a fixed camera score alike: a light that no picture happens to have would be missed.
    """
    place = (picture // 2 * _GOLDEN + np.random.default_rng(seed).uniform()) % 1
    return (_gain, _gamma)[picture % 2](light, 2 * float(place) - 1)


def _joined(levels: list[list[_Part]], lead: int, part: _Part, random: np.random.Generator) -> Change:
    joined = dict(part)
    for place, parts in enumerate(levels):
        chosen = int(random.integers(len(parts) + 1))
        if place != lead and chosen < len(parts):
            joined |= parts[chosen]
    return Change(**joined)


def _levels(may_vary: MayVary) -> list[list[_Part]]:
    """Return the fixed strengths of each declared tolerance."""
    every = (
        list(_lights(may_vary.light)),
        list(_shifts(may_vary.shift)),
        [{"turn": float(angle)} for angle in _angles(may_vary.rotation)],
        [{"blur": FOCUS}] if may_vary.focus else [],
        _MIRRORED if may_vary.flip else [],
    )
    return [parts for parts in every if parts]


def _lights(light: float) -> Iterator[_Part]:
    if light:
        yield from (
            _gain(light, share) for share in (-1, -0.25, 0.25, 0.5, 0.75, 1)
        )  # more above: white comes in steps
        yield from (_gamma(light, share) for share in (-1, -0.75, 1))  # more below: it amplifies the noise of the dark


def _gain(light: float, share: float) -> _Part:
    """Return the gain at a share of the tolerance, -1 to 1."""
    return {"gain": 1 + light * share}


def _gamma(light: float, share: float) -> _Part:
    """Return the gamma at a share of the tolerance, -1 to 1."""
    return {"gamma": 1 + light * share * (GAMMA_ABOVE if share > 0 else GAMMA_BELOW)}


def _shifts(shift: float) -> Iterator[_Part]:
    """Yield displacements in eight directions, along the diagonals half as far."""
    if shift:
        yield from (_moved(shift, quarter * np.pi / 2) for quarter in range(4))
        yield from (_moved(shift / 2, (quarter + 0.5) * np.pi / 2) for quarter in range(4))


def _moved(length: float, direction: float) -> _Part:
    return {"right": round(float(length * np.cos(direction)), 6), "down": round(float(length * np.sin(direction)), 6)}


def _angles(rotation: float | str) -> list[float]:
    if rotation == "any":
        return list(range(_ANY_STEP, round(_FULL_TURN), _ANY_STEP))
    most = float(rotation)
    return [-most, -most / 2, most / 2, most] if most else []
