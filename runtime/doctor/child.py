"""Risky checks, run in a subprocess that may crash.

A library that was built for another processor ends its process by SIGILL; a provider of ONNX Runtime may hang.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import msgspec

from runtime.process.child import module

TIMEOUT_S = 180.0
"""Time-out of all checks but building an engine, on a slow and busy device."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Result of a check.

    Attributes:
        value: its output, decoded from JSON; None if it failed.
        problem: the reason of the failure; empty if there was none.
        illegal: it was killed by an instruction that this processor lacks.
    """

    value: Any = None
    problem: str = ""
    illegal: bool = False


def ask(name: str, *arguments: str, timeout_s: float = TIMEOUT_S) -> CheckResult:
    """Run `main` of one of our modules, which prints JSON, with arguments; or run code if the module is `-c`."""
    command = (sys.executable, "-c", *arguments) if name == "-c" else (*module(name), *arguments)
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=False, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return CheckResult(problem=f"no answer within {timeout_s:g} s")
    if done.returncode < 0:
        number = -done.returncode
        return CheckResult(problem=f"ended by {signal.Signals(number).name}", illegal=number == signal.SIGILL)
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        return CheckResult(problem=last[:200] or f"ended with exit code {done.returncode}")
    try:
        return CheckResult(msgspec.json.decode(done.stdout.strip().rpartition(b"\n")[2] or b"null"))
    except msgspec.MsgspecError:
        return CheckResult(problem="its output is not JSON")
