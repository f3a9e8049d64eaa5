"""Progress on stderr: bars with a rate and the time left at a terminal, else lines (`runtime.process.progress`)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Any, TypeVar

from runtime.process.progress import GAUGE

T = TypeVar("T")


def progress(items: Iterable[T], what: str, *, total: int | None = None, unit: str = "item") -> Iterable[T]:
    """Show the progress of an iteration over `items`; `unit` is in the singular."""
    if sys.stderr.isatty():
        shown: Iterable[T] = _bar(what, total, unit, items)
        return shown
    return _told(items, what, total if total is not None else len(items) if isinstance(items, Sized) else None, unit)


@contextmanager
def bar(what: str, total: int, unit: str) -> Iterator[Callable[[int], object]]:
    """Show a bar inside a `with`; what it yields is called with the number of further pieces that are done."""
    if sys.stderr.isatty():
        with _bar(what, total, unit) as moving:
            yield moving.update
    else:
        with GAUGE.stage(what, total, _plural(unit)) as stage:
            yield stage.update


def _bar(what: str, total: int | None, unit: str, items: Iterable[Any] | None = None) -> Any:
    from tqdm import tqdm

    tqdm.monitor_interval = 0  # no thread of its own
    return tqdm(items, desc=f"{what:<16}", total=total, unit=f" {unit}", leave=True)


def _told(items: Iterable[T], what: str, total: int | None, unit: str) -> Iterator[T]:
    with GAUGE.stage(what, total, _plural(unit)) as stage:
        for item in items:
            yield item
            stage.update()


def _plural(unit: str) -> str:
    return f"{unit[:-1]}ies" if unit.endswith("y") else f"{unit}s"


def say(text: str, kind: str = "note") -> None:
    """Print a note at once; the summary repeats it."""
    print(f"{GAUGE.program}: {kind}: {text}", file=sys.stderr, flush=True)
