"""Boards that qemu can pass for: their instructions, and the files by which programs know a processor.

qemu-user shows programs /proc/cpuinfo and /sys of the machine that it runs on. ONNX Runtime looks there, and crashes
where an ARM is said to be an x86.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Board:
    """A board.

    Attributes:
        name: for people.
        qemu: name of its processor for qemu: an instruction that it has not ends the program.
        part, variant: of the processor, as in /proc/cpuinfo.
        features: its extensions, as there.
    """

    name: str
    qemu: str
    part: str
    variant: str
    features: str

    def mounts(self, folder: Path) -> list[str]:
        """Write the files below `folder`, and give the arguments of bwrap that put them in their places."""
        cores = os.cpu_count() or 1
        cpuinfo, cpus = folder / self.qemu / "cpuinfo", folder / self.qemu / "sys/devices/system/cpu"
        cpus.mkdir(parents=True, exist_ok=True)
        cpuinfo.write_text("\n".join(self._cpuinfo(core) for core in range(cores)), encoding="ascii")
        for name in ("possible", "present", "online"):
            (cpus / name).write_text(f"0-{cores - 1}\n", encoding="ascii")
        return ["--ro-bind", str(cpuinfo), "/proc/cpuinfo", "--ro-bind", str(folder / self.qemu / "sys"), "/sys"]

    def _cpuinfo(self, core: int) -> str:
        return (
            f"processor\t: {core}\nBogoMIPS\t: 108.00\nFeatures\t: {self.features}\nCPU implementer\t: 0x41\n"
            f"CPU architecture: 8\nCPU variant\t: {self.variant}\nCPU part\t: {self.part}\nCPU revision\t: 3\n"
        )


PI_4 = Board("Raspberry Pi 4", "cortex-a72", "0xd08", "0x0", "fp asimd evtstrm crc32 cpuid")
"""armv8.0-a, with nothing above it."""

PI_5 = Board(
    "Raspberry Pi 5",
    "cortex-a76",
    "0xd0b",
    "0x4",
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
)
"""armv8.2-a, with half precision and the dot product."""
