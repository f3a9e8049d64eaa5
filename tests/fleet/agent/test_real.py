"""A real device and a real NATS server: what an operator assigns comes into place, is refused, or is taken back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge_config.bundle import files as bundles
from edge_config.errors import UnavailableError
from edge_config.settings.fleet import FleetSettings
from edge_config.settings.parse import parse
from edge_config.settings.reading import read_file
from edge_config.wire.fleet import Assignment, DeviceReport, PullOrder
from runtime.client.within import within
from runtime.fleet.agent.serve import run
from runtime.fleet.store.make import StoreLimits, make
from runtime.fleet.store.signatures import sign
from runtime.fleet.store.store import FleetStore
from runtime.security import keys
from tests.fleet.agent.device import KEY, OPERATOR
from tests.support.brokers import NatsServer, needs_nats
from tests.support.fakes.network import network_camera
from tests.support.forge import edit_golden, reseal
from tests.support.processes import DEVICE, ENOUGH_S, started
from tests.support.tiny import with_threshold

pytestmark = [needs_nats, pytest.mark.slow, pytest.mark.timeout(180)]

CAMERA = "top"
NAME = "press-3"
WATCH_S = 2.0


def agent_of(line: Line) -> int:
    """Return the process id of the agent."""
    control = f"ipc://{line.folder}/control".encode()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if control in words and any(b"runtime.fleet.agent.beside" in word for word in words):
                return int(path.parent.name)
    raise AssertionError("the agent does not run")


async def pulled(store: FleetStore, order: PullOrder, target: Path) -> str:
    """Wait until a bundle was uploaded; return its id."""

    async def wait() -> str:
        while (info := await store.fetch_pulled(order, target, 1 << 30)) is None:  # noqa: ASYNC110 - as an operator
            await asyncio.sleep(0.1)
        return info.bundle

    return await within(ENOUGH_S, wait())


class Line:
    """A line: a device that is in a fleet, and its operator.

    Attributes:
        folder: of everything.
        server: of the fleet.
        seen: reports so far.
    """

    def __init__(self, folder: Path, bundle: Path, source: str, server: NatsServer) -> None:
        self.folder, self.server, self.seen = folder, server, list[DeviceReport]()
        self.bundle = Path(shutil.copytree(bundle, folder / "line.bundle"))
        self.old = bundles.read(self.bundle).id
        self.url = f"nats://127.0.0.1:{server.port}"
        self.config = folder / "device.yaml"
        public, secret = keys.make(folder / "device")
        (folder / "clients" / "operate").mkdir(parents=True)
        shutil.copy(public, folder / "clients" / "operate")  # the agent uses the key of its device
        settings = {
            "bundle": str(self.bundle),
            "device": NAME,
            "cameras": {CAMERA: {"source": source, "alerts": {"min_ms": 0, "merge_ms": 100}}},
            "events": {"bind": f"ipc://{folder}/events"},
            "control": {"bind": f"ipc://{folder}/control"},
            "security": {"secret_key": str(secret), "clients": str(folder / "clients")},
            "learning": {"folder": str(folder / "learning")},
            "journal": {"path": str(folder / "journal.db")},
            "fleet": {
                "servers": [self.url],
                "operators": [OPERATOR],
                "groups": ["press"],
                "folder": str(folder / "fleet"),
            },
            "metrics": {"enabled": False},
            "degrade": {"thermal_root": str(folder / "none"), "least_memory_mb": 0},
        }
        self.config.write_text(json.dumps(settings))

    @asynccontextmanager
    async def operated(self) -> AsyncIterator[FleetStore]:
        """Yield the store of the operator, with reports of the device coming in."""
        async with FleetStore.connect(FleetSettings(servers=(self.url,)), "test", ENOUGH_S) as self.store:
            await make(self.store.connection, self.store.layout, StoreLimits(packs_bytes=64 << 20))
            async with aclosing(self.store.watch_reports()) as self._reports:
                yield self.store

    async def until(self, phase: str, counter: int) -> DeviceReport:
        """Wait until the device says that it is in a phase of an assignment."""

        async def wait() -> DeviceReport:
            async for report in self._reports:
                self.seen.append(report)
                if (report.phase, report.counter) == (phase, counter):
                    return report
            raise AssertionError

        try:
            return await within(ENOUGH_S, wait())
        except asyncio.TimeoutError as error:
            said = [f"{one.counter} {one.phase}: {one.reason}" for one in self.seen]
            raise AssertionError(f"not {phase} of {counter}: {said}") from error

    async def assign(self, bundle: Path | None = None, **more: Any) -> int:
        """Push a bundle and assign it; return the counter."""
        counter = await self.store.next_counter()
        fields = {"counter": counter, "target": "group:press", "watch_s": WATCH_S, **more}
        if bundle is not None:
            info = await self.store.put_pack(bundle)
            fields |= {"root": info.bundle, "pack_sha256": info.sha256, "pack_bytes": info.size}
        await self.store.assign(sign(msgspec.convert(fields, Assignment), KEY))
        return counter

    def variant(self, threshold: float) -> Path:
        """Return a bundle that differs in its threshold."""
        return with_threshold(self.bundle, self.folder / f"{threshold:g}.bundle", threshold)


@pytest.fixture
def line(tiny_bundle: Path, tmp_path: Path, server: NatsServer) -> Iterator[Line]:
    """Yield a line whose device runs, with the agent beside."""
    with network_camera() as camera:
        line = Line(tmp_path, tiny_bundle, camera.url, server)
        with started(*DEVICE, "run", "--config", line.config) as process:
            yield line
            process.send_signal(signal.SIGTERM)
            process.wait(ENOUGH_S)


def test_assignments_come_into_place_or_the_old_bundle_stays(line: Line, tmp_path: Path) -> None:
    """A good bundle with settings, although the agent is killed with -9 in its shadow time; one that fails parity.

    Then one that raises alerts; and what serves is pulled.
    """

    async def tell() -> None:
        async with line.operated() as store:
            await line.until("idle", 0)
            with pytest.raises(UnavailableError, match="another agent runs here"):
                await run(parse(read_file(str(line.config))), "ipc://unused", asyncio.Event())
            good = line.variant(70.0)
            settings = {"alerts": {"min_frames": 3}}
            counter = await line.assign(good, shadow_s=1.0, settings=settings)
            await line.until("shadow", counter)
            os.kill(agent_of(line), signal.SIGKILL)
            report = await line.until("in place", counter)
            assert len({one.boot for one in line.seen}) == 2
            serving = bundles.read(good).id
            assert report.shadow is not None
            assert report.shadow.frames > 0
            assert (report.cameras[0].root, report.cameras[0].active) == (serving, serving)
            assert read_file(str(line.config))["cameras"][CAMERA]["alerts"]["min_frames"] == 3

            bad = line.variant(71.0)
            edit_golden(bad, "scores", lambda scores: scores * 2)
            reseal(bad)
            report = await line.until("refused", await line.assign(bad))
            assert "differ" in report.reason
            assert {one.cameras[0].active for one in line.seen} - {""} == {line.old, serving}

            noisy = line.variant(0.01)
            bounds = {"min_alerts": 1, "alert_rate_ratio": 1.0}
            report = await line.until("went back", await line.assign(noisy, bounds=bounds))
            assert "alerts in" in report.reason
            assert report.cameras[0].active == serving

            order = PullOrder(counter=await store.next_counter(), target=f"device:{NAME}", camera=CAMERA)
            await store.order_pull(sign(order, KEY))
            assert (await pulled(store, order, tmp_path / "pulled")) == serving

    asyncio.run(tell())
