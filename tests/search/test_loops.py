"""The loops of each processor: whichever are used, the same is found, remembered and counted, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from runtime.learning.bank.index import neighbour_table
from runtime.search import _kernels
from runtime.search.history import History
from runtime.search.lazy import LazySearch
from runtime.search.pruned import PrunedSearch
from tests.support.clusters import clusters

HW = (7, 9)
PATCHES = HW[0] * HW[1]
FRAMES = 60
B = 9


@pytest.fixture(autouse=True)
def best_again() -> Iterator[None]:
    """Leave the best loops to other tests."""
    yield
    assert _kernels.use("")


def make_bank(kind: str, random: np.random.Generator) -> np.ndarray:
    """Return a bank whose numbers are as hard as its kind says."""
    bank = clusters(350, 37, seed=5).astype(np.float64)
    if kind == "twins":
        bank = bank[random.integers(0, 90, size=len(bank))]
    if kind == "mixed":
        bank *= 10.0 ** random.uniform(-12, 12, size=(len(bank), 1))
    scale = {"huge": 1e17, "tiny": 1e-19, "denormal": 1e-39}.get(kind, 1.0)
    return (scale * bank[: 1 if kind == "one" else None]).astype(np.float32)


def random_walk(bank: np.ndarray, random: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """Yield frames, and which of their patches are judged: they drift, jump, move, and become all alike."""
    size = np.abs(bank.astype(np.float64)).max() / 10
    features, active = bank[random.integers(0, len(bank), size=PATCHES)].astype(np.float64), None
    for _ in range(FRAMES):
        match random.integers(9):
            case 0:
                features = bank[random.integers(0, len(bank), size=PATCHES)].astype(np.float64)
            case 1:
                shift = tuple(random.integers(-2, 3, size=2))
                features = np.roll(features.reshape(*HW, -1), shift, axis=(0, 1)).reshape(PATCHES, -1)
            case 2:
                features[:] = features[random.integers(PATCHES)]
            case 3:
                features[random.integers(PATCHES)] += 10 * size * random.standard_normal(features.shape[1])
            case 4:
                active = None if random.integers(2) else random.integers(0, 3, size=PATCHES) > 0
            case _:
                features = features + 0.01 * size * random.standard_normal(features.shape)
        yield features.astype(np.float32), active


def found_with(loops: str, kind: str) -> list[bytes]:
    """Return all that is found in a stream of frames, remembered and counted."""
    if not _kernels.use(loops):
        pytest.skip(f"this processor has no {loops}")
    random = np.random.default_rng(11)
    bank, seen = make_bank(kind, random), []
    divisors = (10.0 ** random.uniform(-1, 1, size=len(bank))).astype(np.float32)
    exact, history = PrunedSearch(bank, neighbour_table(bank, min(B, len(bank))), divisors), History(HW)
    search = LazySearch(None, bank, exact, 3, history)
    for features, active in random_walk(bank, random):
        found = search(features, active)
        search.refine(features, found, float(np.median(found.distance)))
        seen += [found.distance.tobytes(), found.index.tobytes(), found.tier.tobytes(), history.entries.tobytes()]
    return [*seen, str(exact.compared).encode()]


@pytest.mark.parametrize("kind", ["plain", "twins", "mixed", "huge", "tiny", "denormal", "one"])
def test_all_loops_find_the_same(kind: str) -> None:
    """Vectors of an instruction set add in the order of the plain loops, also for numbers at the ends of float32."""
    with np.errstate(all="ignore"):
        assert found_with("avx2", kind) == found_with("plain", kind)


def test_loops_of_no_processor_are_not_there() -> None:
    """A name that is none is not taken for the best."""
    assert not _kernels.use("another")
