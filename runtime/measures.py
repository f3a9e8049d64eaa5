"""What is measured of a camera's pictures as a whole, and what the bundle knows of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from edge_config.bundle.may_vary import Usual


class Measures(NamedTuple):
    """Light, sharpness and detail of a thumbnail.

    Attributes:
        luminance: mean grey level, 0 to 255.
        contrast: standard deviation, grey levels.
        sharpness: root mean square of the Laplacian over the luminance: sharp edges dominate, so defocus lowers it;
            independent of exposure.
        detail: mean absolute Laplacian of the smoothed thumbnail over the luminance: the share of the picture with
            texture dominates, so a cover lowers it, even with noise.
    """

    luminance: float
    contrast: float
    sharpness: float
    detail: float

    @property
    def highlights(self) -> float:
        """Mean grey level plus the standard deviation: how bright the bright parts are."""
        return self.luminance + self.contrast

    @property
    def edges(self) -> float:
        """Sharpness in units of the contrast: unlike sharpness it hardly changes with the light, gain or gamma."""
        return self.sharpness * (self.luminance + 1) / max(self.contrast, MIN_CONTRAST)


MIN_CONTRAST = 0.5
"""Standard deviation in grey levels that `edges` divides by at least: less is rounding."""


@dataclass(frozen=True, slots=True)
class Normal:
    """What a bundle knows of normal pictures, by which drift is noticed.

    Attributes:
        held_out: number of held-out scores that p-values come from.
        usual: range of their light and sharpness; None: unknown.
    """

    held_out: int
    usual: Usual | None = None
