"""Guarantees of a conformal threshold in words: its expected false alarm rate, and an upper bound with confidence."""

from __future__ import annotations

CONFIDENCE = 0.95
"""Confidence of the bound for one calibration."""


def in_words(average: float, upper: float) -> str:
    """Return both rates in a few words: the average over calibrations, and the bound for this one."""
    return f"{average:.2%} on average over calibrations, at most {upper:.2%} with {CONFIDENCE:.0%} confidence"
