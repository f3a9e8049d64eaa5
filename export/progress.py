"""Progress bars with a rate and the time left, on stderr, and only where that is a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")

tqdm.monitor_interval = 0  # no thread of its own


def progress(items: Iterable[T], what: str, *, total: int | None = None, unit: str = "it") -> Iterable[T]:
    """Show a bar while `items` are walked."""
    bar: Iterable[T] = tqdm(items, desc=f"{what:<16}", total=total, unit=f" {unit}", disable=None, leave=True)
    return bar


def bar(what: str, total: int, unit: str) -> tqdm[None]:
    """Give a bar to be moved by hand, inside a `with`, by its `update(n)`."""
    return tqdm(desc=f"{what:<16}", total=total, unit=f" {unit}", disable=None, leave=True)
