"""Compare points with the entries of a selection in torch, on any of its devices.

Points are integers on the grid, whose squared distances are at most 2^53 (`runtime.learning.bank.grid`). So float64
computes each product and each sum of them without rounding, whatever the order: the distances, and with them the
selection, are those of the processor. Float32 would round: its 24 bits are not enough for the product of two of 22.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from numpy.typing import NDArray

from edge_config.errors import ProviderUnavailable
from export.gpu.embedding import REMEDY
from runtime.learning.bank.chosen import Comparisons, Entries
from runtime.learning.bank.in_slices import slices

_POINTS, _ENTRIES = 1 << 14, 1 << 10  # compared at a time: 128 MB of distances


class TorchEntries:
    """The entries of a selection, and the points that are compared with them, on a device of torch.

    Attributes:
        count: number of entries.
        rows: of points for one thread: all, as the device has threads of its own.
    """

    rows = sys.maxsize

    def __init__(self, size: int, dimension: int, device: str) -> None:
        """Make room for `size` entries."""
        self.count = 0
        self._device = device
        self._entries = torch.empty((size, dimension), dtype=torch.float64, device=device)
        self._squares = torch.empty(size, dtype=torch.float64, device=device)
        self._here: NDArray[np.float32] | None = None
        self._points = torch.empty(0)

    def append(self, at: int, new: Entries) -> None:
        """Store entries; of `Comparer`."""
        end = at + len(new.rows)
        if end <= self.count:
            return
        some = torch.from_numpy(new.points).to(self._device, torch.float64)
        self._entries[at:end] = some
        self._squares[at:end] = some.square().sum(dim=1)
        self.count = end

    def compare(self, points: NDArray[np.float32], places: NDArray[np.int64], known: Comparisons, limit: float) -> None:
        """Compare some points; of `Comparer`.

        Raises:
            ProviderUnavailable: the device fails, or its memory is too small.
        """
        try:
            if self._here is not points:  # they go there once, in float32
                self._here, self._points = points, torch.from_numpy(points).to(self._device)
            for some in slices(len(places), _POINTS):
                self._compare(places[some], known, limit)
        except RuntimeError as error:  # of torch, also where memory is short
            raise ProviderUnavailable(f"torch fails there ({error})", where=self._device, remedy=REMEDY) from error

    def _compare(self, places: NDArray[np.int64], known: Comparisons, limit: float) -> None:
        """Compare points, in chunks of entries; those that came within the limit leave after each."""
        own = self._points[torch.from_numpy(places).to(self._device)].double()
        squares = own.square().sum(dim=1)
        distances, nearest = (
            torch.from_numpy(every[places]).to(self._device) for every in (known.distances, known.nearest)
        )
        left = torch.arange(len(places), device=self._device)
        for first in range(int(known.compared[places].min()), self.count, _ENTRIES):
            end = min(first + _ENTRIES, self.count)
            chunk = self._entries[first:end]
            apart = torch.addmm(self._squares[first:end], own[left], chunk.T, alpha=-2)
            entry = apart.argmin(dim=1)
            found = apart.gather(1, entry[:, None])[:, 0] + squares[left]
            nearer = found < distances[left]
            distances[left[nearer]], nearest[left[nearer]] = found[nearer], (first + entry[nearer]).int()
            compared = places[left.cpu().numpy()]
            known.compared[compared] = np.maximum(known.compared[compared], end)
            left = left[distances[left] >= limit]
            if not len(left):
                break
        known.distances[places], known.nearest[places] = distances.cpu().numpy(), nearest.cpu().numpy()
