"""`--coreset auto`: the bank is doubled until the scores of held-out pictures hardly fall."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from export.options import Options
from runtime.frame import Neighbours
from runtime.learning.bank.bank import bank_size
from runtime.learning.bank.coreset import Selection, select, thin
from runtime.learning.bank.radius import covering_radius
from runtime.learning.bank.saturation import Saturation
from runtime.search.full import ExactSearch
from tests.support import reference

CHANGE, FIRST, TOP = 0.03, 1024, 5  # as the guide states them
SAME = 1e-5  # relative: a float32 product of some dozen terms, and its root
PATCHES = 40  # of a picture


def pictures(kinds: int, count: int, seed: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return patches of some kinds to choose from, and those of held-out pictures.

    With noise in 80 dimensions, more entries of a kind help little.
    """
    random = np.random.default_rng(seed)
    centres = 5 * random.standard_normal((kinds, 80))
    points = centres[random.integers(kinds, size=count)] + random.standard_normal((count, 80))
    held = centres[random.integers(kinds, size=8 * PATCHES)] + random.standard_normal((8 * PATCHES, 80))
    return points.astype(np.float32), list(held.astype(np.float32).reshape(8, PATCHES, 80))


def expected(bank: np.ndarray, judged: Sequence[np.ndarray]) -> tuple[int, float | None, bool]:
    """Follow the rule over the beginnings of a bank, from the definition."""
    size, last, change = FIRST, None, None
    while size <= len(bank):
        scores = np.array([reference.topk_score(picture, bank[:size], TOP) for picture in judged])
        if last is not None:
            change = float(np.median((last - scores) / last))
            if change < CHANGE:
                return size, change, True
        size, last = 2 * size, scores
    return len(bank), change, False


def choose(points: np.ndarray, judged: Sequence[np.ndarray], size: int) -> tuple[Selection, Saturation]:
    """Choose until the rule says that it is enough."""
    enough = Saturation(points.__getitem__, judged)
    return select(points, size, seed=3, projection_dim=None, enough=enough), enough


@pytest.mark.parametrize(("kinds", "seed"), [(3, 0), (60, 1), (500, 4), (1500, 3)])
def test_stops_where_the_definition_stops(kinds: int, seed: int) -> None:
    """The size is the first doubling that lowers the median score by less than 3 %, or the largest one."""
    points, judged = pictures(kinds, 12000, seed)
    whole = select(points, 6000, seed=3, projection_dim=None).places
    size, change, reached = expected(points[whole], judged)
    chosen, enough = choose(points, judged, 6000)
    assert (len(chosen.places), enough.reached) == (size, reached)
    assert enough.change == pytest.approx(change, abs=SAME)


def test_the_cases_above_stop_early_late_and_never() -> None:
    """Of few kinds of patches a small bank is enough, of more kinds a larger one, and of very many the largest."""
    found = [choose(*pictures(kinds, 12000, seed), 6000) for kinds, seed in ((3, 0), (500, 4), (1500, 3))]
    assert [(len(chosen.places), enough.reached) for chosen, enough in found] == [
        (2048, True),
        (4096, True),
        (6000, False),
    ]


def test_what_is_chosen_is_the_beginning_of_what_would_be_chosen() -> None:
    """The rule only ends the selection: it changes no entry and no order."""
    points, judged = pictures(3, 12000, 0)
    whole = select(points, 6000, seed=3, projection_dim=None).places
    chosen = choose(points, judged, 6000)[0].places
    assert len(chosen) < len(whole)
    assert chosen.tolist() == whole[: len(chosen)].tolist()


def test_does_not_depend_on_the_number_of_threads() -> None:
    """With one thread and with four the same entries are chosen, after the same change."""
    points, judged = pictures(500, 12000, 4)
    found = []
    for threads in (1, 4):
        with threadpool_limits(threads):
            chosen, enough = choose(points, judged, 6000)
            found.append((chosen.places.tobytes(), enough.change))
    assert found[0] == found[1]


def test_pictures_that_score_nothing_settle_at_once() -> None:
    """Where every patch is the same (a lens cap), scores are 0, and so is their change."""
    points = np.full((12000, 5), 0.25, dtype=np.float32)
    chosen, enough = choose(points, [points[:PATCHES]] * 2, 6000)
    assert (len(chosen.places), enough.change) == (2 * FIRST, 0.0)


@pytest.mark.parametrize(
    ("patches", "entries"), [(10, 10), (40, 16), (1000, 250), (20_000, 5000), (32_768, 8192), (3_000_000, 8192)]
)
def test_auto_is_capped(patches: int, entries: int) -> None:
    """At most a quarter of the patches and at most 8,192 of them are selected, but no fewer than an index needs."""
    assert bank_size(Options(images="-", out="-", coreset="auto"), patches) == entries


def test_thinning_draws_some_rows_by_the_seed() -> None:
    """Rows beyond the most are left out at random, by the seed; the others keep their order, and fewer are kept all."""
    some = thin(3000, 1000, seed=4)
    assert some is not None
    assert len(some) == 1000
    assert (np.diff(some) > 0).all()
    assert 0 <= some[0] < some[-1] < 3000
    assert some.tobytes() == thin(3000, 1000, seed=4).tobytes() != thin(3000, 1000, seed=5).tobytes()
    assert thin(3000, 3000, seed=4) is None


class Counting:
    """An exact search that counts what it searched."""

    def __init__(self, bank: NDArray[np.float32]) -> None:
        """Search `bank`."""
        self.exact = ExactSearch(bank)
        self.searched = 0

    def __call__(self, features: NDArray[np.float32]) -> Neighbours:
        """Find the nearest entries."""
        self.searched += len(features)
        return self.exact(features)


def test_covering_radius_from_near_entries_is_the_same_with_less_search() -> None:
    """Entries that are known to be near spare most searches, and the radius is equal to the last bit."""
    points, _ = pictures(60, 24_000, 5)
    rows = np.arange(0, 24_000, 2)
    chosen = select(points, 200, seed=0, projection_dim=8, rows=rows)
    bank = points[rows[chosen.places]]
    everywhere, spared = Counting(bank), Counting(bank)
    radius = covering_radius(points, everywhere, rows)
    assert covering_radius(points, spared, rows, (bank, chosen.nearest)) == radius
    assert radius == pytest.approx(reference.covering_radius(points[rows], bank), rel=SAME)
    assert spared.searched < len(rows) / 2 < everywhere.searched


def test_covering_radius_is_the_same_from_poor_bounds() -> None:
    """An entry that is anything but near costs a search, and changes nothing."""
    points, _ = pictures(60, 5000, 6)
    bank = points[::40]
    near = np.random.default_rng(0).integers(len(bank), size=len(points)).astype(np.int32)
    assert covering_radius(points, ExactSearch(bank), None, (bank, near)) == covering_radius(points, ExactSearch(bank))
