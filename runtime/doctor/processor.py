"""Check processor, cores and memory."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from edge_config.settings import profiles
from runtime.doctor.finding import Finding
from runtime.monitoring.machine import Machine
from runtime.process.control_groups import MemoryGroups, lines

_FEATURES = {
    "x86_64": {
        "sse4_2": "SSE4.2",
        "fma": "FMA",
        "avx2": "AVX2",
        "avx512f": "AVX-512",
        "avx_vnni": "VNNI",
        "avx512_bf16": "bfloat16",
        "amx_bf16": "bfloat16 in tiles (AMX)",
    },
    "aarch64": {"asimd": "ASIMD", "asimdhp": "half precision", "asimddp": "dot product", "i8mm": "I8MM", "sve": "SVE"},
}
_SAME = {"avx512_vnni": "avx_vnni"}
_WANTED = {
    "x86_64": ("avx2", "without AVX2 the network takes about twice as long"),
    "aarch64": ("asimddp", "without the dot product, int8 networks gain little"),
}

_ARM_PARTS = {
    "0xd03": "Cortex-A53",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd09": "Cortex-A73",
    "0xd0a": "Cortex-A75",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
    "0xd40": "Neoverse-V1",
    "0xd41": "Cortex-A78",
    "0xd42": "Cortex-A78AE",
    "0xd44": "Cortex-X1",
    "0xd46": "Cortex-A510",
    "0xd47": "Cortex-A710",
    "0xd49": "Neoverse-N2",
}

_MIB = 1 << 20
_LEAST_MIB = 512  # the runtime with one camera and a small bundle needs about 300


def processor(root: Path, machine: str | None = None) -> Finding:
    """Check the processor, and its vector instructions for the network and the search."""
    machine = machine or platform.machine()
    info = lines(root / "proc/cpuinfo")
    model = _model(info) or machine
    flags = {_SAME.get(flag, flag) for flag in _field(info, "flags", "Features").split()}
    if machine == "aarch64" and _field(info, "flags"):  # as qemu passes it on
        remedy = "speed cannot be measured here"
        return Finding("processor", "warn", f"{machine}, emulated on {model}", remedy, data={"machine": machine})
    known = _FEATURES.get(machine, {})
    features = [name for flag, name in known.items() if flag in flags]
    says = f"{model} ({machine}); {', '.join(features) or 'no known vector instructions'}"
    data = {"model": model, "machine": machine, "features": features, "board": profiles.board(root)}
    wanted, why = _WANTED.get(machine, ("", ""))
    if wanted and wanted not in flags:
        return Finding("processor", "warn", f"{says}; without {known[wanted]}", why, data=data)
    return Finding("processor", "ok", says, data=data)


def cores(root: Path, allowed: int | None = None) -> Finding:
    """Check the number of cores, and how many of them this process may use."""
    allowed = allowed if allowed is not None else len(os.sched_getaffinity(0))
    there = sum(
        bool(re.fullmatch(r"cpu[0-9]+", entry.name)) for entry in (root / "sys/devices/system/cpu").glob("cpu*")
    )
    there = max(there, allowed)
    quota = _quota(root)
    data = {"cores": there, "allowed": allowed, "quota": quota}
    says = f"{there}" if there == allowed else f"{there}, {allowed} of them for this process"
    if quota is not None and quota < allowed:
        remedy = f"raise the limit, or set threads: {max(1, int(quota))}; more threads only wait for each other"
        return Finding(
            "cores", "warn", f"{says}; limited to the time of {quota:g} by its control group", remedy, data=data
        )
    return Finding("cores", "ok", says, data=data)


def memory(root: Path) -> Finding:
    """Check total and available memory, and the limits of the control groups around this process."""
    places = {"proc": str(root / "proc"), "cgroup": str(root / "sys/fs/cgroup")}
    left = Machine(**places).read().available_bytes
    groups = MemoryGroups(**places)
    total, limit = groups.total() or 0, groups.limit()
    data = {"total_bytes": total, "available_bytes": left, "limit_bytes": limit}
    says = f"{total // _MIB} MiB" if total else "not known"
    says += f", limited to {limit // _MIB}" if limit is not None else ""
    if left is None:
        return Finding("memory", "ok", says, data=data)
    says += f", {left // _MIB} available"
    if left < _LEAST_MIB * _MIB:
        remedy = f"stop other programs, or raise the limit: one camera with its libraries needs some {_LEAST_MIB} MiB"
        return Finding("memory", "warn", says, remedy, data=data)
    return Finding("memory", "ok", says, data=data)


def profile(root: Path, machine: str | None = None) -> Finding:
    """Return the profile that `profile: auto` selects here."""
    name = profiles.detect(root, machine)
    if name == profiles.NONE:
        return Finding("profile", "warn", "none matches this device", "name one in the settings, or keep the defaults")
    about = profiles.all_profiles()[name].about
    return Finding("profile", "ok", f"{name} ({about})", data={"profile": name})


def _model(info: list[str]) -> str:
    name = _field(info, "model name")
    if name:
        return name
    parts = dict.fromkeys(value for key, value in _pairs(info) if key == "CPU part")
    return " and ".join(_ARM_PARTS.get(part.lower(), f"ARM part {part}") for part in parts)


def _field(info: list[str], *names: str) -> str:
    return next((value for key, value in _pairs(info) if key in names), "")


def _pairs(info: list[str]) -> list[tuple[str, str]]:
    return [(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in info)]


def _quota(root: Path) -> float | None:
    """Return the tightest CPU quota of the control groups, in cores."""
    groups = MemoryGroups(proc=root / "proc", cgroup=root / "sys/fs/cgroup")
    words = ("".join(lines(folder / "cpu.max")).split() for folder, _ in groups.around())
    quotas = (int(word[0]) / int(word[1]) for word in words if len(word) == 2 and word[0].isdecimal())  # noqa: PLR2004 - quota, period
    return min(quotas, default=None)
