"""Counts of pictures with their uncertainty: exact confidence intervals, and what a promise allows."""

from __future__ import annotations

import msgspec

from edge_config.bundle.manifest import Calibration
from edge_config.bundle.promise import CONFIDENCE

ALLOWED = 0.99
"""Share of calibrations and tests in which a kept promise gives at most `allowed` false alarms."""


class Share(msgspec.Struct, frozen=True):
    """How many of a number of pictures, and the interval of the true share.

    Attributes:
        found: number of pictures that count.
        of: number of pictures.
        low, high: bounds of the true share with 95 % confidence (Clopper and Pearson), 0 to 1.
    """

    found: int
    of: int
    low: float
    high: float

    @property
    def rate(self) -> float | None:
        """The share itself; None of no pictures."""
        return self.found / self.of if self.of else None


def share(found: int, of: int) -> Share:
    """Return a count with the exact interval of Clopper and Pearson: whatever the true share, it is inside with 95 %.

    Of no pictures, it is 0 to 1.
    """
    from scipy.special import betaincinv  # this too

    tail = (1 - CONFIDENCE) / 2
    low = 0.0 if found == 0 else float(betaincinv(found, of - found + 1, tail))
    high = 1.0 if found == of else float(betaincinv(found + 1, of - found, 1 - tail))
    return Share(found, of, low, high)


def allowed(calibration: Calibration, pictures: int) -> int:
    """Return the number of false alarms that a kept promise exceeds in one of a hundred tests.

    At rank r of n held-out scores, the number of false alarms among m new exchangeable normal pictures is beta-binomial
    (m; n + 1 - r, r): the uncertainty of the calibration and of the test together.
    """
    from scipy.stats import betabinom  # takes a second

    above = round(calibration.promised_alpha * (calibration.n + 1))
    return int(betabinom.ppf(ALLOWED, pictures, above, calibration.n + 1 - above))


def in_words(counted: Share) -> str:
    """Return such as "94.00% (47 of 50; 83.45% to 98.75% with 95% confidence)"; "-" of no pictures."""
    if counted.rate is None:
        return "-"
    return (
        f"{counted.rate:.2%} ({counted.found} of {counted.of}; {counted.low:.2%} to {counted.high:.2%} "
        f"with {CONFIDENCE:.0%} confidence)"
    )
