"""The scenes of a run, each on the fleet that the one before has left; each returns what broke."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable

from edge_config.wire.fleet import Rollout
from runtime.fleet.store.store import FleetStore
from tests.programs.fleet.bundles import FACTOR, refusing
from tests.programs.fleet.devices import ENOUGH_S, NOT_ENDED
from tests.programs.fleet.faults import FleetFaults
from tests.programs.fleet.fleet import WholeFleet
from tests.programs.fleet.judge import activated_twice, not_in_place, not_settled, went_back_within, wrong_runs

SETTLE_S = 120.0
"""How long the fleet may take after the last fault, or the end of a roll-out."""


class Scenes:
    """All scenes of one fleet.

    Attributes:
        broken: what did not hold, a line each.
    """

    def __init__(self, fleet: WholeFleet, store: FleetStore, seconds: float, seed: int) -> None:
        """Nothing happens yet."""
        self._fleet, self._store, self._seconds = fleet, store, seconds
        self._dice = random.Random(seed)  # noqa: S311 - to repeat a run
        self.broken: list[str] = []

    async def arrive(self) -> None:
        """Wait until each device has reported, and measure what a quiet fleet costs."""
        fleet = self._fleet
        took_s, left = await fleet.until(self._store, lambda found: not_settled(found, fleet.devices), SETTLE_S)
        self._say(f"{len(fleet.devices) - len(left)} devices have reported after {took_s:.1f} s")
        self._must(not left, f"never reported: {_some(left)}")
        before = fleet.bytes()
        quiet_s = fleet.tempo.quiet_s
        await asyncio.sleep(quiet_s)
        if fleet.network.can_cut:
            each = (fleet.bytes() - before) / len(fleet.simulated) * 60 / quiet_s
            said = f"a report every {fleet.tempo.report_s:g} s"
            self._say(f"quiet: {each / 1000:.1f} kB a minute and device on the wire ({said})")

    async def good(self) -> None:
        """A good bundle reaches all, by stages."""
        fleet, root = self._fleet, self._fleet.made.id("good")
        began_s, bytes_before = time.monotonic(), fleet.bytes()
        ended = await fleet.roll_out(self._store, "good", fleet.tempo.stages)
        took_s = time.monotonic() - began_s
        self._must(ended.state == "done", f"good: the roll-out is {ended.state}: {ended.reason}")
        left = not_in_place(await self._store.reports(), fleet.devices, root)
        self._must(not left, f"good: not in place on {_some(left)}")
        others = [name for name in fleet.devices if [one.serves for one in fleet.served(name)] != [root]]
        self._must(not others, f"good: not activated exactly once on {_some(others)}")
        self._say(f"good: in place on all after {took_s:.1f} s, of which soak and watch take {_waits(ended):.0f} s")
        pack = await self._store.pack(root)
        if fleet.network.can_cut:
            each = (fleet.bytes() - bytes_before) / len(fleet.simulated)
            self._say(f"good: {each / 1000:.0f} kB a device on the wire, for a pack of {pack.size / 1000:.0f} kB")

    async def unequal(self) -> None:
        """A bundle that fails parity on some devices stops at the first stage, and never serves on those."""
        fleet, root = self._fleet, self._fleet.made.id("unequal")
        marks = {name: len(fleet.served(name)) for name in fleet.devices}
        ended = await fleet.roll_out(self._store, "unequal", "25%,100%")
        await self._is_stopped("parity", ended, "refused")
        new = {name: fleet.served(name)[marks[name] :] for name in fleet.devices}
        served = [name for name in (*refusing(fleet.simulated), *(one.name for one in fleet.real)) if new[name]]
        self._must(not served, f"parity: a device that refuses it left the old bundle: {_some(served)}")
        later = [name for stage in ended.stages[1:] for name in stage if new[name]]
        self._must(not later, f"parity: devices of the second stage did something: {_some(later)}")
        tried = sum(any(one.serves == root for one in lines) for lines in new.values())
        self._say(f"parity: stopped at stage {ended.stage} of {len(ended.stages)}: {ended.reason[:100]}")
        self._say(f"parity: {tried} of {len(ended.stages[0])} devices had activated it; all serve the old one again")

    async def alerting(self) -> None:
        """A bundle that raises more alerts is taken back by the device itself."""
        fleet, root = self._fleet, self._fleet.made.id("alerting")
        marks = {name: len(fleet.served(name)) for name in fleet.devices}
        ended = await fleet.roll_out(self._store, "alerting", "4,100%", watch_s=fleet.tempo.alerts_watch_s)
        await self._is_stopped("alerts", ended, "went back")
        new = {name: fleet.served(name)[marks[name] :] for name in fleet.devices}
        took = [took_s for lines in new.values() if (took_s := went_back_within(lines, root)) is not None]
        touched = {name for name, lines in new.items() if lines}
        self._must(touched <= set(ended.stages[0]), f"alerts: served beyond stage 1: {_some(touched)}")
        self._must(bool(took), "alerts: no device has tried it")
        self._say(f"alerts: stopped at stage {ended.stage}: {ended.reason[:140]}")
        if took:
            self._say(f"alerts: {FACTOR:g} times the rate was in service for at most {max(took):.1f} s")

    async def real(self) -> None:
        """A real device refuses a bundle by its golden frames, and goes back from one that raises more alerts."""
        fleet, watch_s = self._fleet, self._fleet.tempo.alerts_watch_s
        for name in [one.name for one in fleet.real]:
            for bundle, phase in (("unequal", "refused"), ("alerting", "went back")):
                mark = len(fleet.served(name))
                alone = {"group": "", "devices": (name,), "watch_s": watch_s}
                ended = await fleet.roll_out(self._store, bundle, "100%", **alone)
                await self._is_stopped(f"real: {bundle}", ended, phase)
                new = fleet.served(name)[mark:]
                took_s = went_back_within(new, fleet.made.id(bundle))
                self._must(bundle == "alerting" or not new, f"real: {name} left its bundle for one that it refuses")
                self._must(bundle == "unequal" or took_s is not None, f"real: {name} never tried it")
                took = "" if took_s is None else f", after {took_s:.1f} s in service"
                self._say(f"real: {ended.reason[:140]}{took}")

    async def unsigned(self) -> None:
        """A bundle that an operator assigns, but nobody who makes bundles has signed, serves nowhere."""
        ended = await self._fleet.roll_out(self._store, "unsigned", "2,100%")
        await self._is_stopped("unsigned", ended, "refused")
        self._say(f"unsigned: stopped at stage {ended.stage}: {ended.reason[:140]}")

    async def chaos(self) -> None:
        """A good roll-out reaches all, whatever happens meanwhile."""
        fleet, root = self._fleet, self._fleet.made.id("better")
        faults = FleetFaults(fleet, self._seconds, self._dice)
        began_s = time.monotonic()
        # Created before there are assignments by strangers: an operator has to say first what these are.
        created = await fleet.create(self._store, "better", fleet.tempo.stages, soak_s=fleet.tempo.chaos_soak_s)
        making = asyncio.create_task(created.run())
        await faults.run(self._store)
        faults_s = time.monotonic()
        self._say(f"chaos: {', '.join(f'{count} {what}' for what, count in sorted(faults.counts.items()))}")
        await asyncio.wait({making}, timeout=SETTLE_S)
        if not making.done():
            making.cancel()
            await asyncio.gather(making, return_exceptions=True)
            self._broke(f"chaos: the roll-out does not end within {SETTLE_S:g} s after the last fault")
        else:
            ended = making.result()
            self._must(ended.state == "done", f"chaos: the roll-out is {ended.state}: {ended.reason}")
        _, left = await fleet.until(self._store, lambda found: not_in_place(found, fleet.devices, root), SETTLE_S)
        now_s = time.monotonic()
        self._must(not left, f"chaos: stuck: {_some(left)}")
        self._must_not(activated_twice({name: fleet.served(name) for name in fleet.devices}, root))
        self._say(
            f"chaos: in place on all after {now_s - began_s:.1f} s, {now_s - faults_s:.1f} s after the last fault"
        )

    def all_ended(self) -> None:
        """Every agent that was told to stop did."""
        hung = [path.parent.name for path in (self._fleet.folder / "devices").glob(f"*/{NOT_ENDED}")]
        self._must(not hung, f"agents did not end within {ENOUGH_S:g} s: {_some(hung)}")

    def all_signed(self) -> None:
        """Nothing has ever served that was not signed and assigned."""
        made = self._fleet.made
        allowed = {made.id(one) for one in ("old", "good", "better", "unequal", "alerting")}
        self._must_not(wrong_runs({name: self._fleet.served(name) for name in self._fleet.devices}, allowed))

    async def _is_stopped(self, what: str, ended: Rollout, phase: str) -> None:
        """Check that a roll-out has stopped at its first stage, and that all serve what they did before."""
        fleet, good = self._fleet, self._fleet.made.id("good")
        self._must(ended.state == "stopped" and ended.stage == 1, f"{what}: is {ended.state} in stage {ended.stage}")
        self._must(phase in ended.reason, f"{what}: stopped for another reason: {ended.reason}")
        _, left = await fleet.until(self._store, lambda found: not_settled(found, fleet.devices), SETTLE_S)
        self._must(not left, f"{what}: still busy: {_some(left)}")
        _, others = await fleet.until(
            self._store, lambda _: [name for name in fleet.devices if fleet.serves(name) != good], SETTLE_S
        )
        self._must(not others, f"{what}: the old bundle does not serve on {_some(others)}")

    def _must(self, holds: bool, what: str) -> None:  # noqa: FBT001 - as assert
        if not holds:
            self._broke(what)

    def _broke(self, what: str) -> None:
        self.broken.append(what)
        self._say(f"BROKEN  {what}")

    def _must_not(self, found: Iterable[str]) -> None:
        for what in found:
            self._broke(what)

    def _say(self, line: str) -> None:
        self._fleet.say(line)


def _some(names: Iterable[str]) -> str:
    found = sorted(names)
    return f"{len(found)} of them, such as {', '.join(found[:5])}" if found else "none"


def _waits(ended: Rollout) -> float:
    """Return the time in which a roll-out waits on purpose."""
    return len(ended.stages) * (ended.soak_s + ended.watch_s)
