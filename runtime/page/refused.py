"""A request of a browser or a program that is refused."""

from __future__ import annotations


class Refused(Exception):
    """A refusal: status, and one sentence for the user.

    Attributes:
        status: status of HTTP.
        error: what is wrong, and what to do.
        headers: further headers of the response.
    """

    def __init__(self, status: int, error: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.headers = headers or {}


class KeyDenied(Refused):
    """The page's key may not send a request to a device."""

    def __init__(self, error: str) -> None:
        super().__init__(403, error)
