"""The search of a device: no patch is searched further than the decision needs, and the score is that of an exact one.

An approximate neighbour is never nearer than the true one, so any entry gives an upper bound, and only the largest
distances decide. Best first: the patches with the highest bounds are refined, from entries known from the last frames
through the HNSW graph to the exact search, until those on top are exact. Every other patch's true distance is at most
its bound, which is at most theirs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime.frame import Neighbours, Tier
from runtime.history import History
from runtime.prune import PrunedSearch
from runtime.search import Search, all_of, distances, nearest_of

_POINTLESS = 0.5
"""Where more than this share of the patches had to be searched, the history did not pay: do without for some frames."""

_LONGEST_REST = 32  # frames, until it is tried again


class LazySearch:
    """Nearest entries for the frames of one camera, exact where they decide."""

    def __init__(
        self,
        graph: Search,
        bank: NDArray[np.float32],
        exact: PrunedSearch,
        k: int = 1,
        history: History | None = None,
        neighbours: NDArray[np.int32] | None = None,
    ) -> None:
        """Take the tiers.

        Args:
            graph: finds any near entry; its numbers are used, not its distances.
            bank: float32 [entries, D].
            exact: over the same bank.
            k: how many of the largest distances decide.
            history: of the camera; without one every patch goes through the graph.
            neighbours: for each entry those beside it, int32 [entries, b]; with a history only.
        """
        self._graph = graph
        self._bank = bank
        self._exact = exact
        self._k = k
        self._history = history
        self._neighbours = neighbours
        self._expected = np.inf  # the k-th largest distance of the last frame: this one's will be about the same
        self._rest = 0  # frames that the history sits out
        self._last_rest = 0

    def __call__(self, features: NDArray[np.float32]) -> Neighbours:
        """Find one entry for each patch float32 [patches, D]; the k largest distances equal those of `ExactSearch`."""
        trusts_history = self._history is not None and not self._history.empty and not self._rest
        found = self._known(features) if trusts_history else self._searched(features)
        self._settle(features, found)
        self._learn(found, trusts_history)
        return found

    def refine(self, features: NDArray[np.float32], found: Neighbours, at_least: float) -> None:
        """Make every distance exact, in place, that is `at_least` or more.

        So the patches at or over a threshold are those of the exact search; elsewhere bounds below it remain.
        """
        while len(rows := np.flatnonzero((found.distance >= at_least) & (found.tier < Tier.EXACT))):
            self._refine(features, found, rows)

    def _known(self, features: NDArray[np.float32]) -> Neighbours:
        """Bound every distance by the newest known entry."""
        assert self._history is not None  # noqa: S101 - asked for only where there is one
        return all_of(Tier.KNOWN, *self._history.newest(features))

    def _searched(self, features: NDArray[np.float32]) -> Neighbours:
        """Bound every distance by the graph."""
        index = self._graph(features).index.copy()  # it will be refined in place
        return all_of(Tier.GRAPH, distances(features, self._bank[index]), index)

    def _settle(self, features: NDArray[np.float32], found: Neighbours) -> None:
        """Refine, best first, until the k largest distances are exact."""
        batch = {Tier.KNOWN: 2 * self._k, Tier.LISTED: 2 * self._k, Tier.BESIDE: self._k}
        while len(loose := self._loose_on_top(found)):
            tier = Tier(found.tier[loose].min())
            if tier == Tier.GRAPH:
                rows = loose[found.tier[loose] == tier]
            else:
                # The next highest of this tier come along: one at a time would cost more in steps than in searches.
                rows = np.flatnonzero((found.tier == tier) & (found.distance >= self._least(found)))
                likely = np.count_nonzero(found.distance[rows] >= self._expected) if tier < Tier.BESIDE else 0
                rows = rows[np.argsort(-found.distance[rows], kind="stable")[: max(batch[tier], likely)]]
                batch[tier] *= 2
            self._refine(features, found, rows)
        self._expected = self._least(found)

    def _least(self, found: Neighbours) -> float:
        """Give the k-th largest of the exact distances: what is below cannot decide any more."""
        exact = found.distance[found.tier == Tier.EXACT]
        return float(np.partition(exact, exact.size - self._k)[exact.size - self._k]) if exact.size >= self._k else 0.0

    def _loose_on_top(self, found: Neighbours) -> NDArray[np.int64]:
        """Give those of the k patches with the largest distances, the first of equals, that are not exact."""
        count = len(found.distance)
        k = min(self._k, count)
        least = np.partition(found.distance, count - k)[count - k]
        over = np.flatnonzero(found.distance > least)
        top = np.concatenate((over, np.flatnonzero(found.distance == least)[: k - len(over)]))
        return top[found.tier[top] < Tier.EXACT]

    def _refine(self, features: NDArray[np.float32], found: Neighbours, rows: NDArray[np.int64]) -> None:
        """Take those of the patches `rows` that are at the lowest tier among them at least one tier further."""
        tier = Tier(found.tier[rows].min())
        rows = rows[found.tier[rows] == tier]
        if tier == Tier.GRAPH:
            nearest = self._exact(features[rows], found.distance[rows], found.index[rows])
            found.distance[rows], found.index[rows] = nearest
            found.tier[rows] = Tier.EXACT
            return
        if tier == Tier.KNOWN and self._history is not None:
            (distance, index), reached = self._history.nearest(features, rows), Tier.LISTED
        elif tier == Tier.LISTED and self._neighbours is not None:
            beside = self._neighbours[found.index[rows]]
            (distance, index), reached = nearest_of(features[rows], beside, self._bank), Tier.BESIDE
        else:
            index, reached = self._graph(features[rows]).index, Tier.GRAPH
            distance = distances(features[rows], self._bank[index])
        nearer = distance < found.distance[rows]
        found.distance[rows[nearer]], found.index[rows[nearer]] = distance[nearer], index[nearer]
        found.tier[rows] = reached

    def _learn(self, found: Neighbours, trusted: bool) -> None:  # noqa: FBT001 - private
        """Remember what was found, and judge whether remembering pays."""
        if self._history is None:
            return
        rows = np.flatnonzero(found.tier > Tier.KNOWN)
        self._history.learn(rows, found.index[rows])
        if not trusted:
            self._rest = max(0, self._rest - 1)
        else:
            self._last_rest = min(2 * self._last_rest + 1, _LONGEST_REST) if found.searched > _POINTLESS else 0
            self._rest = self._last_rest
