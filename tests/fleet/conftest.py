"""A NATS server for the tests of fleets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.brokers import NatsServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """Yield a server that is up."""
    server = NatsServer(tmp_path / "nats")
    server.start()
    yield server
    server.end()
