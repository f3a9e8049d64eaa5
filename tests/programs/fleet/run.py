"""Roll bundles out to a simulated fleet over three real NATS servers, while servers, agents and cables fail.

    python -m tests.programs.fleet.run --devices 200 --seconds 180

Each device is the real agent, with its own connection, over a simulated runtime. Exit code 1 where something broke.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from pathlib import Path

import structlog

from runtime.fleet.store.store import FleetStore
from tests.programs.fleet.fleet import Say, WholeFleet
from tests.programs.fleet.scenes import Scenes
from tests.programs.fleet.tempo import tempo_of
from tests.support.brokers import NATS_SERVER

SEED = 7


def main() -> int:
    """Run all scenes, and print what happened."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=200, help="simulated devices (default 200)")
    parser.add_argument("--seconds", type=float, default=180.0, help="how long faults last (default 180)")
    parser.add_argument("--real", type=int, default=2, help="real devices, `patchedge run` (default 2)")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--folder", type=Path, help="keep the logs here")
    args = parser.parse_args()
    if NATS_SERVER is None:
        print("nats-server is not here: apt-get install nats-server", file=sys.stderr)
        return 1
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))  # the operator's connection
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # networks and servers are taken down then, too
    began_s = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began_s:6.1f}  {line}", flush=True)

    with tempfile.TemporaryDirectory(prefix="fleet-") as folder:
        broken = asyncio.run(
            run_fleet(args.folder or Path(folder), args.devices, args.seconds, args.seed, say, args.real)
        )
    print(f"{len(broken)} things broke" if broken else "nothing broke")
    return 1 if broken else 0


async def run_fleet(folder: Path, devices: int, seconds: float, seed: int, say: Say, real: int = 0) -> list[str]:
    """Run all scenes; return what broke."""
    fleet = WholeFleet(folder, devices, real, tempo_of(seconds), say)
    try:
        say(f"{devices} simulated devices in {len(fleet.hosts)} processes, {real} real ones; {fleet.network.how}")
        await fleet.start()
        async with FleetStore.connect(fleet.settings) as store:
            scenes = Scenes(fleet, store, seconds, seed)
            for scene in (
                scenes.arrive,
                scenes.good,
                scenes.unequal,
                scenes.alerting,
                scenes.real,
                scenes.unsigned,
                scenes.chaos,
            ):
                await scene()
            scenes.all_signed()
            scenes.all_ended()
            return scenes.broken
    finally:
        fleet.close()


if __name__ == "__main__":
    sys.exit(main())
