"""Check the clock: messages carry the capture time, and alerts of several devices are compared by it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

from runtime.doctor.finding import Finding

_UNSYNCHRONISED = 0x40  # STA_UNSYNC of the kernel
_WORDS = 64  # struct timex is smaller
_REMEDY = "`sudo timedatectl set-ntp true`, or install chrony; without a network, add a battery-backed clock"

Status = Callable[[], "int | None"]


def kernel_status() -> int | None:
    """Return the status of the kernel's clock; None if it does not report one."""
    libc = ctypes.CDLL(None, use_errno=True)
    timex = (ctypes.c_long * _WORDS)()  # modes, the first word, is 0: read only
    if not hasattr(libc, "adjtimex") or libc.adjtimex(timex) < 0:
        return None
    # modes (int), offset, freq, maxerror, esterror (long each), status (int)
    return ctypes.c_int.from_buffer(timex, 5 * ctypes.sizeof(ctypes.c_long)).value


def clock(root: Path, status: Status = kernel_status) -> Finding:
    """Check whether the clock is synchronised."""
    bits = status()
    synchronised = (root / "run/systemd/timesync/synchronized").exists()
    if synchronised or (bits is not None and not bits & _UNSYNCHRONISED):
        return Finding("clock", "ok", "synchronised", data={"synchronised": True})
    if bits is None:
        return Finding("clock", "warn", "the kernel does not report whether it is synchronised", _REMEDY, data={})
    return Finding("clock", "warn", "not synchronised", _REMEDY, data={"synchronised": False})
