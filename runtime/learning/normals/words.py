"""What is said about strange pictures, in the summary and at once."""

from __future__ import annotations

from collections.abc import Sequence

from edge_config.bundle.manifest import Calibration, Excluded, Outlier
from runtime.learning.progress import say

MAX_NAMED = 10
"""Maximum number of pictures that are named, the strangest first."""

RULE = (
    "foreign: far above all others, by the gap in the logarithms of the scores (chance below 1% for a tail of a "
    "power law); found again without them, at most three times"
)
_REMEDY = "Remove what is not normal, or give --exclude auto"
RULE_COUNT = "the strangest, as many as asked"


def warn(
    foreign: Sequence[Outlier], excluded: Excluded | None, calibration: Calibration, scores: Sequence[tuple[str, float]]
) -> list[str]:
    """Return what a person should know before trusting the bundle, and print it at once.

    Args:
        foreign: pictures that are kept though they are strange among the others.
        excluded: what was left out; None if it was not asked for.
        calibration: the threshold.
        scores: name and score of each held-out picture.
    """
    said = [of_excluded(excluded, calibration)] if excluded else []
    if calibration.foreign:
        said.append(of_held_out(scores, calibration))
    if learnt := [one for one in foreign if one.learnt]:
        said.append(of_learnt(learnt))
    for warning in said:
        say(warning, "warning")
    return said


def of_held_out(scores: Sequence[tuple[str, float]], calibration: Calibration) -> str:
    """Say which held-out pictures would have set the threshold; there is one at least."""
    ordered = sorted(scores, key=lambda one: -one[1])
    strange = ordered[: calibration.foreign]
    named = [f"{name} ({score:.4g})" for name, score in strange]
    return (
        f"{len(strange)} of {calibration.n} held-out pictures would lift the threshold from "
        f"{calibration.threshold:.4g} to {strange[0][1]:.4g}; it is set without them, and they count as false alarms: "
        f"look at {_list(named)}. {_REMEDY}"
    )


def of_learnt(strange: Sequence[Outlier]) -> str:
    """Say which learnt pictures are strange among the others; there is one at least."""
    named = [f"{one.name} ({one.deviations:.0f} deviations above the median)" for one in strange]
    return (
        f"{len(strange)} learnt {_pictures(strange)} {_verb(strange)} strange among the others, and what "
        f"{'it shows' if len(strange) == 1 else 'they show'} counts as normal: look at {_list(named)}. {_REMEDY}"
    )


def of_excluded(excluded: Excluded, calibration: Calibration) -> str:
    """Say what was left out on request."""
    if not excluded.pictures:
        return f"--exclude {excluded.asked}: no picture is foreign, none is left out"
    named = [f"{one.name} ({one.score:.4g}, {one.deviations:.0f} deviations)" for one in excluded.pictures]
    held = sum(not one.learnt for one in excluded.pictures)
    if_normal = calibration.promised_alpha + (1 - calibration.promised_alpha) * held / (calibration.n + held + 1)
    rate = f"; {if_normal:.2%} if the {held} held out are normal after all" if held else ""
    return (
        f"--exclude {excluded.asked}: {len(named)} {_pictures(named)} {_verb(named)} left out ({len(named) - held} to "
        f"learn from, {held} held out): {_list(named)}. The promise holds for pictures like those that are left{rate}"
    )


def _pictures(strange: Sequence[object]) -> str:
    return "picture" if len(strange) == 1 else "pictures"


def _verb(strange: Sequence[object]) -> str:
    return "is" if len(strange) == 1 else "are"


def _list(named: Sequence[str]) -> str:
    more = f" and {len(named) - MAX_NAMED} more" if len(named) > MAX_NAMED else ""
    return ", ".join(named[:MAX_NAMED]) + more
