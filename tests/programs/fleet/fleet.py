"""The whole fleet of a run: servers, processes of simulated devices, and an operator."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec
from nacl.signing import SigningKey

from edge_config.fleet_errors import FleetUnavailable
from edge_config.settings.fleet import FleetSettings
from edge_config.wire.fleet import DeviceReport, FleetBounds, Rollout
from runtime.fleet.rollout.create import RolloutWish, create
from runtime.fleet.rollout.drive import Drive
from runtime.fleet.rollout.operator_keys import OperatorKeys
from runtime.fleet.rollout.stages import parse_stages
from runtime.fleet.rollout.tell import Tell
from runtime.fleet.store.make import StoreLimits, make
from runtime.fleet.store.store import FleetStore
from runtime.security.signing import public_text
from tests.programs.fleet.bundles import behaviour, make_bundles
from tests.programs.fleet.devices import GROUP, HostPlan, ServedLine, log_of, served
from tests.programs.fleet.network import network_of
from tests.programs.fleet.real import RealDevice, recording
from tests.programs.fleet.servers import NODES, NatsCluster
from tests.programs.fleet.tempo import Tempo

EACH_HOST = 50
"""Devices of a process at most."""

LOST = 0.02
"""Share of the answers of runtimes that are lost."""

BOUNDS = FleetBounds(frame_time_ratio=50.0)
"""A frame of the tiny bundle takes less than a millisecond: on a busy machine its time says nothing."""

START_S = 60.0
START_TRIES = 20

Say = Callable[[str], None]


class WholeFleet:
    """Servers, hosts and names of devices. Use `start`, and `close` in any case.

    Attributes:
        tempo: times of the run.
        network: how the devices are connected.
        cluster: the servers.
        devices: names of all devices, in order.
        simulated: names of the simulated ones.
        real: the real ones.
        hosts: names by process.
        made: the bundles.
        key: of the operator.
        settings: of the operator.
    """

    def __init__(self, folder: Path, count: int, real: int, tempo: Tempo, say: Say) -> None:
        """Make network, servers, bundles and plans; nothing runs yet."""
        self.folder, self.tempo, self.say = folder, tempo, say
        hosts = max(2, -(-count // EACH_HOST))
        self.simulated = [f"sim-{number:03d}" for number in range(1, count + 1)]
        self.hosts = [self.simulated[at::hosts] for at in range(hosts)]
        self.key = SigningKey.generate()
        self.made = make_bundles(folder, tempo.pictures)
        self.network = network_of(hosts)
        self.cluster = NatsCluster(folder, self.network.address)
        self.settings = FleetSettings(servers=tuple(self.cluster.urls), name="operator")
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * hosts
        self._logs: list[IO[bytes]] = []
        keys = public_text(self.key), self.made.trusted
        camera = recording(folder) if real else folder
        self.real = [
            RealDevice(folder / "devices", f"real-{number}", self.made.old, camera, self.cluster.urls, keys)
            for number in range(1, real + 1)
        ]
        self.devices = [*(one.name for one in self.real), *self.simulated]
        behaves = behaviour(self.made, self.simulated)
        for host, names in enumerate(self.hosts):
            plan = HostPlan(
                folder=str(folder / "devices"),
                servers=self.settings.servers,
                operator=public_text(self.key),
                trusted=self.made.trusted,
                devices=tuple(names),
                root=self.made.id("old"),
                behaves={name: behaves[name] for name in names},
                tempo=tempo,
                lost=LOST,
            )
            self._plan(host).write_bytes(msgspec.json.encode(plan))

    async def start(self) -> None:
        """Start the servers, make the store, and start all devices."""
        await asyncio.to_thread(self.cluster.start)
        async with FleetStore.connect(self.settings) as store:
            await self._make(store)
            for name in ("old", "good", "better", "unequal", "alerting", "unsigned"):
                await store.put_pack(getattr(self.made, name))
        for host in range(len(self.hosts)):
            self.start_host(host)
        for one in self.real:
            one.start()

    async def _make(self, store: FleetStore) -> None:
        """A cluster that has just begun may have no leader yet, or not know all of its nodes."""
        await asyncio.to_thread(self.cluster.until_whole, START_S)
        limits = StoreLimits(replicas=NODES, packs_bytes=256 << 20)
        for again in range(START_TRIES):
            with contextlib.suppress(*([FleetUnavailable] if again + 1 < START_TRIES else [])):
                await make(store.connection, store.layout, limits)
                return
            await asyncio.sleep(1)

    def close(self) -> None:
        """End everything."""
        for one in self.real:
            one.close()
        for host in range(len(self.hosts)):
            self.kill_host(host)
        self.cluster.close()
        self.network.close()
        for log in self._logs:
            log.close()

    def start_host(self, host: int) -> None:
        """Start a process with devices."""
        log = (self.folder / f"host{host}.log").open("ab")
        self._logs.append(log)
        words = [sys.executable, "-m", "tests.programs.fleet.host", str(self._plan(host))]
        self._processes[host] = subprocess.Popen(
            [*self.network.prefix(host), *words],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def kill_host(self, host: int) -> None:
        """Kill a process, as a power cut for all of its devices does."""
        process = self._processes[host]
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait()
            if process.stdin is not None:
                with contextlib.suppress(OSError):  # an order that it has not read
                    process.stdin.close()
        self._processes[host] = None

    def order(self, device: str, do: str) -> None:
        """Have the agent of a device stop or start."""
        host = next(at for at, names in enumerate(self.hosts) if device in names)
        process = self._processes[host]
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError, ValueError):  # it is being killed: then all of its devices start again
                process.stdin.write(json.dumps({"do": do, "device": device}).encode() + b"\n")
                process.stdin.flush()

    def served(self, device: str) -> list[ServedLine]:
        """Return what the runtime of a device says that it served."""
        return served(log_of(self.folder / "devices", device))

    def serves(self, device: str) -> str:
        """Return the bundle that serves on a device."""
        lines = self.served(device)
        return lines[-1].serves if lines else self.made.id("old")

    async def until(
        self, store: FleetStore, holds: Callable[[dict[str, DeviceReport]], Sequence[str]], seconds: float
    ) -> tuple[float, list[str]]:
        """Wait until no device is named by `holds`; return after how many seconds, and those that still are."""
        began_s = time.monotonic()
        while True:
            left = list(holds(await store.reports()))
            passed_s = time.monotonic() - began_s
            if not left or passed_s > seconds:
                return passed_s, left
            await asyncio.sleep(0.5)

    async def roll_out(self, store: FleetStore, bundle: str, stages: str, **more: Any) -> Rollout:
        """Roll a bundle out to all devices; return how that ended."""
        return await (await self.create(store, bundle, stages, **more)).run()

    async def create(self, store: FleetStore, bundle: str, stages: str, **more: Any) -> Drive:
        """Create the roll-out of a bundle to all devices, which does not begin yet."""
        fields = {
            "group": GROUP, "devices": (), "root": self.made.id(bundle), "camera": "", "settings": None,
            "soak_s": self.tempo.soak_s, "shadow_s": 0.0, "watch_s": self.tempo.watch_s, "bounds": BOUNDS,
            "children": "keep", "by": "operator", "shares": parse_stages(stages), **more,
        }  # fmt: skip
        keys = OperatorKeys(self.key)
        rollout, _ = await create(store, keys, RolloutWish(**fields), time.time_ns() // 10**6)
        tell = Tell(lambda line: self.say(f"    {line}"))
        return Drive(store, keys, rollout, 0, tell)

    def bytes(self) -> int:
        """Return the bytes that went through all cables so far."""
        return sum(self.network.bytes_of(host) for host in range(len(self.hosts)))

    def _plan(self, host: int) -> Path:
        return self.folder / f"host{host}.json"
