"""Call the C extensions with damaged arguments: they may refuse them, but not read or write elsewhere.

    python -m tests.programs.fuzz.calls --calls 20000 --seed 1

Each call begins with arguments that fit, of which some are replaced. A crash ends the process; what was called is the
last line then. Built with -fsanitize=address it finds what does not crash, too.
"""

from __future__ import annotations

import argparse
import faulthandler
from collections.abc import Callable
from typing import Any

import numpy as np

from runtime.learning.bank import _selection
from runtime.learning.normals import _nearest
from runtime.scoring import _features, _pixels
from runtime.search import _kernels
from runtime.search.tables import make_tables

Random = np.random.Generator
Call = tuple[Callable[..., Any], list[Any]]

REFUSED = ValueError, TypeError, BufferError, OverflowError, MemoryError
"""What a call with such arguments may raise."""

_NUMBERS = (-(2**63), -(2**62), -(2**31), -65536, -2, -1, 0, 1, 2, 3, 63, 64, 65, 2**31, 2**33, 2**60, 2**61, 2**62)
_FLOATS = np.array((0, -0.0, 1, -1, 1e-45, -1e-38, 1e18, -1e19, 3e38, np.inf, -np.inf, np.nan))
_WHOLE = np.array((-(2**31), -1, 0, 1, 2, 7, 63, 64, 127, 255, 2**31 - 1, 2**62, -(2**63)), dtype=np.int64)


def pixels(random: Random) -> Call:
    """Return a call that shrinks a picture."""
    height, width, down, right = (int(one) for one in random.integers(1, 20, size=4))
    image = random.integers(0, 256, size=(height + down, width + right, 3), dtype=np.uint8)
    return _pixels.shrink, [image, *image.shape[:2], np.empty((height, width, 3), np.uint8), height, width]


def features(random: Random) -> Call:
    """Return a call that adjusts features."""
    patches, channels = (int(one) for one in random.integers(1, 70, size=2))
    rows = random.normal(size=(patches, channels)).astype(np.float32)
    judged = random.integers(0, 2, size=patches * random.integers(0, 2)).astype(np.bool_)
    offset = rows.copy() if random.integers(2) else np.empty(0, np.float32)
    return _features.adjust, [rows, judged, rows[0].copy(), float(random.uniform(0, 1)), offset]


def nearest(random: Random) -> Call:
    """Return a call that compares patches with pictures."""
    patches, pictures, each = (int(one) for one in random.integers(1, 9, size=3))
    entries = pictures * each
    products, norms = random.normal(size=(patches, entries)), random.normal(size=entries)
    some = [one.astype(np.float32) for one in (products, random.normal(size=patches), norms, np.ones(entries))]
    return _nearest.nearest, [*some, np.arange(pictures) * each, 0, 1, np.empty(patches, np.float32)]


def selection(random: Random) -> Call:
    """Return a call that compares points with entries."""
    points, size, count = (int(one) for one in random.integers(1, 130, size=3))
    chunks, pairs = -(-count // _selection.CHUNK), (size + 1) // 2
    rows = random.integers(-100, 100, size=(points, size)).astype(np.float32)
    entries = random.integers(-100, 100, size=(count, size)).astype(np.float32)
    levels = random.integers(-100, 100, size=(chunks, pairs, _selection.CHUNK, 2)).astype(np.int16)
    halves = random.integers(0, 1000, size=(chunks, _selection.CHUNK)).astype(np.int32)
    known = np.full(points, 1e6), np.zeros(points, np.int32), random.integers(0, count + 1, points).astype(np.int32)
    places = random.permutation(points)
    return _selection.compare, [rows, places, entries, rows[0].copy(), levels, halves, *known, count, 1.0, 0.0]


def distances(random: Random) -> Call:
    """Return a call that compares rows."""
    count, stored, size = (int(one) for one in random.integers(1, 40, size=3))
    rows = random.normal(size=(count if random.integers(2) else 1, size)).astype(np.float32)
    entries, divisors = random.normal(size=(stored, size)).astype(np.float32), np.ones(stored, np.float32)
    at = random.integers(0, stored, size=count)
    return _kernels.distances, [size, rows, entries, at, divisors, np.empty(count, np.float32)]


def learn(random: Random) -> Call:
    """Return a call that remembers entries."""
    patches, length = (int(one) for one in random.integers(1, 20, size=2))
    history = random.integers(0, 99, size=(patches, length))
    rows = random.integers(0, patches, size=5)
    return _kernels.learn, [length, history, rows, random.integers(0, 99, size=5)]


def learn_found(random: Random) -> Call:
    """Return a call that remembers what was found."""
    patches, length = (int(one) for one in random.integers(1, 20, size=2))
    history, index = random.integers(0, 99, size=(patches, length)), random.integers(0, 99, size=patches)
    tier = random.integers(0, 5, size=patches).astype(np.uint8)
    return _kernels.learn_found, [history, index, tier, np.ones(patches, np.bool_)]


def tables(random: Random) -> Call:
    """Return a call that makes tables and searches a frame in them; both get damaged arguments."""
    stored, size = int(random.integers(1, 90)), int(random.integers(1, 40))
    bank, divisors = random.normal(size=(stored, size)).astype(np.float32), np.ones(stored, np.float32)
    beside = random.integers(0, stored, size=(stored, 3)).astype(np.int32)
    threads = int(random.integers(1, 4))
    arguments = [bank, beside, divisors, *make_tables(bank, divisors), 1.0, threads]

    def both(*given: Any) -> None:
        made = _kernels.Tables(*given)
        for _ in range(3):
            _search(random, made, stored, size)

    return both, arguments


def _search(random: Random, made: _kernels.Tables, stored: int, size: int) -> None:
    patches = int(random.integers(1, 70))
    rows = random.normal(size=(patches, size)).astype(np.float32)
    index, tier = random.integers(0, stored, size=patches), random.integers(0, 5, size=patches).astype(np.uint8)
    around = random.integers(0, patches, size=(patches, 8))
    history = random.integers(0, stored, size=(patches, 8))
    flat = [rows, np.ones(patches, np.bool_), np.ones(patches, np.float32), index, tier, history, around, 1.0, 3, 1.0]
    rows, active, distance, index, tier, history, around, expected, k, at_least = damaged(random, flat)
    found, known = (distance, index, tier), (history, around, expected)
    for call in (
        lambda: made.search(rows, active, found, known, k, bool(random.integers(2))),
        lambda: made.settle(rows, found, known, k, at_least),
        lambda: made.tell_apart(rows, found, known, at_least),
    ):
        attempt(call)


CALLS = pixels, features, nearest, selection, distances, learn, learn_found, tables


def damaged(random: Random, arguments: list[Any]) -> list[Any]:
    """Return arguments of which up to three are replaced."""
    given = list(arguments)
    for _ in range(random.integers(0, 4)):
        at = int(random.integers(len(given)))
        given[at] = _another(random, given[at], given)
    return given


def _another(random: Random, one: Any, others: list[Any]) -> Any:
    if random.integers(12) == 0:
        return (None, "text", b"", b"\x01" * 7, -1, 1.5, others[int(random.integers(len(others)))])[random.integers(7)]
    if isinstance(one, np.ndarray) and one.dtype != object:
        return _another_array(random, one)
    if isinstance(one, float):
        return float(random.choice(_FLOATS))
    return int(_NUMBERS[random.integers(len(_NUMBERS))])


def _another_array(random: Random, one: np.ndarray[Any, Any]) -> Any:
    kind, flat = int(random.integers(9)), one.ravel()
    if kind <= 3 and flat.size:  # other numbers
        flat = flat.copy()
        some = random.integers(flat.size, size=random.integers(1, 1 + flat.size))
        with np.errstate(all="ignore"):
            values = _FLOATS if one.dtype.kind == "f" else _WHOLE
            flat[some] = random.choice(values, size=len(some)).astype(one.dtype)
        return flat.reshape(one.shape)
    if kind == 4:
        return flat[: random.integers(0, flat.size + 1)].copy()
    if kind == 5:
        return np.concatenate((flat, flat[: random.integers(1, 4)]))
    if kind == 6:
        return one.astype((np.uint8, np.int16, np.float32, np.float64)[random.integers(4)], casting="unsafe")
    if kind == 7:  # as nothing in memory is aligned
        room = np.empty(one.nbytes + 1, np.uint8)
        room[1:] = np.frombuffer(one.tobytes(), np.uint8)
        return room[1:].view(one.dtype) if one.dtype.itemsize == 1 else room[1:]
    shut = one[..., ::2] if random.integers(2) else one.copy()
    shut.flags.writeable = False
    return shut


def attempt(call: Callable[[], Any]) -> bool:
    """Return whether a call was not refused."""
    try:
        call()
    except REFUSED:
        return False
    return True


def main() -> None:
    """Call, and print how many calls of each were refused."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=2000, help="of each entry point")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    faulthandler.enable()
    np.seterr(all="ignore")
    for make in CALLS:
        refused = 0
        print(f"{make.__name__} ...", flush=True)
        for number in range(given.calls):
            random = np.random.default_rng((given.seed, number))
            call, arguments = make(random)
            some = damaged(random, arguments)
            refused += not attempt(lambda call=call, some=some: call(*some))  # type: ignore[misc]
        print(f"{make.__name__}: {given.calls} calls, {refused} refused", flush=True)


if __name__ == "__main__":
    main()
