"""Make a release, and publish nothing. Usage: python -m tests.programs.release.run 0.2.0 [--help].

The version and the changelog are written first, so that all that is built and tested has them. The release commit and
its tag are made last, on this machine only, when all is built: before that, and if anything fails, branch and files are
as they were. A commit, not a printed command: wheels, image and tag then name the same source without a step by hand.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from tests.programs.release import changelog, version
from tests.programs.release.pack import write_sums
from tests.programs.release.refused import Refused
from tests.programs.release.repository import Repository
from tests.programs.release.steps import AARCH64, NEEDS, STEPS, Call, Release

ROOT = Path(__file__).parents[3]
FOLDER = Path("build/release")
OPTIONAL = frozenset({"image", AARCH64})
"""A release without them is one; a run without anything else is a rehearsal, with neither commit nor tag."""


def main() -> int:
    """Make it; 0 if all is there, 1 if it was refused or failed."""
    parser = argparse.ArgumentParser(
        description="Make a release below build/release, a commit and a tag; publish nothing."
    )
    parser.add_argument("version", help="of the release, such as 0.2.0")
    help_ = "leave a step out; without others than image and aarch64 it is a rehearsal: no commit, no tag"
    parser.add_argument("--skip", action="append", default=[], choices=[*STEPS, AARCH64], help=help_)
    args = parser.parse_args()
    try:
        make(ROOT, args.version, args.skip, _call(ROOT))
    except Refused as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("release: interrupted; version and changelog are as they were", file=sys.stderr)
        return 130
    return 0


def make(root: Path, new: str, skip: Collection[str], call: Call) -> None:
    """Make a release.

    Args:
        root: the work folder.
        new: the version.
        skip: names of steps to leave out.
        call: runs a command.

    Raises:
        Refused: it cannot begin, or a step failed.
    """
    repository, tag = Repository(root), version.tag_of(new)
    version.check(new, version.current(root))
    repository.check(tag)
    date = f"{datetime.now(timezone.utc):%Y-%m-%d}"
    texts = _texts(root, new, date)
    notes = changelog.notes((root / changelog.NAME).read_text(encoding="utf-8"), new, date)
    skipped = with_dependents(skip)
    out = root / FOLDER / new
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    with _written(root, repository, texts):
        commit = repository.prepare(list(texts), f"Release {new}")
        times = _do(Release(root, out, new, commit, repository.seconds(commit), skipped, call))
        (out / "NOTES.md").write_text(notes, encoding="utf-8")
        write_sums(out)
    print("\n".join(_summary(root, out, times, skipped)))
    if not skipped <= OPTIONAL:
        print(f"A rehearsal, as {', '.join(sorted(skipped - OPTIONAL))} was skipped: no commit, no tag.")
        return
    repository.adopt(commit, tag, f"patchedge {new}")
    print("\n".join(_to_publish(repository.branch(), new, skipped)))


def with_dependents(skip: Collection[str]) -> frozenset[str]:
    """Return what is skipped: that which was asked for, and what cannot be without it."""
    skipped = set(skip)
    while more := {step for step, needed in NEEDS.items() if needed in skipped} - skipped:
        skipped |= more
    return frozenset(skipped)


def _texts(root: Path, new: str, date: str) -> dict[str, str]:
    """Return the new text of each file that the release changes."""
    texts = {name: version.replaced((root / name).read_text(encoding="utf-8"), name, new) for name in version.PLACES}
    texts[changelog.NAME] = changelog.released((root / changelog.NAME).read_text(encoding="utf-8"), new, date)
    return texts


@contextmanager
def _written(root: Path, repository: Repository, texts: Mapping[str, str]) -> Iterator[None]:
    """Write texts for the length of a block; then files and index are as before, however it ended."""
    before = {name: (root / name).read_bytes() for name in texts}
    try:
        for name, text in texts.items():
            (root / name).write_text(text, encoding="utf-8")
        yield
    finally:
        for name, content in before.items():
            (root / name).write_bytes(content)
        repository.unprepare()


def _do(release: Release) -> dict[str, float]:
    """Do the steps, and return how long each took, in seconds."""
    times = {}
    for name, step in STEPS.items():
        if name in release.skipped:
            continue
        print(f"== {name}", flush=True)
        began_s = time.monotonic()
        step(release)
        times[name] = time.monotonic() - began_s
    return times


def _call(root: Path) -> Call:
    """Return what runs commands; it fails with a line of its own, below what the command said."""

    def call(words: Sequence[str], variables: Mapping[str, str]) -> None:
        try:
            done = subprocess.run(words, cwd=root, env={**os.environ, **variables}, check=False)
        except OSError as error:
            raise Refused(f"{words[0]}: {error.strerror}") from error
        if done.returncode:
            raise Refused(f"`{' '.join(words)}` ended with {done.returncode}; version and changelog are as they were")

    return call


def _summary(root: Path, out: Path, times: Mapping[str, float], skipped: Collection[str]) -> Iterator[str]:
    took = ", ".join(f"{name} {seconds:.0f}" for name, seconds in times.items())
    yield f"\n{out.relative_to(root)}, made in {sum(times.values()):.0f} s ({took}):"
    for path in sorted(out.iterdir()):
        yield f"  {path.stat().st_size / 1e6:8.2f} MB  {path.name}"
    if skipped:
        yield f"SKIPPED: {', '.join(sorted(skipped))}"


def _to_publish(branch: str, new: str, skipped: Collection[str]) -> Iterator[str]:
    """Return what a person does next."""
    tag, out = version.tag_of(new), FOLDER / new
    yield f'\nThe commit "Release {new}" is on {branch}, with the tag {tag}. Nothing has left this machine. To publish:'
    yield "  see that SECURITY.md names an address to which vulnerabilities can be reported"
    yield f"  git push origin {branch} {tag}"
    yield f"  make a release of {tag} at the repository's host, with the text of {out}/NOTES.md and all files of {out}"
    yield f"  python -m twine upload build/wheelhouse/*/patchedge-{new}-*.whl {out}/patchedge-{new}.tar.gz"
    if "image" not in skipped:
        image = f"{out}/patchedge-{new}-arm64-image.tar"
        yield f"  skopeo copy docker-archive:{image} docker://REGISTRY/patchedge:{new}"
    yield f"To take it back before that: git tag -d {tag} && git reset --hard HEAD~1"


if __name__ == "__main__":
    sys.exit(main())
