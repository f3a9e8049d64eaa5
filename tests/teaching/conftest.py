"""Stored pictures of a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.teaching.store import PictureStore
from tests.support.stored import NOW_NS, Open


@pytest.fixture
def opened() -> Iterator[Open]:
    """Yield what opens stores."""
    stores = []

    def one(folder: Path, max_bytes: int = 1 << 30, max_days: float = 30) -> PictureStore:
        stores.append(PictureStore(folder, max_bytes, max_days, lambda: NOW_NS / 1e9))
        stores[-1].open()
        return stores[-1]

    yield one
    for store in stores:
        store.close()
