"""A bank for the tests of searches."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.learning.bank.index import build_index
from tests.support.clusters import clusters


@pytest.fixture(scope="module")
def bank() -> np.ndarray:
    """Return a bank in clusters."""
    return clusters(2500, 40, seed=1)


@pytest.fixture(scope="module")
def index(bank):
    """Return the graph over it."""
    return build_index(bank)
