"""The fleet on the page: what its API returns, and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from nacl.signing import SigningKey

from edge_config.errors import SettingsError
from edge_config.fleet_errors import FleetUnavailable
from edge_config.settings import page
from edge_config.wire.fleet import CameraReport, DeviceReport, Rollout
from runtime.fleet.rollout.status import FleetStatus
from runtime.fleet.store.interface import Store
from runtime.fleet.store.signatures import sign
from runtime.page.fleet import ShownFleet, fleet_of
from tests.page.serving import PagedDevice, served, settings_for
from tests.support.fakes.fleet_store import FakeFleetStore

OLD = "0a" * 32


class Away(FakeFleetStore):
    """A store whose servers can be away for longer than anybody waits."""

    away = False

    async def reports(self) -> dict[str, DeviceReport]:
        if self.away:
            raise FleetUnavailable("no server answers", where="nats broker:4222")
        return await super().reports()


def showing(store: Away) -> ShownFleet:
    """Return the fleet of a store."""

    @asynccontextmanager
    async def connected() -> AsyncIterator[Store]:
        yield store

    def connect() -> AbstractAsyncContextManager[Store]:
        return connected()

    return ShownFleet(connect)


def test_the_fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It returns devices and roll-outs as `patchedge fleet status` does; servers that are away are status 503."""
    monkeypatch.setattr("runtime.page.fleet.FRESH_S", 0.0)
    store = Away()

    async def begin() -> None:
        camera = CameraReport(camera="belt", state="live", root=OLD, active=OLD)
        await store.say(DeviceReport(device="edge-1", groups=("press",), at_ms=1, cameras=(camera,)))
        rollout = Rollout(id="r-1", group="press", root=OLD, devices=("edge-1",), stages=(("edge-1",),))
        await store.put_rollout("r-1", sign(rollout, SigningKey.generate()))

    asyncio.run(begin())
    device = PagedDevice(tmp_path / "device")
    try:
        with served(tmp_path / "page", settings_for(line=device), role="viewer", fleet=showing(store)) as one:
            found = msgspec.convert(one.get("fleet"), FleetStatus)
            assert [(device.device, device.on, device.cameras[0].root) for device in found.devices] == [
                ("edge-1", False, OLD)
            ]
            assert [rollout.id for rollout in found.rollouts] == ["r-1"]
            store.away = True
            refused = one.ask("fleet")
            assert (refused.status, refused.json["error"]) == (503, "nats broker:4222: no server answers")
            store.away = False
            assert one.get("fleet")["devices"]
        with served(tmp_path / "other", settings_for(line=device)) as one:
            assert one.ask("fleet").status == 404
    finally:
        device.close()


def test_settings() -> None:
    """Without a section there is no fleet; one with a key that has no effect is refused as that of a device is."""
    assert fleet_of(page.parse({}).fleet) is None
    assert fleet_of(page.parse({"fleet": {"servers": ["nats://broker:4222"]}}).fleet) is not None
    with pytest.raises(SettingsError, match=r"`fleet.ca_file` has no effect"):
        page.parse({"fleet": {"servers": ["nats://broker:4222"], "ca_file": "ca.pem"}})
