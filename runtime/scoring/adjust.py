"""What is done to patch features after the graph, so that they separate better: centring, and a scale of channels.

*Centring* subtracts a share of the mean feature of the frame from all of its patches. Light and hue of a whole frame
change all of its features alike: at a share of 1 they no longer count at all, at 0 (the paper's) in full. Half of it is
kept by default, as a fault may be a change of the whole frame too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.scoring import _features

_ALL = np.empty(0, dtype=np.bool_)  # where all patches are judged


@dataclass(frozen=True, slots=True, eq=False)
class Adjust:
    """Centre the features of a frame, then scale their channels; the same at export and on the device.

    Attributes:
        scale: factor of each channel, float32 [D].
        centring: share of the frame's mean feature that is subtracted, 0 to 1.
        judged: patches that the mean is taken over, bool [patches]; None: all.
    """

    scale: NDArray[np.float32]
    centring: float = 0.0
    judged: NDArray[np.bool_] | None = None

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return features float32 [patches, D], adjusted in place."""
        if self.centring > 0 or not (self.scale == 1).all():
            _features.adjust(features, _ALL if self.judged is None else self.judged, self.scale, self.centring)
        return features
