"""The list of what a device installs, as CycloneDX JSON: packages, versions, licences, hashes of their wheels."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.programs.release.pack import digest
from tests.programs.release.refused import Refused

NAME = "sbom.cdx.json"
SPEC = "1.6"
_NOT_PRODUCT = {"pip", "setuptools", "wheel"}
"""What a virtual environment brings; nothing of the product needs it."""


def words(tool: Path, python: Path, project: Path, target: Path) -> list[str]:
    """Return the command that lists an environment."""
    options = ["--sv", SPEC, "--of", "JSON", "--output-reproducible", "--mc-type", "application"]
    return [str(tool), "environment", *options, "--pyproject", str(project), "-o", str(target), str(python)]


def complete(tree: dict[str, Any], wheels: Iterable[Path]) -> dict[str, Any]:
    """Return a list without what is no part of the product, and with the hashes of the wheels that are installed."""
    kept = [one for one in tree["components"] if one["name"] not in _NOT_PRODUCT]
    refs = {one["bom-ref"] for one in [tree["metadata"]["component"], *kept]}
    files = defaultdict(list)
    for wheel in sorted(wheels):
        name, version, *_ = wheel.name.split("-")
        files[_normal(name), version].append(_distribution(wheel))
    return {
        **tree,
        "metadata": {**tree["metadata"], "component": _with_files(tree["metadata"]["component"], files)},
        "components": [_with_files(one, files) for one in kept],
        "dependencies": [one for one in tree["dependencies"] if one["ref"] in refs],
    }


def check(text: str) -> None:
    """Check a list against the schema of CycloneDX.

    Raises:
        Refused: it is not valid.
    """
    from cyclonedx.schema import SchemaVersion  # only where a release is made
    from cyclonedx.validation.json import JsonStrictValidator

    if problem := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise Refused(f"{NAME}: not valid CycloneDX {SPEC}: {problem.data}")


def _with_files(component: dict[str, Any], files: Mapping[tuple[str, str], list[dict[str, Any]]]) -> dict[str, Any]:
    found = files.get((_normal(component["name"]), component.get("version", "")), [])
    references = [*component.get("externalReferences", []), *found]
    return {**component, "externalReferences": references} if references else component


def _normal(name: str) -> str:
    """Return a name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _distribution(wheel: Path) -> dict[str, Any]:
    return {"type": "distribution", "url": wheel.name, "hashes": [{"alg": "SHA-256", "content": digest(wheel)}]}
