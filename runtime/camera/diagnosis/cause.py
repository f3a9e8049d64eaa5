"""The cause that a diagnosis finds."""

from __future__ import annotations

import os


class Cause(Exception):
    """Why a source does not open, and what to do about it.

    Args:
        what: is wrong.
        remedy: against it.
        by_failing: it is wrong only because the source does not open, while the camera's answer is good.
        login: the camera refuses the login.
    """

    def __init__(self, what: str, remedy: str, *, by_failing: bool = False, login: bool = False) -> None:
        """Take the cause."""
        super().__init__(what)
        self.what, self.remedy, self.by_failing, self.login = what, remedy, by_failing, login


def reason_of(error: OSError) -> str:
    """Return the system's text for an error number, not the error's own, which may quote what a camera sent."""
    return os.strerror(error.errno).lower() if error.errno else "connection lost"
