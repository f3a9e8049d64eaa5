"""Why there is no release."""

from __future__ import annotations


class Refused(Exception):
    """A release that is not begun, or not finished: one line says what is wrong, where, and what to do."""
