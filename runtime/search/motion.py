"""How far a scene moved between frames, by phase correlation of its features.

A belt takes what is on it along, so what was near to a patch is, in the next frame, near to another. Phase correlation
(Kuglin and Hines, 1975) finds by how much: the spectra of two frames that differ by a shift differ in phase alone, and
the inverse transform of that phase is a peak at the shift. What is given of a scene is two numbers for each patch, as
real and imaginary part. `cv2.phaseCorrelate` raises noise to the level of a smooth scene, which then has no clear peak,
and transforms the earlier frame again.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Spectrum = NDArray[np.complex64]

_CHANNELS = 2
"""Axes that features are projected onto: real and imaginary part of what is transformed."""

CLEAR = 5.0
"""A peak that high is a shift, in standard deviations of all heights: by chance, the largest of 1,600 has 3 to 4."""

_TINY = 1e-30


class SceneShift(NamedTuple):
    """How far the scene moved from one frame to another.

    Attributes:
        rows, columns: patches, towards larger numbers.
        peak: height of the peak, standard deviations of all heights.
    """

    rows: float
    columns: float
    peak: float


class Correlate:
    """Phase correlation over a grid of patches."""

    def __init__(self, grid_hw: tuple[int, int], axes: NDArray[np.floating]) -> None:
        """Correlate frames of `rows` x `columns` patches by their parts along the axes, [D, a]; a few are taken."""
        self._hw = grid_hw
        self._axes = np.zeros((len(axes), _CHANNELS), dtype=np.float32)
        self._axes[:, : axes.shape[1]] = axes[:, :_CHANNELS]
        rows, columns = (np.hanning(size + 2)[1:-1] for size in grid_hw)
        # Without it edges are correlated, which do not move.
        self._window = np.outer(rows, columns).reshape(-1, 1).astype(np.float32)
        self._evenly = np.full(self._window.size, 1 / self._window.size, dtype=np.float32)  # its product is the mean

    def spectrum(self, features: NDArray[np.float32], active: NDArray[np.bool_] | None = None) -> Spectrum:
        """Return the spectrum of a frame, complex64 [rows, columns].

        Args:
            features: float32 [patches, D].
            active: bool [patches], the patches that count; None: all.
        """
        with np.errstate(all="ignore"):  # of what is no number, no shift is clear
            return self._transform(features, active)

    def _transform(self, features: NDArray[np.float32], active: NDArray[np.bool_] | None) -> Spectrum:
        parts = features @ self._axes
        if active is None:
            parts -= self._evenly @ parts
        else:
            parts -= parts[active].mean(axis=0)
            parts[~active] = 0
        parts *= self._window
        return np.asarray(cv2.dft(parts.reshape(*self._hw, _CHANNELS))).view(np.complex64)[..., 0]

    def shift(self, now: Spectrum, before: Spectrum) -> SceneShift:
        """Return how far the scene moved between two frames, by their spectra."""
        with np.errstate(all="ignore"):
            product = now * before.conj()
            size = np.abs(product)
            # Where the scene has little, there is noise: it is not raised to the level of the rest.
            product /= size + size.mean() + _TINY
            deviation = float(np.sqrt(np.vdot(product, product).real)) / size.size + _TINY
        surface = cv2.idft(product.view(np.float32).reshape(*self._hw, 2), flags=cv2.DFT_SCALE)[..., 0]
        height, width = self._hw
        row, column = divmod(int(surface.argmax()), width)
        peak = float(surface[row, column])
        if not np.isfinite(peak):
            return SceneShift(0.0, 0.0, 0.0)
        rows = row + _between(surface[row - 1, column], peak, surface[(row + 1) % height, column])
        columns = column + _between(surface[row, column - 1], peak, surface[row, (column + 1) % width])
        return SceneShift(_signed(rows, height), _signed(columns, width), peak / deviation)


def _between(before: float, peak: float, after: float) -> float:
    """Return where the parabola through three heights at -1, 0 and 1 is highest, from -0.5 to 0.5."""
    curve = before - 2 * peak + after
    return float(0.5 * (before - after) / curve) if curve < 0 else 0.0


def _signed(place: float, size: int) -> float:
    """Return a shift around the edge as the shorter way."""
    return place - size if place > size / 2 else place
