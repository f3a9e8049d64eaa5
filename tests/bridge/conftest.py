"""A broker for the tests of MQTT."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.brokers import Mosquitto


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """Yield a broker that is up."""
    broker = Mosquitto(tmp_path)
    broker.start()
    yield broker
    broker.end()
