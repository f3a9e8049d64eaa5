"""The threshold of a bundle that grew: from the root's held-out scores, and from held-out pictures of all rounds.

The root's entries are never dropped, so its scores remain upper bounds, and its threshold still holds for what it was
learnt from. For what was learnt since, the held-out pictures of all rounds have a threshold of their own. The larger of
the two is used: pooled, a few new pictures would hardly count beside hundreds of old ones.

Few held-out pictures cannot guarantee the wanted rate: the largest of five is exceeded by every sixth new one. Then the
threshold is extrapolated: the scores of the new kind are taken to spread like those of the root, so that it is as far
above their median, as a ratio, as the root's is above its own.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.held_out import expanded
from edge_config.bundle.manifest import Calibration
from runtime.learning.calibrate import at_threshold, calibrate, pictures_needed


def calibrate_again(root: Calibration, held_out: NDArray[np.float64]) -> Calibration:
    """Return the calibration of a bundle that grew.

    Args:
        root: calibration of its root, with scores.
        held_out: scores of the held-out pictures of all rounds, float64 [n]; none if no round held one out.
    """
    if not len(held_out):
        return root
    together = np.concatenate([expanded(root.n, root.scores), held_out])
    threshold = max(root.threshold, calibrate(held_out, root.alpha).threshold)
    if len(held_out) < pictures_needed(root.alpha) and root.median:
        threshold = max(threshold, float(np.median(held_out)) * root.threshold / root.median)
    found = at_threshold(calibrate(together, root.alpha), together, threshold)
    over = int((together > threshold).sum())
    return msgspec.structs.replace(found, foreign=min(root.foreign, over))
