"""What a lower precision costs is said where it is more than a point."""

from __future__ import annotations

import pytest

from export.gate.precision_cost import Auroc, Cost

FINE, LOST = Auroc(0.95, 0.945), Auroc(0.95, 0.93)


def test_a_point_lost_is_a_warning() -> None:
    """A fit that loses two points of image AUROC says which pictures show it, both figures, and what to use."""
    (line,) = Cost("int8", LOST, FINE).warnings()
    assert line.startswith("int8 separates synthetic faults")
    assert "0.9300" in line
    assert "0.9500" in line
    assert "--precision float32" in line
    (line,) = Cost("bf16", FINE, LOST).warnings()
    assert line.startswith("bf16 separates the test set")


@pytest.mark.parametrize("faults", [FINE, Auroc(None, 0.5), Auroc(0.9, 0.99)], ids=str)
def test_less_is_none(faults: Auroc) -> None:
    """Half a point, a gain, and what could not be measured are no warning."""
    assert Cost("int8", faults, None).warnings() == []
    assert Cost("int8", FINE, faults).warnings() == []
