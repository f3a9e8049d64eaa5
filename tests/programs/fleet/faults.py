"""What happens to the fleet while a bundle is rolled out."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field

from nacl.signing import SigningKey

from edge_config.wire.fleet import Assignment, Signed
from runtime.fleet.store.signatures import sign
from runtime.fleet.store.store import FleetStore
from tests.programs.fleet.devices import CAMERA
from tests.programs.fleet.fleet import WholeFleet


@dataclass
class FleetFaults:
    """FleetFaults for some seconds.

    Attributes:
        fleet: what they happen to.
        seconds: how long.
        dice: what decides.
        counts: how often each has happened.
    """

    fleet: WholeFleet
    seconds: float
    dice: random.Random
    counts: Counter[str] = field(default_factory=Counter)

    async def run(self, store: FleetStore) -> None:
        """Let all of them happen, and undo all that can be undone."""
        self._end_s = time.monotonic() + self.seconds
        await asyncio.gather(
            self._servers(), self._agents(), self._power(), self._real(), self._cable(), self._strangers(store)
        )

    async def _servers(self) -> None:
        """Kill the servers one by one; the next one once all are whole again, as else nobody has a quorum."""
        await asyncio.sleep(self.fleet.tempo.up_s)
        while self._goes_on(self.fleet.tempo.down_s):
            for node in self.fleet.cluster.nodes:
                if not self._goes_on(self.fleet.tempo.down_s):
                    break
                await asyncio.to_thread(node.end)
                self.counts["servers killed"] += 1
                await asyncio.sleep(self.fleet.tempo.down_s)
                await asyncio.to_thread(node.start)
                await asyncio.to_thread(self.fleet.cluster.until_whole, self._end_s - time.monotonic())
                await asyncio.sleep(self.fleet.tempo.up_s)

    async def _agents(self) -> None:
        """Stop agents at random, and start them again."""
        pause_s = min(1.0, 20.0 / len(self.fleet.simulated))
        while self._goes_on():
            device = self.dice.choice(self.fleet.simulated)
            self.fleet.order(device, "stop")
            self.counts["agents stopped"] += 1
            await asyncio.sleep(self.dice.uniform(0, 2 * pause_s))
            self.fleet.order(device, "start")

    async def _power(self) -> None:
        """Kill whole processes with SIGKILL: a power cut for each of their devices."""
        every_s = max(5.0, self.seconds / 6)
        while self._goes_on(every_s):
            await asyncio.sleep(self.dice.uniform(0.5, 1.0) * every_s)
            host = self.dice.randrange(len(self.fleet.hosts))
            await asyncio.to_thread(self.fleet.kill_host, host)
            self.counts["simulated devices killed with SIGKILL"] += len(self.fleet.hosts[host])
            await asyncio.sleep(self.dice.uniform(0, 2))
            self.fleet.start_host(host)

    async def _real(self) -> None:
        """Kill real devices with SIGKILL, and start them again."""
        every_s = max(15.0, self.seconds / 6)
        while self.fleet.real and self._goes_on(every_s):
            await asyncio.sleep(self.dice.uniform(0.5, 1.0) * every_s)
            device = self.dice.choice(self.fleet.real)
            await asyncio.to_thread(device.kill)
            self.counts["real devices killed with SIGKILL"] += 1
            await asyncio.sleep(self.dice.uniform(0, 2))
            device.start()

    async def _cable(self) -> None:
        """Pull out the cable of a process: packets vanish, connections stay."""
        if not self.fleet.network.can_cut:
            return
        host, cut_s = self.dice.randrange(len(self.fleet.hosts)), min(self.fleet.tempo.cut_s, self.seconds / 2)
        await asyncio.sleep(self.dice.uniform(0.1, 0.3) * self.seconds)
        self.fleet.network.cut(host)
        self.counts[f"devices cut off for {cut_s:.0f} s"] += len(self.fleet.hosts[host])
        await asyncio.sleep(cut_s)
        self.fleet.network.heal(host)

    async def _strangers(self, store: FleetStore) -> None:
        """Write assignments that no operator has signed, as a stranger with the right to write could.

        They are in slots of their own: to overwrite those of the operator is to take the store away, not to be obeyed.
        """
        stranger, made = SigningKey.generate(), self.fleet.made
        pack = await store.pack(made.id("alerting"))
        while self._goes_on(1.0):
            device = self.dice.choice(self.fleet.simulated)
            forged = Assignment(
                counter=await store.next_counter(),
                target=f"device:{device}",
                camera=CAMERA,
                root=pack.bundle,
                pack_sha256=pack.sha256,
                pack_bytes=pack.size,
            )
            signed = sign(forged, stranger)
            if self.dice.random() < 0.5:
                honest = sign(forged, self.fleet.key)
                signed = Signed(payload=honest.payload, key=honest.key, signature=signed.signature)
            await store.assign(signed)
            self.counts["forged assignments"] += 1
            await asyncio.sleep(self.dice.uniform(0.5, 1.5))

    def _goes_on(self, spare_s: float = 0.0) -> bool:
        return time.monotonic() + spare_s < self._end_s
