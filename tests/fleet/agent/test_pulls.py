"""Orders to upload a bundle: which one goes to the operator."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from edge_config.bundle import files as bundles
from edge_config.wire.candidates import CandidateNow
from edge_config.wire.fleet import PullOrder
from runtime.client.within import within
from runtime.fleet.agent.core.seen import CameraSeen
from runtime.fleet.agent.desired import Assigned
from runtime.fleet.agent.pulls import BundlePlaces, Pulls
from runtime.fleet.agent.runtime import RuntimeAway
from runtime.fleet.store.interface import PackInfo
from runtime.fleet.store.signatures import sign
from tests.fleet.agent.device import KEY, OPERATOR
from tests.support.fakes.fleet_store import FakeFleetStore
from tests.support.processes import ENOUGH_S


class Places(BundlePlaces):
    """Where the one bundle of a test is."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def find(self, camera: str, bundle: str) -> Path:
        assert (camera, bundle) == ("top", bundles.read(self.path).id)
        return self.path


class Uploads(FakeFleetStore):
    """A store that says when something was uploaded."""

    def __init__(self) -> None:
        super().__init__()
        self.uploaded = asyncio.Event()

    async def put_pulled(self, order: PullOrder, path: Path) -> PackInfo:
        info = await super().put_pulled(order, path)
        self.uploaded.set()
        return info


def test_what_serves_now_is_uploaded(tiny_bundle: Path, tmp_path: Path) -> None:
    """The runtime is asked when the order comes, as it may have learnt since; one that is away is said."""
    learnt = bundles.read(tiny_bundle).id
    assigned = Assigned("press-3", (), {OPERATOR}, tmp_path / "counters.json")
    serving = {"top": CameraSeen(state="live", root=learnt, active=learnt, candidate=CandidateNow(camera="top"))}
    asked: list[str] = []

    async def run() -> None:
        store, first = Uploads(), asyncio.Event()

        async def look() -> Mapping[str, CameraSeen]:
            asked.append("look")
            first.set()
            if len(asked) == 1:
                raise RuntimeAway("the runtime does not answer")
            return serving

        pulls = Pulls("press-3", store, assigned, Places(tiny_bundle), 1 << 30, look)
        running = asyncio.create_task(pulls.run())
        orders = [PullOrder(counter=counter, target="device:press-3", camera="top") for counter in (1, 2)]
        for order, event in zip(orders, (first, store.uploaded), strict=True):
            await store.order_pull(sign(order, KEY))
            await within(ENOUGH_S, event.wait())
        info = await store.fetch_pulled(orders[1], tmp_path / "pulled", 1 << 30)
        assert info is not None
        assert info.bundle == learnt
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(run())
    assert len(asked) == 2
    assert "the runtime does not answer" in assigned.problem
