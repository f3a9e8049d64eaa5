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


class LazySearch:
    """Nearest entries for the frames of one camera, exact where they decide.

    Attributes:
        trail: follows the scene; None: places are all that is known, for comparisons.
    """

    def __init__(
        self,
        graph: Search | None,
        bank: NDArray[np.float32],
        exact: PrunedSearch,
        k: int = 1,
        history: History | None = None,
    ) -> None:
        """Set up the tiers.

        Args:
            graph: finds any near entry of patches of which nothing is known; its distances are not used. None: the
                tables of `exact` do.
            bank: float32 [entries, D].
            exact: exact search of the same bank.
            k: number of the largest distances that decide.
            history: history of the camera; without one nothing is known of any patch.
        """
        self._graph = graph
        self._bank = bank
        self._exact = exact
        self._k = k
        self._history = history
        self.trail = None if history is None else Trail(history.grid_hw, exact.axes)
        self._moved: NDArray[np.int64] | None = None  # what is known where the scene of this frame was
        self._expected = 0.0  # the k-th largest distance of the last frame, an estimate for this one
        self._rest = 0  # remaining frames in which only the newest entry of the history is looked at
        self._last_rest = 0

    def __call__(self, features: NDArray[np.float32], active: NDArray[np.bool_] | None = None) -> Neighbours:
        """Find one entry for each patch float32 [patches, D]; the k largest distances equal those of `ExactSearch`.

        Args:
            features: features of all patches.
            active: bool [patches], at least one: the patches to search; by default all.
        """
        self._moved = None
        known = self._history is not None and not self._history.empty
        if not known and self._graph is not None:
            found = self._by_graph(self._graph, features, active)
        else:
            listed = known and not self._rest
            if listed:
                self._follow(features, active)
            how = self._what_is_known()
            found, self._expected = self._exact.search(features, k=self._k, known=how, listed=listed, active=active)
        self._learn(found, listed=known and not self._rest)
        return found

    def refine(self, features: NDArray[np.float32], found: Neighbours, at_least: float) -> None:
        """Make all distances of `at_least` or more exact, in place.

        So the patches at or over a threshold are those of the exact search; elsewhere bounds below it remain.
        """
        self._exact.settle(features, found, k=self._k, at_least=at_least, known=self._what_is_known())

    def tell_apart(self, features: NDArray[np.float32], found: Neighbours, at_least: float) -> None:
        """Lower every distance whose true value is below `at_least` below it, in place.

        So the patches at or over a threshold are those of the exact search, though their distances remain bounds.
        """
        self._exact.tell_apart(features, found, at_least=at_least, known=self._what_is_known())

    def _follow(self, features: NDArray[np.float32], active: NDArray[np.bool_] | None) -> None:
        """Look where the scene was, and use what is known there if it is nearer, at some of the patches."""
        assert self._history is not None  # noqa: S101 - called only with one
        if self.trail is None or (moved := self.trail.follow(features, self._history.entries[:, 0], active)) is None:
            return
        some = np.arange(len(features))[::_SAMPLED] if active is None else np.flatnonzero(active)[::_SAMPLED]
        there, here = (
            distances(features[some], self._bank, index[some, 0], self._exact.divisors).mean(dtype=np.float64)
            for index in (moved, self._history.entries)
        )
        self._moved = moved if there < here else None

    def _by_graph(self, graph: Search, features: NDArray[np.float32], active: NDArray[np.bool_] | None) -> Neighbours:
        """Bound every distance by the graph, and make exact what decides."""
        judged = features if active is None else features[active]
        index = graph(judged).index.copy()  # it will be refined in place
        found = all_of(Tier.GRAPH, distances(judged, self._bank, index, self._exact.divisors), index)
        found = found if active is None else spread(found, active)
        self._exact.settle(features, found, k=self._k)
        self._expected = self._least_that_decides(found.distance)  # which are exact, as all above
        return found

    def _what_is_known(self) -> Known:
        """Return the known entries of the patches."""
        if self._history is None or self._history.empty:
            return NOTHING_KNOWN._replace(expected=self._expected)
        entries = self._history.entries if self._moved is None else self._moved
        return Known(entries, self._history.around, self._expected)

    def _least_that_decides(self, exact: NDArray[np.float32]) -> float:
        """Return the k-th largest of distances of which the k largest are exact: smaller ones cannot decide."""
        return float(np.partition(exact, -self._k)[-self._k]) if len(exact) >= self._k else 0.0

    def _learn(self, found: Neighbours, *, listed: bool) -> None:
        """Update the history, and decide whether what it lists pays."""
        if self._history is None:
            return
        searched = self._history.learn_found(found)
        if listed and self.trail is not None:
            self.trail.keep(found.index, useful=self._moved is not None)
        if not listed:
            self._rest = max(0, self._rest - 1)
        else:
            self._last_rest = min(2 * self._last_rest + 1, _LONGEST_REST) if searched > _POINTLESS else 0
            self._rest = self._last_rest
