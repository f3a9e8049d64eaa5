"""The steps of a release: each runs commands of the repository, and puts what they make into the release's folder."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.programs.release import sbom
from tests.programs.release.pack import archive
from tests.programs.release.refused import Refused

Call = Callable[[Sequence[str], Mapping[str, str]], None]
"""Runs a command with further variables of the environment; raises `Refused` if it fails."""

HOUSES = Path("build/wheelhouse")
DOCS = Path("build/docs")
EXTRAS = "cpu,mqtt,nats"
"""All that the wheelhouses are for."""

X86_64, AARCH64 = "x86_64", "aarch64"


@dataclass(frozen=True)
class Release:
    """What the steps share.

    Attributes:
        root: the work folder, which already has the new version.
        out: folder of the release.
        version: the new version.
        commit: id of the release commit.
        seconds: its time, which everything that is made has.
        skipped: names of the steps that are not done.
        call: runs a command in the work folder.
    """

    root: Path
    out: Path
    version: str
    commit: str
    seconds: int
    skipped: frozenset[str]
    call: Call

    def run(self, *words: str) -> None:
        """Run a command, with the date of the release commit for all that is built."""
        self.call(words, {"SOURCE_DATE_EPOCH": str(self.seconds)})

    def file(self, ending: str) -> Path:
        """Return the path of a file of the release."""
        return self.out / f"patchedge-{self.version}-{ending}"


def lint(release: Release) -> None:
    """Check the code."""
    release.run("make", "lint")


def test(release: Release) -> None:
    """Run all tests."""
    release.run("make", "test")


def wheels(release: Release) -> None:
    """Build the wheelhouses and pack each as a tar."""
    machines = [X86_64] if AARCH64 in release.skipped else [X86_64, AARCH64]
    options = [f"WHEELS_OPTIONS=--platform {X86_64}"] if AARCH64 in release.skipped else []
    release.run("make", "wheels", *options)
    for machine in machines:
        house = release.root / HOUSES / machine
        if not list(house.glob(f"patchedge-{release.version}-*.whl")):
            raise Refused(f"{HOUSES / machine}: `make wheels` left no wheel of patchedge {release.version} there")
        archive(house, f"wheelhouse-{machine}", release.file(f"wheelhouse-{machine}.tar"), release.seconds)


def docs(release: Release) -> None:
    """Build the pages and pack them."""
    shutil.rmtree(release.root / DOCS, ignore_errors=True)
    release.run("make", "docs")
    archive(release.root / DOCS, f"patchedge-{release.version}-docs", release.file("docs.tar.gz"), release.seconds)


def sdist(release: Release) -> None:
    """Pack the source."""
    release.run(sys.executable, "-m", "build", "--quiet", "--sdist", "--outdir", str(release.out))


def image(release: Release) -> None:
    """Build the image for arm64 from its wheelhouse, as a file that `docker load` reads."""
    target = release.file("arm64-image.tar")
    words = ["--version", release.version, "--revision", release.commit, str(target)]
    release.run(sys.executable, "-m", "tests.programs.release.image", *words)


def bill(release: Release) -> None:
    """Install the device half into an empty environment, and list what is in it, for this Python."""
    house, place = release.root / HOUSES / X86_64, release.out.parent / f"{release.version}-environment"
    shutil.rmtree(place, ignore_errors=True)
    release.run(sys.executable, "-m", "venv", str(place))
    install = ["install", "--quiet", "--disable-pip-version-check", "--no-index", "--find-links", str(house)]
    release.run(str(place / "bin/pip"), *install, f"patchedge[{EXTRAS}]=={release.version}")
    target = release.out / sbom.NAME
    tool = Path(sys.executable).parent / "cyclonedx-py"
    release.run(*sbom.words(tool, place / "bin/python", release.root / "pyproject.toml", target))
    tree = sbom.complete(json.loads(target.read_text(encoding="utf-8")), house.glob("*.whl"))
    target.write_text(json.dumps(tree, indent=2) + os.linesep, encoding="utf-8")
    sbom.check(target.read_text(encoding="utf-8"))
    shutil.rmtree(place, ignore_errors=True)


Step = Callable[[Release], None]

STEPS: Mapping[str, Step] = {
    "lint": lint,
    "docs": docs,
    "sdist": sdist,
    "test": test,
    "wheels": wheels,
    "image": image,
    "sbom": bill,
}
"""In this order: what takes long comes late, and the image and the list of packages need the wheels."""

NEEDS: Mapping[str, str] = {"image": AARCH64, AARCH64: "wheels", "sbom": "wheels"}
"""What is skipped with what: a step -> that without which it cannot be."""
