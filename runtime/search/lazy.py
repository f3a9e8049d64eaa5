"""Lazy exact search, for devices: no patch is searched further than the decision needs; the score is exact.

An approximate neighbour is never nearer than the true one, so any entry gives an upper bound, and only the largest
distances decide. Best first: the patches with the highest bounds are refined, from known entries of recent frames along
the table of neighbours, or by the HNSW graph, to the exact search, until the largest distances are exact. The true
distance of every other patch is at most its bound, which is at most theirs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime.frame import Neighbours, Tier
from runtime.search.full import Search, all_of, distances, spread
from runtime.search.history import History
from runtime.search.pruned import NOTHING_KNOWN, Known, PrunedSearch
from runtime.search.trail import Trail

_POINTLESS = 0.5
"""If more than this share of the patches had to be searched, the history did not pay: pause it for some frames."""

_LONGEST_REST = 32  # frames, until it is retried

_SAMPLED = 16  # of so many patches one decides whether the scene is followed

_HOPEFUL = 8
"""Maximum number of patches, times k, that are compared with the whole bank after a long walk alone; beyond it the
bounds are bad, and the graph is searched first. A fixed camera and a belt need a few times k and stay below it at the
median; pictures of which no two are alike sometimes reach it."""


class LazySearch:
    """Nearest entries for the frames of one camera, exact where they decide.

    Attributes:
        trail: follows the scene; None: places are all that is known, for comparisons.
    """

    def __init__(
        self,
        graph: Search,
        bank: NDArray[np.float32],
        exact: PrunedSearch,
        k: int = 1,
        history: History | None = None,
    ) -> None:
        """Set up the tiers.

        Args:
            graph: finds any near entry; its distances are not used.
            bank: float32 [entries, D].
            exact: exact search of the same bank, with the table of neighbours if there is a history.
            k: number of the largest distances that decide.
            history: history of the camera; without one every patch goes through the graph.
        """
        self._graph = graph
        self._bank = bank
        self._exact = exact
        self._k = k
        self._history = history
        self.trail = None if history is None else Trail(history.grid_hw, exact.axes)
        self._moved: NDArray[np.int64] | None = None  # what is known where the scene of this frame was
        self._expected = 0.0  # the k-th largest distance of the last frame, an estimate for this one
        self._rest = 0  # remaining frames without history
        self._last_rest = 0

    def __call__(self, features: NDArray[np.float32], active: NDArray[np.bool_] | None = None) -> Neighbours:
        """Find one entry for each patch float32 [patches, D]; the k largest distances equal those of `ExactSearch`.

        Args:
            features: features of all patches.
            active: bool [patches], at least one: the patches to search; by default all.
        """
        trusts_history = self._history is not None and not self._history.empty and not self._rest
        judged = features if active is None else features[active]
        self._moved = None
        found = self._known(features, judged, active) if trusts_history else self._searched(judged)
        found = found if active is None else spread(found, active)
        self._settle(features, found, np.inf)
        self._expected = self._least_that_decides(found.distance)  # which are exact, as all above
        self._learn(found, trusts_history)
        return found

    def refine(self, features: NDArray[np.float32], found: Neighbours, at_least: float) -> None:
        """Make all distances of `at_least` or more exact, in place.

        So the patches at or over a threshold are those of the exact search; elsewhere bounds below it remain.
        """
        self._settle(features, found, at_least)

    def tell_apart(self, features: NDArray[np.float32], found: Neighbours, at_least: float) -> None:
        """Lower every distance whose true value is below `at_least` below it, in place.

        So the patches at or over a threshold are those of the exact search, though their distances remain bounds.
        """
        self._exact.tell_apart(features, found, at_least=at_least, known=self._what_is_known())

    def _known(
        self, features: NDArray[np.float32], judged: NDArray[np.float32], active: NDArray[np.bool_] | None
    ) -> Neighbours:
        """Bound the distances of the active patches, `judged`, by what is known where the scene was, or at each place.

        Of the two that is taken which is nearer, at some of the patches.
        """
        assert self._history is not None  # noqa: S101 - called only with one
        newest = self._history.newest
        moved = None if self.trail is None else self.trail.follow(features, newest, active)
        own = newest if active is None else newest[active]
        if moved is not None:
            index = moved[:, 0].copy() if active is None else moved[active, 0]
            distance = self._distances(judged, index)
            some = slice(None, None, _SAMPLED)
            at_place = self._distances(np.ascontiguousarray(judged[some]), own[some].copy())
            if distance[some].mean(dtype=np.float64) < at_place.mean(dtype=np.float64):
                self._moved = moved
                return all_of(Tier.KNOWN, distance, index)
        return all_of(Tier.KNOWN, self._distances(judged, own), own)

    def _searched(self, features: NDArray[np.float32]) -> Neighbours:
        """Bound every distance by the graph."""
        index = self._graph(features).index.copy()  # it will be refined in place
        return all_of(Tier.GRAPH, self._distances(features, index), index)

    def _distances(self, features: NDArray[np.float32], index: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the distances of patches to an entry each."""
        return distances(features, self._bank, index, self._exact.divisors)

    def _settle(self, features: NDArray[np.float32], found: Neighbours, at_least: float) -> None:
        """Refine, best first, until the k largest distances, and those from `at_least` on, are exact."""
        known = self._what_is_known()
        most = _HOPEFUL * self._k
        while len(self._exact.settle(features, found, k=self._k, at_least=at_least, known=known, most=most)):
            exact = found.distance[found.tier == Tier.EXACT]
            likely = found.distance >= min(at_least, self._least_that_decides(exact))
            self._ask_graph(features, found, np.flatnonzero(likely & (found.tier < Tier.GRAPH)))

    def _what_is_known(self) -> Known:
        """Return the known entries of the patches."""
        if self._history is None or self._history.empty:
            return NOTHING_KNOWN
        entries = self._history.entries if self._moved is None else self._moved
        return Known(entries, self._history.around, self._expected)

    def _ask_graph(self, features: NDArray[np.float32], found: Neighbours, rows: NDArray[np.int64]) -> None:
        """Search the patches `rows` in the graph."""
        index = self._graph(features[rows]).index
        distance = self._distances(features[rows], index)
        nearer = distance < found.distance[rows]
        found.distance[rows[nearer]], found.index[rows[nearer]] = distance[nearer], index[nearer]
        found.tier[rows] = Tier.GRAPH

    def _least_that_decides(self, exact: NDArray[np.float32]) -> float:
        """Return the k-th largest of distances of which the k largest are exact: smaller ones cannot decide."""
        return float(np.partition(exact, -self._k)[-self._k]) if len(exact) >= self._k else 0.0

    def _learn(self, found: Neighbours, trusted: bool) -> None:  # noqa: FBT001 - private
        """Update the history, and decide whether it pays."""
        if self._history is None:
            return
        learnt = found.tier > Tier.KNOWN
        if found.active is not None and not self._history.empty:  # the first time it learns all patches
            learnt &= found.active
        rows = np.flatnonzero(learnt)
        self._history.learn(rows, found.index[rows])
        if trusted and self.trail is not None:
            self.trail.keep(found.index, useful=self._moved is not None)
        if not trusted:
            self._rest = max(0, self._rest - 1)
        else:
            self._last_rest = min(2 * self._last_rest + 1, _LONGEST_REST) if found.searched > _POINTLESS else 0
            self._rest = self._last_rest
