"""A finding: how bad it is, what it is, and what can be done about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from edge_config.errors import BundleError, PatchedgeError, SettingsError, UnavailableError
from edge_config.redact import scrub

Level = Literal["ok", "warn", "fail"]

EXIT_CODES = (SettingsError.exit_code, BundleError.exit_code, UnavailableError.exit_code)
"""The worst first: with wrong settings, findings about the bundle may be about the wrong one."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the page.

    Attributes:
        about: subject of the check, in a word or two.
        level: `fail`: `run` would not work; `warn`: it would, but not as well as possible.
        says: the result.
        remedy: how to fix it; empty if nothing is to be done.
        exit_code: of a `fail`: 69 something is missing, 65 a bad bundle, 78 wrong settings.
        data: the result for machines.
    """

    about: str
    level: Level
    says: str
    remedy: str = ""
    exit_code: int = UnavailableError.exit_code
    data: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, about: str, error: PatchedgeError) -> Finding:
        """Return the finding for an error that `run` would exit with."""
        code = error.exit_code if error.exit_code in EXIT_CODES else UnavailableError.exit_code
        where = f"{error.where}: " if error.where else ""
        return cls(about, "fail", f"{where}{error.what}", error.remedy or "see above", code)


Check = Callable[[], "Finding | Iterable[Finding]"]


def look(about: str, check: Check) -> list[Finding]:
    """Run a check; a check that fails itself is a finding, and does not stop the others."""
    try:
        found = check()
        return [found] if isinstance(found, Finding) else list(found)
    except PatchedgeError as error:
        return [Finding.of(about, error)]
    except Exception as error:  # noqa: BLE001 - a device may be broken in any way
        words = scrub(" ".join(f"{type(error).__name__}: {error}".split()))[:200]
        return [Finding(about, "warn", f"cannot be checked ({words})", "report this line")]


def as_json(page: Mapping[str, Sequence[Finding]]) -> str:
    """Return all findings as one JSON object, with the exit code of the worst."""
    code = exit_code(finding for found in page.values() for finding in found)
    return msgspec.json.encode({"exit_code": code, **page}).decode()


def exit_code(findings: Iterable[Finding]) -> int:
    """Return the exit code of the worst finding; 0 if nothing is worse than a warning."""
    codes = {finding.exit_code for finding in findings if finding.level == "fail"}
    return next((code for code in EXIT_CODES if code in codes), 0)
