"""A scene that moves is followed: what was near to it is looked at where it is now, and the score stays exact."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from runtime.frame import Tier
from runtime.search.full import ExactSearch
from runtime.search.history import History
from runtime.search.lazy import LazySearch
from runtime.search.motion import Correlate
from runtime.search.pruned import PrunedSearch
from runtime.search.trail import Trail, _Step
from tests.search.moving import DIMENSION, seen, world
from tests.support import reference

HW = (24, 32)
K = 3
B = 9
NOISE = 0.05  # of the features' deviation
FRAMES = 16
SETTLED = 6  # frames, until a motion is known
FEWER = 0.6  # of the patches that need a second look: where a quarter of the picture is new each time, half of them
LOOKED = (
    0.25  # of the frames, where nothing moves: five at a time, and then rests of 1, 3, 7, 15, 31, 32, 32 ... frames
)

WAYS = {
    "slowly": [(0, -0.375)] * FRAMES,
    "as the demo": [(0, -0.625)] * FRAMES,
    "fast": [(0, -3.625)] * FRAMES,
    "very fast": [(0, -7.5)] * FRAMES,
    "down": [(2.25, 0)] * FRAMES,
    "askew": [(-1.5, 2.125)] * FRAMES,
    "stop and go": [(0, -2.5)] * 7 + [(0, 0)] * 4 + [(0, -2.5)] * 5,
    "with lost frames": [(0, -4.5 if step % 5 == 0 else -2.25) for step in range(FRAMES)],
    "with a camera that shakes": [(0.4 * (-1) ** step, -2.25 + 0.3 * (step % 3 - 1)) for step in range(FRAMES)],
    "back and forth": [(0, -2.25)] * 8 + [(0, 2.25)] * 8,
}


def film(ways: list[tuple[float, float]], kind: str = "grains", seed: int = 0) -> Iterator[np.ndarray]:
    """Yield frames, float32 [patches, DIMENSION], of a scene that moves by so many patches from each to the next."""
    values, row, column = world(kind, seed), 30.0, 40.0
    for down, right in ways:
        row, column = row - down, column - right
        yield seen(values, row % len(values), column % values.shape[1], HW, NOISE)


@pytest.fixture(scope="module")
def bank() -> np.ndarray:
    """Return entries of other scenes of grains."""
    random = np.random.default_rng(0)
    views = [seen(world("grains", seed), 0.31 * seed, 0.17 * seed, HW, NOISE) for seed in range(1, 4)]
    return random.permutation(np.concatenate(views))[:1500]


def make_search(bank: np.ndarray, *, follows: bool = True) -> LazySearch:
    """Return the search of a device, with the trail or without."""
    exact = PrunedSearch(bank, reference.neighbour_table(bank, B).astype(np.int32))
    search = LazySearch(ExactSearch(bank), bank, exact, K, History(HW))
    if not follows:
        search.trail = None
    return search


def lowered(search: LazySearch, frames: Iterable[np.ndarray], bank: np.ndarray) -> list[int]:
    """Search frames; return how many patches of each were not settled by the first entry that is known of them."""
    counts = []
    for features in frames:
        found, true = search(features), ExactSearch(bank)(features)
        top = np.lexsort((np.arange(len(true.distance)), -true.distance))[:K]
        assert found.distance[top].tobytes() == true.distance[top].tobytes()
        assert found.index[top].tolist() == true.index[top].tolist()
        assert (found.distance >= true.distance).all()
        counts.append(int(np.count_nonzero(found.tier > Tier.KNOWN)))
    return counts


@pytest.mark.slow
@pytest.mark.parametrize("name", WAYS)
def test_a_scene_that_moves_costs_less_and_stays_exact(bank, name: str):
    """However it moves, what decides is exact; and fewer patches need a second look than if it knew places alone."""
    frames = list(film(WAYS[name]))
    followed = lowered(make_search(bank), frames, bank)[SETTLED:]
    still = lowered(make_search(bank, follows=False), frames, bank)[SETTLED:]
    assert np.mean(followed) <= FEWER * np.mean(still)


def carried(ways: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return what is known first of each patch after whole steps, where each frame's entries are numbers of its own.

    With it what each patch knows itself: numbers below 0.
    """
    trail, patches = Trail(HW, np.eye(DIMENSION)), HW[0] * HW[1]
    own, known = -1 - np.arange(patches), None
    for number, features in enumerate(film([(0, 0), *ways])):
        known = trail.follow(features, own)
        trail.keep(number * patches + np.arange(patches), useful=True)
    assert known is not None
    return known.reshape(*HW, -1), own.reshape(HW)


@pytest.mark.parametrize(("down", "right"), [(0, 3), (0, -3), (2, 0), (-4, 0), (3, -5), (-1, 1)])
def test_what_was_known_is_where_the_scene_moved(down: int, right: int):
    """After a step of whole patches, each knows the entry of the one that showed it; new ones know their own."""
    known, own = carried([(down, right)])
    for row, column in np.ndindex(HW):
        row_then, column_then = row - down, column - right
        inside = 0 <= row_then < HW[0] and 0 <= column_then < HW[1]
        assert known[row, column, 0] == (row_then * HW[1] + column_then if inside else own[row, column])
        assert own[row, column] in known[row, column]


def test_a_frame_since_which_it_moved_by_whole_patches_comes_first():
    """Of a belt that moves by half a patch a frame, the frame before the last one shows the same, moved by a patch."""
    trail, patches = Trail(HW, np.eye(DIMENSION)), HW[0] * HW[1]
    for number, features in enumerate(film([(0, -0.5)] * 8)):
        known = trail.follow(features, np.full(patches, -1))
        trail.keep(np.full(patches, number), useful=True)
        if number > SETTLED:
            assert known is not None
            assert (number - known[known[:, 0] >= 0, 0]).max() % 2 == 0


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by each frame whose motion is looked at."""
    frames: list[int] = []
    spectrum = Correlate.spectrum

    def note(correlate: Correlate, *args: object) -> np.ndarray:
        """Note and pass on."""
        frames.append(len(frames))
        return spectrum(correlate, *args)

    monkeypatch.setattr(Correlate, "spectrum", note)
    return frames


@pytest.mark.parametrize("kind", ["still", "unlike", "shaking"])
def test_where_nothing_moves_on_it_is_hardly_looked_for(looked, kind: str):
    """On a camera that stands still or trembles, and of pictures without likeness, few frames cost anything."""
    random = np.random.default_rng(0)
    trail, patches = Trail(HW, np.eye(DIMENSION)), HW[0] * HW[1]
    few = list(film([(0, 0), (0.2, -0.3), (-0.1, 0.2), (0.1, 0.1)]))
    for number in range(200):
        if kind == "unlike":
            features = random.standard_normal((patches, DIMENSION)).astype(np.float32)
        else:
            features = few[number % 4 if kind == "shaking" else 0]
        assert trail.follow(features, np.zeros(patches, dtype=int)) is None
        trail.keep(np.zeros(patches, dtype=int), useful=False)
    assert len(looked) <= LOOKED * 200


def test_a_belt_that_starts_is_followed_soon():
    """After a long stop, no more is missed than a rest of 32 frames, and a few to get to know the motion."""
    trail, patches = Trail(HW, np.eye(DIMENSION)), HW[0] * HW[1]
    still, followed = next(film([(0, 0)])), []
    for features in [still] * 300 + list(film([(0, -2.0)] * (32 + SETTLED))):
        known = trail.follow(features, np.zeros(patches, dtype=int))
        trail.keep(np.zeros(patches, dtype=int), useful=known is not None)
        followed.append(known is not None)
    assert not any(followed[:300])
    assert followed[-1]


def test_what_only_seems_to_move_is_left(bank, looked):
    """Where following is of no use, as each place shows the same all the time, places are what is looked at."""
    search, still = make_search(bank), next(film([(0, 0)]))
    moves = Trail(HW, np.eye(DIMENSION))
    moves._steps = lambda _: [_Step(0, (0.0, 5.0))] if moves._kept else []
    search.trail = moves
    counts = lowered(search, [still] * 200, bank)
    assert max(counts[1:]) <= K
    assert len(looked) <= LOOKED * 200
