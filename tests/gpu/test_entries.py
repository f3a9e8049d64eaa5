"""The selection by products in torch, against the plain loop. No GPU is needed: torch's CPU goes the same way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_config.errors import ProviderUnavailable
from export.gpu import entries as module
from export.gpu.entries import TorchEntries
from export.gpu.start import require_exact
from runtime.learning.bank.chosen import Comparisons, Entries
from runtime.learning.bank.coreset import Choosing, choose
from runtime.learning.bank.grid import READ_ROWS, Selecting, to_grid
from runtime.learning.bank.in_slices import slices, workers
from tests.bank.test_coreset import Parts, clusters, far_away, gaussian, hubs, lattice
from tests.support import reference


def select(points: np.ndarray, size: int, first: int, parts: int = 1) -> list[int]:
    """Select from points on the grid, in parts that share what compares them."""
    how, together = Selecting(size, None), TorchEntries(size, points.shape[1], "cpu")

    class Shared(Parts):
        def __init__(self) -> None:
            self.parts = parts
            places = np.array_split(np.random.default_rng(5).permutation(len(points)), parts)
            self._parts = [
                Choosing(points, rows, rows, slices(len(rows), READ_ROWS), how, pool, lambda _: together)
                for rows in map(np.sort, places)
            ]

    with workers() as pool:
        return choose(Shared(), first, how).tolist()


def assert_same_as_plain_loop(points: np.ndarray, size: int, first: int, parts: int = 1) -> None:
    grid = to_grid(points)
    assert select(grid.copy(), size, first, parts) == reference.farthest_first(grid, size, first)


@given(
    count=st.integers(1, 400),
    distinct=st.integers(1, 400),
    dimension=st.integers(1, 40),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
    far=st.booleans(),
)
def test_any_points_give_the_plain_loop(
    count: int, distinct: int, dimension: int, share: float, seed: int, *, far: bool
) -> None:
    """Whatever the number of points, copies among them, and entries: the rows are those of plain greedy in float64."""
    make = far_away if far else gaussian
    points = make(min(count, distinct), dimension, seed)
    points = points[np.random.default_rng(seed).integers(len(points), size=count)]
    assert_same_as_plain_loop(points, max(1, round(share * count)), seed % count)


@pytest.mark.parametrize(
    "points",
    [
        clusters(1500, 24, 1),
        hubs(1500, 16, 2),
        lattice(9, 9, 9),
        np.repeat(gaussian(150, 4, 9), 4, axis=0),
        np.full((300, 4), 0.3, dtype=np.float32),
    ],
    ids=["clusters", "hubs", "ties", "copies", "equal"],
)
@pytest.mark.parametrize(("at_a_time", "parts"), [((1 << 14, 1 << 10), 1), ((50, 7), 1), ((50, 64), 3)], ids=str)
def test_how_much_is_compared_at_a_time_changes_no_row(
    points: np.ndarray, at_a_time: tuple[int, int], parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In few steps or many, of one part or some that share the entries, with ties and copies: the rows are the same."""
    monkeypatch.setattr(module, "_POINTS", at_a_time[0])
    monkeypatch.setattr(module, "_ENTRIES", at_a_time[1])
    assert_same_as_plain_loop(points.copy(), len(points) // 3, 7, parts)


def test_distances_are_exact_at_the_limit_of_the_grid() -> None:
    """Of points that are as large as the grid has, float64 notes the distances that whole numbers give."""
    points = gaussian(300, 128, 3)
    grid = to_grid(np.sign(points) * np.linspace(0.999, 1, 300, dtype=np.float32)[:, None])
    known, entries = Comparisons.nothing(300), TorchEntries(40, 128, "cpu")
    entries.append(0, Entries(np.arange(40), grid[:40]))
    entries.compare(grid, np.arange(300), known, 0.0)
    whole = grid.astype(np.int64)
    true = ((whole[:, None] - whole[:40]) ** 2).sum(axis=2)
    assert (known.distances.astype(np.int64) == true.min(axis=1)).all()
    assert (true[np.arange(300), known.nearest] == true.min(axis=1)).all()
    assert (known.compared == 40).all()


class Rounding(TorchEntries):
    """On a device that keeps the bits of float32."""

    def compare(self, points: np.ndarray, places: np.ndarray, known: Comparisons, limit: float) -> None:
        super().compare(points, places, known, limit)
        known.distances[:] = known.distances.astype(np.float32)


def test_a_device_that_rounds_is_refused() -> None:
    """Before a fit, a device whose distances are not exact is named; one whose are is taken."""
    require_exact(lambda size, dimension: TorchEntries(size, dimension, "cpu"), "cpu")
    with pytest.raises(ProviderUnavailable, match=r"cuda:3: its products in float64 are not exact; .*--device cuda"):
        require_exact(lambda size, dimension: Rounding(size, dimension, "cpu"), "cuda:3")


def test_a_device_that_fails_is_one_line() -> None:
    """What torch says of its device comes as one line that says what to do; the device `meta` has no memory at all."""
    grid = to_grid(gaussian(30, 4, 0))
    entries = TorchEntries(4, 4, "meta")
    entries.append(0, Entries(np.arange(1), grid[:1]))
    with pytest.raises(ProviderUnavailable, match=r"^meta: torch fails there \(.*--device cuda") as error:
        entries.compare(grid, np.arange(30), Comparisons.nothing(30), 0.0)
    assert "\n" not in str(error.value)
