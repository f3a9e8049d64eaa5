"""A small fleet over three real servers while all of it fails; `make fleet-chaos` has 200 devices and more time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.programs.fleet.run import SEED, run_fleet
from tests.support.brokers import needs_nats

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.xdist_group("a fleet that fails"),
    needs_nats,
]

DEVICES, SECONDS = 9, 10.0


def test_small_fleet_converges_whatever_fails(tmp_path: Path) -> None:
    """Staged roll-outs reach all or stop at the first stage, also while servers, agents and cables fail; nothing serves
    that was not signed, and nothing is activated twice.
    """
    said: list[str] = []
    broken = asyncio.run(run_fleet(tmp_path, DEVICES, SECONDS, SEED, said.append))
    assert not broken, "\n".join(said)
    assert any("servers killed" in line and "forged" in line for line in said)
