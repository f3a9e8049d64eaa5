"""Check temperature and throttling of the processor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edge_config.settings.sections import DegradeSettings
from runtime.doctor.finding import Finding
from runtime.monitoring.machine import Machine
from runtime.process.control_groups import lines, number

_PI = "sys/devices/platform/soc"
_PI_NOW = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "at the soft limit of temperature"}
_PI_BEFORE = 16  # shift of the same bits since boot
_COOLING = ("cpu", "processor", "thermal-")  # devices that cool by slowing down; a fan does not
_NEARLY = 0.95


def temperature(root: Path, degrade: DegradeSettings) -> Finding:
    """Check the temperature of the hottest sensor."""
    found = Machine(str(root / "sys/class/thermal")).read().temperature_c
    if found is None:
        return Finding("temperature", "ok", "no sensor", data={"celsius": None})
    data = {"celsius": round(found, 1)}
    if found >= degrade.hot_c:
        remedy = "cool it: the runtime degrades at this temperature"
        return Finding("temperature", "warn", f"{found:.0f} °C, of {degrade.hot_c:g} allowed", remedy, data=data)
    return Finding("temperature", "ok", f"{found:.0f} °C", data=data)


def throttling(root: Path) -> Finding:
    """Check whether the processor is throttled, or was since boot."""
    now = [*_firmware(root, 0), *_cooling(root)]
    before = [*_firmware(root, _PI_BEFORE), *_counted(root)]
    data = {"now": now, "since_start": before}
    remedy = "cool it, and for under-voltage use a stronger supply and a short cable"
    if now:
        return Finding("throttling", "warn", f"now: {', '.join(now)}", remedy, data=data)
    if before:
        return Finding("throttling", "warn", f"since boot: {', '.join(before)}", remedy, data=data)
    return Finding("throttling", "ok", "none", data=data)


def frequency(root: Path) -> Finding:
    """Check the frequency of the cores, and whether it is limited."""
    found = list(_frequencies(root))
    if not found:
        return Finding("frequency", "ok", "not reported by the kernel", data={})
    current, allowed, able = (max(column) for column in zip(*found, strict=True))
    governors = sorted({name for path in _policies(root) for name in lines(path / "scaling_governor")})
    data = {
        "current_mhz": current // 1000,
        "allowed_mhz": allowed // 1000,
        "able_mhz": able // 1000,
        "governor": governors,
    }
    says = f"{current // 1000} of {able // 1000} MHz, governor {', '.join(governors) or 'unknown'}"
    if allowed < _NEARLY * able:
        remedy = "raise scaling_max_freq; on a Jetson choose a stronger power mode by nvpmodel"
        return Finding("frequency", "warn", f"{says}; limited to {allowed // 1000} MHz", remedy, data=data)
    if "powersave" in governors and not (root / "sys/devices/system/cpu/intel_pstate").exists():
        remedy = "choose the governor schedutil or performance: powersave stays at the lowest frequency"
        return Finding("frequency", "warn", says, remedy, data=data)
    return Finding("frequency", "ok", says, data=data)


def _firmware(root: Path, shift: int) -> list[str]:
    """Read the throttling flags of a Raspberry Pi's firmware."""
    for path in sorted((root / _PI).glob("*firmware/get_throttled")):
        bits = number(path, 16)
        return [name for bit, name in _PI_NOW.items() if bits and bits >> bit + shift & 1]
    return []


def _cooling(root: Path) -> list[str]:
    found = []
    for device in sorted((root / "sys/class/thermal").glob("cooling_device*")):
        kind = "".join(lines(device / "type"))
        if kind.lower().startswith(_COOLING) and number(device / "cur_state"):
            found.append(f"{kind} slowed down")
    return list(dict.fromkeys(found))


def _counted(root: Path) -> list[str]:
    paths = (root / "sys/devices/system/cpu").glob("cpu*/thermal_throttle/core_throttle_count")
    counts = sum(number(path) or 0 for path in paths)
    return [f"throttled {counts} times"] if counts else []


def _policies(root: Path) -> list[Path]:
    return sorted((root / "sys/devices/system/cpu/cpufreq").glob("policy*"))


def _frequencies(root: Path) -> Iterator[tuple[int, int, int]]:
    """Yield current, allowed and possible frequency of each group of cores, kHz."""
    for policy in _policies(root):
        able = number(policy / "cpuinfo_max_freq")
        allowed = number(policy / "scaling_max_freq")
        current = number(policy / "scaling_cur_freq")
        if able and allowed and current:
            yield current, allowed, able
