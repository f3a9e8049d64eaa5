"""No stretch is judged by a threshold that it helped to set."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_config.settings.sections import Alerts
from runtime.learning.promise.count import Stretch
from runtime.learning.promise.cross_fit import judge

PARTS = st.lists(st.lists(st.floats(0, 100), min_size=1, max_size=20), min_size=2, max_size=6)


def stretch(scores: list[float]) -> Stretch:
    """Make a stretch at 5 frames a second, all of whose frames may set the threshold."""
    values = np.array(scores)
    return Stretch(np.arange(len(values)) / 5, values, np.zeros(len(values), dtype=bool), values)


def largest(stretches: list[Stretch]) -> tuple[float, Alerts]:
    """Set the threshold to the largest score of these stretches."""
    return max(float(one.calibration.max()) for one in stretches), Alerts(min_frames=1, min_ms=0, merge_ms=0)


@settings(deadline=None)
@given(PARTS)
def test_threshold_of_a_stretch_is_set_by_the_others(parts: list[list[float]]):
    """The threshold that judges a stretch is the largest score of all others, and stays so whatever it contains."""
    for place, judged in enumerate(judge([stretch(part) for part in parts], largest)):
        assert judged.threshold == max(max(part) for other, part in enumerate(parts) if other != place)
    for place in range(len(parts)):
        changed = [[1e6] if other == place else part for other, part in enumerate(parts)]
        assert judge([stretch(part) for part in changed], largest)[place].threshold < 1e6


def test_only_a_stretch_above_all_others_has_alerts():
    """The one stretch with a score beyond those of the others has its alert; by its own threshold it had none."""
    found = judge([stretch([1, 2, 3]), stretch([1, 9, 1]), stretch([4, 4, 4])], largest)
    assert [one.at_s for one in found] == [(), (0.2,), ()]
