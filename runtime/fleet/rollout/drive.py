"""Drive a roll-out: write its record and its assignments, and wait for the reports of devices."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from msgspec.structs import replace

from edge_config.fleet_errors import FleetConflict, PackMissing, RolloutOvertaken
from edge_config.wire.fleet import Assignment, DeviceReport, Rollout
from runtime.client.within import within
from runtime.fleet.rollout import record
from runtime.fleet.rollout.machine import BeginStage, Finish, Over, Settle, StopRollout, Wait, next_step
from runtime.fleet.rollout.operator_keys import OperatorKeys
from runtime.fleet.rollout.orders import PlannedAssignment, orders
from runtime.fleet.rollout.tell import Tell
from runtime.fleet.store.interface import PackInfo, Store

LOOK_S = 2.0
"""Interval at which it is looked whether another command has changed the roll-out, seconds."""

_TRIES = 5

Clock = Callable[[], int]


def now_ms() -> int:
    """Return the wall clock, milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


class Drive:
    """Drives one roll-out.

    Attributes:
        rollout: its record, as it is in the store.
        reports: newest report of each device.
    """

    def __init__(
        self, store: Store, keys: OperatorKeys, rollout: Rollout, revision: int, tell: Tell, clock: Clock = now_ms
    ) -> None:
        """Begin with the record of the store at this revision; 0: it is not there yet."""
        self._store, self._keys, self._tell, self._clock = store, keys, tell, clock
        self.rollout = rollout
        self._revision = revision
        self.reports: dict[str, DeviceReport] = {}
        self._heard = asyncio.Event()
        self._until_ms: int | None = None
        self._looked_s = 0.0
        self._packs: dict[str, PackInfo] = {}

    async def run(self, *, once: bool = False) -> Rollout:
        """Go on until the roll-out is done or stopped; `once`: until there is nothing to do but wait.

        Raises:
            RolloutOvertaken: another command has paused it, goes on with it, or has taken it back.
            FleetError: something else that comes from the servers is refused.
        """
        self.reports = await self._store.reports()
        if self._revision == 0:
            await self._put(self.rollout)
        await self._assign()  # again, where a command ended between the record and its assignments
        listening = asyncio.create_task(self._listen())
        try:
            while not await self._step():
                if once:
                    break
                await self._wait()
                if listening.done():
                    listening.result()
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        return self.rollout

    async def resume(self, by: str) -> None:
        """Write that this command goes on with it; from here on no other one can."""
        await self._put_over(lambda rollout: record.resumed(rollout, by))

    async def pause(self, reason: str) -> Rollout:
        """Write that it waits for `resume`: the devices keep what they were assigned."""
        await self._put_over(lambda rollout: record.paused(rollout, self._clock(), reason))
        return self.rollout

    async def _put_over(self, change: Callable[[Rollout], Rollout]) -> None:
        """Change the record although another command may be writing steps of its own meanwhile."""
        for _ in range(_TRIES):
            with suppress(RolloutOvertaken):
                return await self._put(change(self.rollout))
            await self._read_again()
            if self.rollout.state not in ("running", "paused"):
                raise overtaken(self.rollout, self.rollout)
        return await self._put(change(self.rollout))

    async def _read_again(self) -> None:
        found = await self._keys.rollout(self._store, self.rollout.id)
        if found is None:
            raise overtaken(self.rollout, None)
        self.rollout, self._revision = found

    async def roll_back(self, reason: str) -> Rollout:
        """Assign to all that took it what they had before, and do not wait for them."""
        self.reports = await self._store.reports()
        for left in reversed(range(_TRIES)):
            try:
                await self._change(record.rolled_back(self.rollout, self.reports, self._clock(), reason))
                break
            except RolloutOvertaken:  # another command writes a step of its own
                if not left:
                    raise
            await self._read_again()
        return self.rollout

    async def _step(self) -> bool:
        """Do all that can be done now; return whether the roll-out is over."""
        while True:
            now = self._clock()
            match next_step(self.rollout, self.reports, now):
                case BeginStage():
                    await self._change(record.begun(self.rollout, self.reports, now))
                    self._tell.stage(self.rollout)
                case Settle():
                    await self._put(record.settled(self.rollout, now))
                    self._tell.settled(self.rollout)
                case StopRollout(reason, failed):
                    await self._change(record.stopped(self.rollout, reason, failed, self.reports, now))
                case Finish():
                    await self._change(record.finished(self.rollout, now))
                case Wait() as wait:
                    self._until_ms = wait.until_ms
                    self._tell.waits(self.rollout, self.reports, wait, now)
                    return False
                case Over():
                    return True

    async def _wait(self) -> None:
        """Wait for a report, the end of a soak, or the next look at the record."""
        left_s = LOOK_S if self._until_ms is None else (self._until_ms - self._clock()) / 1000
        with suppress(asyncio.TimeoutError):
            await within(min(LOOK_S, max(0.001, left_s)), self._heard.wait())
        self._heard.clear()
        if time.monotonic() - self._looked_s < LOOK_S:
            return
        self._looked_s = time.monotonic()
        found = await self._keys.rollout(self._store, self.rollout.id)
        if found is None or found[1] != self._revision:
            raise overtaken(self.rollout, None if found is None else found[0])

    async def _listen(self) -> None:
        async for report in self._store.watch_reports():
            self.reports[report.device] = report
            self._heard.set()

    async def _change(self, after: Rollout) -> None:
        """Write a record with new counters for its assignments, and then these."""
        if after.state == "running":  # what goes back is written in any case
            for root in _roots(after):
                await self._pack(root, after)
        counters = dict(after.counters)
        for order in orders(after):
            counters[order.key] = await self._keys.next_counter(self._store)
        await self._put(replace(after, counters=counters))
        await self._assign()

    async def _put(self, after: Rollout) -> None:
        try:
            self._revision = await self._keys.put_rollout(self._store, after, self._revision)
        except FleetConflict as error:
            found = await self._keys.rollout(self._store, after.id)
            raise overtaken(after, None if found is None else found[0]) from error
        self.rollout = after

    async def _assign(self) -> None:
        """Write the assignments of the record; one whose pack is gone does not keep the others back."""
        gone: PackMissing | None = None
        for order in orders(self.rollout):
            gone = await self._write(order) or gone
        if gone is not None:
            raise gone

    async def _write(self, order: PlannedAssignment) -> PackMissing | None:
        try:
            assignment = await self._assignment(order)
        except PackMissing as error:
            return error
        with suppress(FleetConflict):  # it is there already, or a newer one: then the device says so
            await self._store.assign(self._keys.sign(assignment))
        return None

    async def _assignment(self, order: PlannedAssignment) -> Assignment:
        rollout = self.rollout
        pack = await self._pack(order.root, rollout) if order.root else PackInfo("", "", 0)
        return Assignment(
            counter=rollout.counters[order.key],
            target=order.target,
            camera=order.camera,
            root=order.root,
            pack_sha256=pack.sha256,
            pack_bytes=pack.size,
            settings=order.settings,
            children="keep" if order.is_back else rollout.children,
            shadow_s=0.0 if order.is_back else rollout.shadow_s,
            watch_s=0.0 if order.is_back else rollout.watch_s,
            bounds=rollout.bounds,
            rollout=rollout.id,
            at_ms=rollout.since_ms,
            by=rollout.by,
            fleet=self._keys.fleet,
        )

    async def _pack(self, root: str, rollout: Rollout) -> PackInfo:
        if root not in self._packs:
            self._packs[root] = await pack_of(self._store, root, rollout)
        return self._packs[root]


def _roots(rollout: Rollout) -> set[str]:
    """Return the bundle of a stage, and those that its devices would go back to."""
    if not rollout.root or not rollout.stage:
        return set()
    names = rollout.stages[rollout.stage - 1]
    return {rollout.root, *(root for name in names for root in rollout.before.get(name, {}).values())}


async def pack_of(store: Store, root: str, rollout: Rollout) -> PackInfo:
    """Return what the store has of a bundle.

    Raises:
        PackMissing: it does not have it; which device needs it is said.
    """
    try:
        return await store.pack(root)
    except PackMissing as error:
        raise _missing(root, rollout) from error


def _missing(root: str, rollout: Rollout) -> PackMissing:
    where, what = f"bundle {root[:12]}", "is not in the store"
    had = ((name, camera) for name, roots in rollout.before.items() for camera, one in roots.items() if one == root)
    name, camera = next(had, ("", ""))
    if root == rollout.root or not name:
        return PackMissing(what, where=where, remedy="`patchedge fleet push` it first")
    pull = f"patchedge fleet pull {name} --camera {camera or 'CAMERA'} --bundle {root} --out FILE.pack"
    remedy = f"`patchedge fleet push` it first; where nobody has it, `{pull}`"
    return PackMissing(f"{what}, and {name} could not go back to it", where=where, remedy=remedy)


def overtaken(rollout: Rollout, found: Rollout | None) -> RolloutOvertaken:
    """Return the error about a roll-out that another command has changed."""
    if found is None:
        return RolloutOvertaken("is not in the store any more", where=f"roll-out {rollout.id}")
    said = {"running": f"{found.by or 'somebody'} goes on with it elsewhere"}.get(found.state, f"it is {found.state}")
    remedy = f"go on with `patchedge fleet resume {rollout.id}`" if found.state == "paused" else ""
    return RolloutOvertaken(
        f"another command has changed it: {said}{f' ({found.reason})' if found.reason else ''}",
        where=f"roll-out {rollout.id}",
        remedy=remedy,
    )
