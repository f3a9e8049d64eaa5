"""The agent: it looks, decides for each camera, writes that down, and does it; again and again."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from msgspec.structs import replace

from edge_config.errors import NotWritten, PatchedgeError
from edge_config.wire.fleet import DeviceReport
from runtime.client.within import ended, within
from runtime.fleet.agent.core import reports
from runtime.fleet.agent.core.actions import Action, Fetch
from runtime.fleet.agent.core.decide import count, decide, is_ready, take_newer
from runtime.fleet.agent.core.memory import ENDS, CameraCounts, CameraMemory
from runtime.fleet.agent.core.needed import needed
from runtime.fleet.agent.core.replied import replied
from runtime.fleet.agent.core.reports import ECHO, Figures, ThisDevice
from runtime.fleet.agent.core.seen import CameraSeen, PackSeen, Siblings, Turn, in_service
from runtime.fleet.agent.desired import Assigned
from runtime.fleet.agent.kept import KeptMemory
from runtime.fleet.agent.packs import PackShelf
from runtime.fleet.agent.runtime import Runtime, RuntimeAway
from runtime.fleet.store.interface import FleetStoreApi
from runtime.process.backoff import Backoff

Part = Callable[[], Coroutine[Any, Any, None]]

RETRY_S = (1.0, 30.0)
"""Shortest and longest wait before a part that failed goes on."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the agent looks, writes and speaks, seconds.

    Attributes:
        busy_s: wait between two looks while something is being done.
        idle_s: wait between two looks otherwise.
        save_s: interval at which counts are written to the disk.
        report_s: interval of reports without news.
    """

    busy_s: float = 1.0
    idle_s: float = 10.0
    save_s: float = 60.0
    report_s: float = 60.0


class Agent:
    """One device of a fleet. Use it from one event loop.

    Attributes:
        memories: what is known of each camera.
    """

    def __init__(
        self,
        this: ThisDevice,
        cameras: Sequence[str],
        store: FleetStoreApi,
        runtime: Runtime,
        packs: PackShelf,
        assigned: Assigned,
        kept: KeptMemory,
        pace: Pace | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read what was kept.

        Args:
            this: the device.
            cameras: names of its cameras.
            store: of the fleet.
            runtime: the runtime beside.
            packs: bundles on the disk.
            assigned: what is assigned to it.
            kept: where its memory is kept.
            pace: how often things are done.
            clock: returns the time, seconds.
        """
        self._this, self._store, self._runtime, self._packs, self._assigned = this, store, runtime, packs, assigned
        self._kept, self._pace, self._clock = kept, pace or Pace(), clock
        self._saved = kept.load()
        self.memories = {name: self._saved.get(name, CameraMemory()) for name in cameras}
        self._saved_s = 0.0
        self._seen: Mapping[str, CameraSeen] = {}
        self._looked_s: float | None = None
        self._away = ""
        self._logged: dict[str, CameraMemory] = {}
        self._figures = {name: Figures() for name in cameras}
        self._wake, self._news = asyncio.Event(), asyncio.Event()
        self._news.set()

    @property
    def seen(self) -> Mapping[str, CameraSeen]:
        """The cameras as they were seen last; empty if the runtime does not answer."""
        return self._seen

    async def run(self, *also: Part) -> None:
        """Go on until it is cancelled; a part that fails is begun again, also one of those given."""
        parts: list[Part] = [self._follow, self._turns, self._speak, *also]
        tasks = [asyncio.create_task(_for_ever(part)) for part in parts]
        try:
            await asyncio.gather(*tasks)
        finally:
            await ended(*tasks)
            await self._packs.close()

    async def turn(self) -> bool:
        """Look, decide, write it down and do it; return whether the next turn should be soon."""
        now_s = self._clock()
        passed_s = 0.0 if self._looked_s is None else now_s - self._looked_s
        before, was = self._seen, dict(self.memories)
        await self._look()
        self._looked_s = now_s if self._seen else None
        self._take_in(before, now_s, passed_s)
        to_do: list[tuple[str, Action]] = []
        for name in self.memories:
            self.memories[name], action = decide(self.memories[name], self._turn_of(name, passed_s))
            if action is not None:
                to_do.append((name, action))
        if not self._save(now_s):
            return False
        for name, action in to_do:
            await self._do(name, action)
        self._save(now_s)
        is_news = any(_told(was[name]) != _told(one) for name, one in self.memories.items())
        if is_news or in_service(before) != in_service(self._seen):
            self._tell()
        self._prune()
        return bool(to_do) or any(one.step not in ENDS for one in self.memories.values())

    def report(self) -> DeviceReport:
        """Return what is to be said of the device now."""
        return reports.of_device(
            self._this,
            self.memories,
            self._seen,
            self._figures,
            self._assigned.without_camera(self.memories.keys()),
            self._assigned.problem,
            at_ms=time.time_ns() // 1_000_000,
            fetched_bytes=self._packs.fetched_bytes,
        )

    async def _follow(self) -> None:
        """Take in what is assigned."""
        desired = self._store.watch_desired(self._this.device, self._this.groups, self._refused)
        async for signed in desired:
            problem = self._assigned.problem
            self._assigned.take(signed)
            if self._assigned.problem != problem:
                self._news.set()
            self._wake.set()

    def _refused(self, error: PatchedgeError) -> None:
        self._assigned.refuse(error)
        self._news.set()

    async def _turns(self) -> None:
        while True:
            self._wake.clear()
            is_busy = await self.turn()
            wait_s = self._pace.busy_s if is_busy else self._pace.idle_s
            await _until(self._wake, wait_s)

    async def _speak(self) -> None:
        """Say what is new at once, and anything now and then; while the servers are away only the newest is kept."""
        while True:
            self._news.clear()
            await self._store.say(self.report())
            await _until(self._news, self._pace.report_s * random.uniform(0.9, 1.1))  # noqa: S311 - not a secret

    async def _look(self) -> None:
        try:
            self._seen, self._away = await self._runtime.look(), ""
        except RuntimeAway as error:
            self._seen, self._away = {}, str(error)

    def _take_in(self, before: Mapping[str, CameraSeen], now_s: float, passed_s: float) -> None:
        """Take what was seen and what is assigned into account, for all cameras before anything is decided."""
        for name, memory in self.memories.items():
            counted, seen = memory, self._seen.get(name)
            if seen is not None:
                self._figures[name].take(seen, now_s)
                counted = count(memory, seen.state, seen.since(before.get(name), passed_s), passed_s)
            self.memories[name] = take_newer(counted, self._assigned.of(name))

    def _turn_of(self, name: str, passed_s: float) -> Turn:
        wanted, seen = _wanted(self.memories[name]), self._seen.get(name)
        loading = "" if seen is None or seen.active else "the bundle in service is being loaded"
        return Turn(
            seen=None if loading else seen,
            away=loading or self._away or f"the runtime has no camera `{name}`",
            pack=PackSeen() if wanted is None else self._packs.seen(wanted),
            siblings=self._siblings(name),
            passed_s=passed_s,
        )

    def _siblings(self, name: str) -> Siblings:
        """Return how it is with the other cameras of the same assignment."""
        its = self.memories[name]
        mine = [
            (other, one) for other, one in self.memories.items() if other != name and one.counter == its.counter != 0
        ]
        failed = next((item for item in mine if item[1].has_failed and not item[1].reason.startswith(ECHO)), None)
        why = "" if failed is None else f"{ECHO}{failed[0]}: {failed[1].reason}"
        return Siblings(failed=why, ready=all(is_ready(one) for _, one in mine))

    async def _do(self, name: str, action: Action) -> None:
        if isinstance(action, Fetch):
            self._packs.start(action)
            return
        structlog.get_logger().info(
            "fleet", camera=name, does=type(action).__name__, counter=self.memories[name].counter
        )
        outcome = await self._runtime.do(name, action)
        self.memories[name] = replied(self.memories[name], action, outcome)

    def _save(self, now_s: float) -> bool:
        """Write down what changed; return whether it is on the disk: else nothing may be done by it."""
        is_due = now_s - self._saved_s >= self._pace.save_s
        is_new = self._saved.keys() != self.memories.keys() or any(
            _lasting(self._saved[name]) != _lasting(one) for name, one in self.memories.items()
        )
        if not is_new and not (is_due and self._saved != self.memories):
            return True
        try:
            self._kept.save(self.memories)
        except NotWritten as error:
            structlog.get_logger().error("nothing is done, as it cannot be written down", reason=str(error))
            return False
        self._saved, self._saved_s = dict(self.memories), now_s
        return True

    def _tell(self) -> None:
        self._news.set()
        for name, one in self.memories.items():
            if (said := _told(one)) != _told(self._logged.get(name, CameraMemory())):
                self._logged[name] = one
                structlog.get_logger().info("fleet", camera=name, counter=one.counter, phase=said[1], reason=one.reason)

    def _prune(self) -> None:
        """Delete bundles that nothing needs; only while it is known what serves."""
        if not all(name in self._seen for name in self.memories):
            return
        self._packs.prune(needed(self.memories.values(), self._seen.values()))


def _wanted(memory: CameraMemory) -> Fetch | None:
    its = memory.assignment
    return Fetch(its.root, its.pack_sha256, its.pack_bytes, its.counter) if its is not None and its.root else None


def _lasting(memory: CameraMemory) -> CameraMemory:
    """Return what must be on the disk at once: all but counts and texts."""
    return replace(
        memory,
        usual=CameraCounts(),
        watched=CameraCounts(),
        bad_s=0.0,
        checking_s=0.0,
        reason="",
        shadow=None,
        phase="idle",
    )


def _told(memory: CameraMemory) -> tuple[int, str, str]:
    """Return that of which a change is said at once."""
    return memory.counter, memory.phase, "" if memory.phase == "watching" else memory.reason


async def _until(event: asyncio.Event, seconds: float) -> None:
    try:
        await within(seconds, event.wait())
    except asyncio.TimeoutError:
        return


async def _for_ever(part: Part) -> None:
    """Run a part, and begin it again if it fails, after a wait."""
    backoff = Backoff(*RETRY_S)
    while True:
        begun_s = time.monotonic()
        try:
            await part()
        except PatchedgeError as error:
            structlog.get_logger().warning("a part of the agent failed", reason=str(error))
        except Exception:  # noqa: BLE001 - the agent goes on
            structlog.get_logger().exception("a part of the agent failed")
        await asyncio.sleep(backoff.after(time.monotonic() - begun_s))
