"""What is done to patch features after the graph, so that they separate better: centring, position means, scale.

*Centring* subtracts a share of the mean feature of the frame from all of its patches. Light and hue of a whole frame
change all of its features alike: at a share of 1 they no longer count at all, at 0 (the paper's) in full. Half of it is
kept by default, as a fault may be a change of the whole frame too.

*Position means*: where a scene stands still, each position of the grid has a usual feature. A share of it is subtracted
there, so that what differs from it weighs more than where in the scene it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.scoring import _features

_ALL = np.empty(0, dtype=np.bool_)  # where all patches are judged
_NOTHING = np.empty(0, dtype=np.float32)  # where no position has an offset


@dataclass(frozen=True, slots=True, eq=False)
class Adjust:
    """Centre the features of a frame, take off offsets, scale the channels; the same at export and on the device.

    Attributes:
        scale: factor of each channel, float32 [D].
        centring: share of the frame's mean feature that is subtracted, 0 to 1.
        judged: patches that the mean is taken over, bool [patches]; None: all.
        offset: what is subtracted at each position, before scaling, float32 [patches, D]; None: nothing.
    """

    scale: NDArray[np.float32]
    centring: float = 0.0
    judged: NDArray[np.bool_] | None = None
    offset: NDArray[np.float32] | None = None

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return features float32 [patches, D], adjusted in place."""
        if self.centring > 0 or self.offset is not None or not (self.scale == 1).all():
            judged = _ALL if self.judged is None else self.judged
            offset = _NOTHING if self.offset is None else self.offset
            _features.adjust(features, judged, self.scale, self.centring, offset)
        return features
