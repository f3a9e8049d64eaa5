"""A device as the bridge sees it: a subscriber that gives what a test tells it, and remembers what is acknowledged.

As a program (`python -m tests.support.fakes.bridged_device SETTINGS`) it is `patchedge bridge` with such a device: one
camera that is live, and has an alert.
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from edge_config.settings import bridge
from edge_config.settings.bridge import Bridge, Device
from edge_config.settings.reading import read_file
from edge_config.wire import messages as message
from edge_config.wire.messages import AlertMessage, AnyMessage, HealthMessage, Kind, Part, ScoreMessage, StateMessage
from runtime.bridge.serve import forward, forward_until_signal, make_sinks
from runtime.bridge.sink import Sink
from runtime.process.log import set_up_logging
from tests.support.processes import ENOUGH_S

EPOCH = "11111111-2222-4333-8444-555555555555"
FIRST_NS = 1_700_000_000_000_000_000
BUNDLE = "0" * 64


@dataclass(frozen=True)
class Given:
    """A message, as a subscriber gives it."""

    message: AnyMessage
    parts: tuple[bytes, ...] = ()

    @property
    def key(self) -> str:
        said = self.message
        kind = said.schema.split(".")[1]
        return f"v1/{kind}/{said.device}/{said.camera}/{said.epoch}/{said.seq}"


class FakeSource:
    """Gives messages in the order that they were put in, and waits for more."""

    def __init__(self) -> None:
        self.taken = 0
        self.acknowledged: list[str] = []
        self.closed = False
        self.waiting: asyncio.Queue[Given] = asyncio.Queue()
        self._changed = asyncio.Event()

    async def until(self, met: Callable[[], bool]) -> None:
        """Wait for a condition that changes with what is taken and acknowledged."""
        while not met():
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), ENOUGH_S)

    async def receive(self) -> Given:
        given = await self.waiting.get()
        self.taken += 1
        self._changed.set()
        return given

    async def acknowledge(self, received: Given, /) -> None:
        self.acknowledged.append(received.key)
        self._changed.set()

    async def close(self) -> None:
        self.closed = True


class FakeDevice:
    """What one device says. Use it inside one event loop."""

    def __init__(self, name: str = "edge", epoch: str = EPOCH) -> None:
        self.name, self.epoch = name, epoch
        self.alerts, self.news = FakeSource(), FakeSource()
        self.seq: dict[tuple[str, str], int] = {}
        self.names: list[str | None] = []

    def connect(self, _device: Device, kinds: Sequence[Kind], name: str | None) -> Any:
        """Return the source of some kinds; the bridge names itself where it acknowledges."""
        if "alert" in kinds:
            self.names.append(name)
            return self.alerts
        return self.news

    def alert(
        self, phase: str = "start", camera: str = "cam1", alert_id: str | None = None, jpeg: bytes | None = None
    ) -> AlertMessage:
        """Say something about an alert; by default a new one begins."""
        said = AlertMessage(
            **self._head("alert", camera),
            **_frame(),
            alert_id=alert_id or str(uuid.uuid4()),
            phase=phase,
            peak_score=2.5,
            peak_excess=1.0,
            peak_frame_id=7,
            parts=() if jpeg is None else (Part(name="jpeg", media_type="image/jpeg"),),
        )
        self.alerts.waiting.put_nowait(Given(said, () if jpeg is None else (jpeg,)))
        return said

    def state(self, state: str = "live", camera: str = "cam1", reason: str = "first frame") -> StateMessage:
        """Say that a state has changed."""
        said = StateMessage(**self._head("state", camera, state), reason=reason)
        self.news.waiting.put_nowait(Given(said))
        return said

    def score(self, camera: str = "cam1") -> ScoreMessage:
        """Say a score."""
        said = ScoreMessage(**self._head("score", camera), **_frame())
        self.news.waiting.put_nowait(Given(said))
        return said

    def health(self, camera: str = "cam1", heartbeat_s: float = 3600.0) -> HealthMessage:
        """Say that all is well."""
        counts = {f"{kind}_seq": self.seq.get((kind, camera), 0) for kind in ("alert", "state")}
        said = HealthMessage(**self._head("health", camera), **counts, heartbeat_s=heartbeat_s, journal="on")
        self.news.waiting.put_nowait(Given(said))
        return said

    def _head(self, kind: Kind, camera: str, state: str = "live") -> dict[str, Any]:
        seq = self.seq[kind, camera] = self.seq.get((kind, camera), 0) + 1
        return {
            "schema": message.schema_name(kind),
            "device": self.name,
            "camera": camera,
            "epoch": self.epoch,
            "seq": seq,
            "t_publish_ns": FIRST_NS + sum(self.seq.values()),
            "bundle": BUNDLE,
            "state": state,
        }


def _frame() -> dict[str, Any]:
    return {
        "frame_id": 7,
        "t_capture_ns": FIRST_NS,
        "t_mono_ns": 1,
        "age_ms": 12.5,
        "score": 2.5,
        "threshold": 1.5,
        "label": "anomalous",
        "peak_xy": (3, 4),
        "excess": 1.0,
        "p_value": 0.01,
    }


@asynccontextmanager
async def bridged(settings: Bridge, device: FakeDevice, sinks: Sequence[Sink] | None = None) -> AsyncIterator[None]:
    """Run a bridge in this event loop."""
    stop = asyncio.Event()
    chosen = make_sinks(settings) if sinks is None else sinks
    running = asyncio.create_task(forward(settings, chosen, device.connect, stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(running, ENOUGH_S)


async def _main(path: str) -> None:
    settings = bridge.parse(read_file(path), where=path)
    device = FakeDevice()
    device.health()
    device.state()
    device.alert()
    await forward_until_signal(settings, make_sinks(settings), device.connect)


if __name__ == "__main__":
    set_up_logging()
    asyncio.run(_main(sys.argv[1]))
