"""What goes wrong with one frame is that frame's problem."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_WORDS = 200


def attempt(do: Callable[[], T]) -> T | str:
    """Return what comes of it, or the reason for a failure: one frame that fails is no reason to score no others.

    Raises:
        MemoryError: there is not enough of it: nothing can be trusted to go on then.
    """
    try:
        return do()
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is
        return in_words(error)


def in_words(error: Exception) -> str:
    """Return an error on one short line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:_WORDS]
