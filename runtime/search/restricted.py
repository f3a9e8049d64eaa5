"""A search of some patches only, unless it is told others: those of the regions that a bundle was fitted to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime.frame import Neighbours
from runtime.search.full import Deciding


class Restricted:
    """Searches these patches where no others are named; all else is done by another search."""

    def __init__(self, search: Deciding, active: NDArray[np.bool_]) -> None:
        """Search by `search`, by default the patches `active`, bool [patches], at least one."""
        self._search = search
        self._active = active

    def __call__(self, features: NDArray[np.float32], active: NDArray[np.bool_] | None = None) -> Neighbours:
        """Find one entry for each of these patches, or of those that `active` names."""
        return self._search(features, self._active if active is None else active)

    def refine(self, features: NDArray[np.float32], found: Neighbours, at_least: float) -> None:
        """Make all distances of `at_least` or more exact, in place."""
        self._search.refine(features, found, at_least)

    def tell_apart(self, features: NDArray[np.float32], found: Neighbours, at_least: float) -> None:
        """Lower every distance whose true value is below `at_least` below it, in place."""
        self._search.tell_apart(features, found, at_least)
