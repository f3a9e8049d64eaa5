"""Which devices get an assignment in which stage of a roll-out."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from edge_config.errors import UsageError
from edge_config.wire.fleet import CameraReport, DeviceReport

LATELY_MS = 180_000
"""A device that has reported within this time is on: agents report at least once a minute, milliseconds."""

_SHARE = re.compile(r"([0-9]{1,6})|([0-9]{1,3}(?:\.[0-9]{1,3})?)%")
_UNWELL = frozenset({"failed", "disconnected", "stalled"})


@dataclass(frozen=True)
class StageShare:
    """How many devices have their assignment after a stage: a number, or a percentage of those that are on."""

    text: str

    def of(self, devices: int) -> int:
        """Return the number of devices, at least one of them and at most all."""
        if self.text.endswith("%"):
            return min(devices, max(1, math.ceil(devices * float(self.text[:-1]) / 100 - 1e-9)))
        return min(devices, int(self.text))


@dataclass(frozen=True)
class Division:
    """Devices by stages.

    Attributes:
        stages: names of the devices of each stage; none but the last is empty.
        off: devices of the last stage that have not reported lately, or not what their cameras run.
        without: devices that are left out, as they do not have the camera.
    """

    stages: tuple[tuple[str, ...], ...]
    off: tuple[str, ...]
    without: tuple[str, ...]


def parse_stages(text: str) -> tuple[StageShare, ...]:
    """Parse stages such as `1,10%,100%`: each a number of devices or a percentage of them, the last one 100%.

    Raises:
        UsageError: they are something else.
    """
    shares = []
    for one in text.split(","):
        found = _SHARE.fullmatch(one.strip())
        if not found or not 0 < float(found[1] or found[2]) <= (100 if found[2] else 10**6):
            raise UsageError(f"{one!r} is neither a number of devices nor a percentage", where="--stages")
        shares.append(StageShare(one.strip()))
    if shares[-1].text != "100%":
        raise UsageError("the last stage is not 100%", where="--stages", remedy=f"write {text},100%")
    return tuple(shares)


def is_on(report: DeviceReport | None, now_ms: int) -> bool:
    """Return whether a device has reported lately."""
    return report is not None and now_ms - report.at_ms <= LATELY_MS


def is_ready(report: DeviceReport | None, camera: str, now_ms: int) -> bool:
    """Return whether a device has reported lately, and knows what its cameras run: so there is a way back."""
    if report is None or not is_on(report, now_ms):
        return False
    cameras = cameras_of(report, camera)
    return bool(cameras) and all(one.root for one in cameras)


def is_well(report: DeviceReport, camera: str) -> bool:
    """Return whether the cameras in question work, and their bundles do."""
    if report.phase in ("refused", "went back"):
        return False
    return all(one.state not in _UNWELL and not one.bundle_problem for one in cameras_of(report, camera))


def cameras_of(report: DeviceReport, camera: str) -> tuple[CameraReport, ...]:
    """Return the cameras that a roll-out is about: the named one, or all."""
    return tuple(one for one in report.cameras if camera in ("", one.camera))


def members(reports: Mapping[str, DeviceReport], group: str, named: Collection[str]) -> list[str]:
    """Return the devices of a group, or those that were named, by name.

    Raises:
        UsageError: there are none, or one is unknown.
    """
    if named:
        unknown = sorted(set(named) - set(reports))
        if unknown:
            raise UsageError(f"no device {unknown[0]} has ever reported", where="--device", remedy=_known(reports))
        return sorted(named)
    found = sorted(name for name, report in reports.items() if group in report.groups)
    if not found:
        groups = sorted({one for report in reports.values() for one in report.groups})
        known = f"there are {', '.join(groups)}" if groups else "no device has reported a group yet"
        raise UsageError(f"no device of group {group} has ever reported", where="--group", remedy=known)
    return found


def _known(reports: Mapping[str, DeviceReport]) -> str:
    return f"there are {', '.join(sorted(reports)[:20])}" if reports else "no device has reported yet"


def divide(
    reports: Mapping[str, DeviceReport], names: Sequence[str], camera: str, shares: Sequence[StageShare], now_ms: int
) -> Division:
    """Choose the devices of each stage: those that work first, those that are off in the last.

    Args:
        reports: newest report of each device.
        names: devices of the roll-out, each of which has a report.
        camera: the camera that it is about; empty: each.
        shares: how many devices have their assignment after each stage.
        now_ms: the time, milliseconds since 1970 UTC.

    Raises:
        UsageError: none of the devices has the camera; or all are off and there are several stages.
    """
    without = tuple(name for name in names if camera and not cameras_of(reports[name], camera))
    chosen = [name for name in names if name not in without]
    if not chosen:
        raise UsageError(f"none of {len(names)} devices has a camera {camera}", where="--camera")
    on = [name for name in chosen if is_ready(reports[name], camera, now_ms)]
    off = tuple(name for name in chosen if name not in on)
    if not on and len(shares) > 1:
        remedy = "look at `patchedge fleet devices`; --stages 100% assigns to devices that are off"
        what = f"none of {len(chosen)} devices has reported in {LATELY_MS // 60_000} minutes what its cameras run"
        raise UsageError(what, remedy=remedy)
    on.sort(key=lambda name: not is_well(reports[name], camera))  # stable: by name within both
    stages: list[tuple[str, ...]] = []
    begun = 0
    for share in shares[:-1]:
        until = max(begun, share.of(len(on)))
        if until > begun:
            stages.append(tuple(on[begun:until]))
        begun = until
    last = (*on[begun:], *off)
    return Division(stages=(*stages, last), off=off, without=without)
