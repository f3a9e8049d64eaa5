"""A process with simulated devices: python -m tests.programs.fleet.host PLAN; orders come by standard input."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec
import structlog

from tests.programs.fleet.devices import HostPlan, SimulatedDevice, obey


async def host(plan: HostPlan) -> None:
    """Run all devices until standard input ends."""
    devices = {name: SimulatedDevice(name, plan, plan.tempo.pace) for name in plan.devices}
    for device in devices.values():
        device.start()
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    await obey(devices, lines)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(host(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=HostPlan)))
