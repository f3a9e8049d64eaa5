"""The version: where it is written, and whether another one may follow it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from packaging.version import InvalidVersion, Version

from tests.programs.release.refused import Refused

HOME = "pyproject.toml"

PLACES: Mapping[str, re.Pattern[str]] = {
    HOME: re.compile(r'^(version = ")([^"]+)(?=")', re.MULTILINE),
    "Dockerfile.arm64": re.compile(r"^(ARG VERSION=)(\S+)", re.MULTILINE),
}
"""Files with the version. It lives in pyproject.toml, from which package, `--version` and docs have it; the label of an
image that is built by hand has a default."""


def tag_of(version: str) -> str:
    """Return the name of the tag of a release."""
    return f"v{version}"


def current(root: Path) -> str:
    """Return the version of the work folder."""
    found = PLACES[HOME].search((root / HOME).read_text(encoding="utf-8"))
    assert found, "pyproject.toml has no version"
    return found[2]


def check(version: str, before: str) -> None:
    """Check that a version may follow another.

    Raises:
        Refused: it is no version, is not written as others will write it, or is not newer.
    """
    try:
        parsed = Version(version)
    except InvalidVersion:
        raise Refused(f"VERSION={version}: not a version; write it like 0.2.0, or 0.2.0rc1 for a candidate") from None
    if parsed.local or parsed.is_devrelease or parsed.is_postrelease or parsed.epoch or len(parsed.release) != 3:
        raise Refused(f"VERSION={version}: three numbers are wanted, like 0.2.0, or 0.2.0rc1 for a candidate")
    if str(parsed) != version:
        raise Refused(f"VERSION={version}: write it as {parsed}")
    if parsed <= Version(before):
        raise Refused(f"VERSION={version}: not newer than {before}, the version in {HOME}")


def replaced(text: str, name: str, version: str) -> str:
    """Return the text of a file with another version.

    Raises:
        Refused: the file has no version at its place.
    """
    new, count = PLACES[name].subn(rf"\g<1>{version}", text)
    if not count:
        raise Refused(f"{name}: no version found, so none can be set; see PLACES in tests/programs/release/version.py")
    return new
