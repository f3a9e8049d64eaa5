"""Devices of a fleet without runtimes: each takes what it is assigned through the store, and says what a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from edge_config.wire.fleet import Assignment, CameraReport, DeviceReport, FleetPhase
from runtime.fleet.store.interface import Store


@dataclass
class FakeDevice:
    """One device; `act` takes what is assigned to it, and goes on until it is cancelled.

    Attributes:
        name: its name.
        groups: its groups.
        roots: camera -> root in service.
        refuses: bundle -> why it is refused.
        goes_back: bundle -> why the device goes back from it, once it has served.
        served: every root that served, with the counter of its assignment.
        more: further fields of the camera's report once a bundle serves: bundle -> fields.
        at_ms: time of its reports.
    """

    name: str
    groups: tuple[str, ...]
    roots: dict[str, str]
    refuses: Mapping[str, str] = field(default_factory=dict)
    goes_back: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    at_ms: int = 0
    settings: dict[str, Any] | None = None
    counter: int = 0
    rollout: str = ""
    served: list[tuple[str, int]] = field(default_factory=list)

    def report(self, phase: FleetPhase = "idle", reason: str = "") -> DeviceReport:
        """Return its report."""
        cameras = tuple(
            CameraReport(camera=camera, state="live", root=root, active=root, **self.more.get(root, {}))
            for camera, root in self.roots.items()
        )
        return DeviceReport(
            device=self.name,
            groups=self.groups,
            at_ms=self.at_ms,
            counter=self.counter,
            rollout=self.rollout,
            phase=phase,
            reason=reason,
            cameras=cameras,
        )

    async def act(self, store: Store) -> None:
        """Take assignments, each counter once, the higher ones only."""
        async for signed in store.watch_desired(self.name, self.groups):
            assignment = msgspec.json.decode(signed.payload, type=Assignment)
            if assignment.counter > self.counter:
                await self._take(assignment, store)

    async def _take(self, assignment: Assignment, store: Store) -> None:
        self.counter, self.rollout = assignment.counter, assignment.rollout
        root = assignment.root
        await store.say(self.report("checking"))
        await asyncio.sleep(0)
        if root in self.refuses:
            await store.say(self.report("refused", self.refuses[root]))
            return
        before = dict(self.roots)
        if root:
            self.roots = {
                camera: root if assignment.camera in ("", camera) else had for camera, had in self.roots.items()
            }
            self.served.append((root, assignment.counter))
        if assignment.settings is not None:
            self.settings = assignment.settings
        await store.say(self.report("watching"))
        if root in self.goes_back:
            self.roots = before
            await store.say(self.report("went back", self.goes_back[root]))
            return
        await store.say(self.report("in place"))
