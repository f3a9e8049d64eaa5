"""`make release` with its commands replaced: what it refuses and makes, and that it leaves nothing where it fails."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.programs.release import changelog, image, pack, sbom, version
from tests.programs.release.refused import Refused
from tests.programs.release.run import make, with_dependents
from tests.programs.release.steps import HOUSES, NEEDS, STEPS

ROOT = Path(__file__).parents[2]
LOG = """# Changelog

What changes for users.

## Unreleased

### Added

- A page.

### Changed

### Fixed

- A fault.

## 0.1.0, 2026-01-02

- The first.
"""
WHEEL = "patchedge-0.2.0-cp311-cp311-manylinux_2_34"


LISTED = {
    "metadata": {"component": {"bom-ref": "root", "name": "patchedge", "version": "0.2.0"}},
    "components": [
        {"bom-ref": "a", "name": "pynacl", "version": "1.6.2"},
        {"bom-ref": "b", "name": "pip", "version": "23.0"},
    ],
    "dependencies": [{"ref": "root"}, {"ref": "a"}, {"ref": "b"}],
}


class Commands:
    """Stands for all commands: it notes them, and leaves files as they do."""

    def __init__(self, root: Path, failing: str = "") -> None:
        self.root, self.failing = root, failing
        self.called: list[str] = []
        self.epochs: set[str] = set()
        self.versions: set[str] = set()

    def __call__(self, words: Sequence[str], variables: Mapping[str, str]) -> None:
        command = " ".join(words)
        self.called.append(command)
        self.epochs.add(variables["SOURCE_DATE_EPOCH"])
        self.versions.add(version.current(self.root))
        if self.failing and self.failing in command:
            raise KeyboardInterrupt if self.failing == "make test" else Refused(f"`{command}` ended with 1")
        if command.startswith("make wheels"):
            for machine in ("x86_64", "aarch64")[: 1 if "WHEELS_OPTIONS" in command else 2]:
                write(self.root / HOUSES / machine / f"{WHEEL}_{machine}.whl", machine)
        elif command == "make docs":
            write(self.root / "build/docs/guide/alerts.html", "alerts")
            write(self.root / "build/docs/index.html", "start")
        elif "--sdist" in words:
            write(Path(words[-1]) / "patchedge-0.2.0.tar.gz", "source")
        elif "cyclonedx-py" in words[0]:
            write(Path(words[words.index("-o") + 1]), json.dumps(LISTED))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def git(root: Path, *words: str) -> str:
    command = ["git", "-c", "user.name=N", "-c", "user.email=n@example.org", "-C", str(root), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a clean repository with a version, a changelog and a Dockerfile."""
    for name in ("GIT_AUTHOR", "GIT_COMMITTER"):
        monkeypatch.setenv(f"{name}_NAME", "N")
        monkeypatch.setenv(f"{name}_EMAIL", "n@example.org")
    write(tmp_path / "pyproject.toml", '[project]\nname = "patchedge"\nversion = "0.1.0"\n')
    write(tmp_path / "Dockerfile.arm64", "FROM a\nARG VERSION=0.1.0 REVISION=unknown\nFROM b\nARG VERSION=0.1.0\n")
    write(tmp_path / "CHANGELOG.md", LOG)
    write(tmp_path / ".gitignore", "build/\n")
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "All")
    return tmp_path


def test_a_release_is_a_commit_a_tag_and_a_folder(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is built with the new version and the date of the commit; the tag has exactly what was built."""
    commands = Commands(root)
    monkeypatch.setattr(sbom, "check", lambda _: None)  # its package is there only where a release is made
    make(root, "0.2.0", ["image"], commands)
    made = [command for command in commands.called if command.startswith("make ")]
    assert made == ["make lint", "make docs", "make test", "make wheels"]
    assert commands.versions == {"0.2.0"}
    assert commands.epochs == {git(root, "log", "-1", "--format=%ct")}
    assert git(root, "status", "--porcelain") == ""
    assert git(root, "log", "--format=%s") == "Release 0.2.0\nAll"
    assert git(root, "cat-file", "-t", "v0.2.0") == "tag"
    assert git(root, "show", "v0.2.0:pyproject.toml").endswith('version = "0.2.0"')
    assert git(root, "show", "v0.2.0:Dockerfile.arm64").count("VERSION=0.2.0") == 2
    assert re.search(r"^## 0\.2\.0, \d{4}-\d\d-\d\d$", git(root, "show", "v0.2.0:CHANGELOG.md"), re.MULTILINE)
    out = root / "build/release/0.2.0"
    assert {path.name for path in out.iterdir()} == {
        "NOTES.md",
        "SHA256SUMS",
        "patchedge-0.2.0-docs.tar.gz",
        "patchedge-0.2.0-wheelhouse-aarch64.tar",
        "patchedge-0.2.0-wheelhouse-x86_64.tar",
        "patchedge-0.2.0.tar.gz",
        "sbom.cdx.json",
    }
    said = capsys.readouterr().out
    assert "SKIPPED: image" in said
    assert "Nothing has left this machine" in said
    assert "git push origin main v0.2.0" in said


@pytest.mark.parametrize("text", ["0.2.0", "0.1.1", "1.0.0", "0.2.0rc1", "0.10.0"])
def test_newer_versions_are_taken(text: str) -> None:
    """What is newer by the rules of Python's versions may follow, candidates too."""
    version.check(text, "0.1.0")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0.1.0", "not newer than 0.1.0, the version in pyproject.toml"),
        ("0.0.9", "not newer"),
        ("0.1.0rc1", "not newer"),
        ("v0.2.0", "write it as 0.2.0"),
        ("0.2.0-rc1", "write it as 0.2.0rc1"),
        ("0.2", "three numbers are wanted"),
        ("0.2.0.dev1", "three numbers are wanted"),
        ("0.2.0+local", "three numbers are wanted"),
        ("new", "not a version; write it like 0.2.0"),
        ("", "not a version"),
    ],
)
def test_other_versions_are_refused(text: str, says: str) -> None:
    """One line says what is wrong with it."""
    with pytest.raises(Refused, match=re.escape(says)) as refused:
        version.check(text, "0.1.0")
    assert "\n" not in str(refused.value)


def test_the_version_of_this_repository_is_one() -> None:
    """Each place that a release changes is there, and has the version of pyproject.toml."""
    now = version.current(ROOT)
    for name, pattern in version.PLACES.items():
        found = {match[2] for match in pattern.finditer((ROOT / name).read_text())}
        assert found == {now}, name
        assert {match[2] for match in pattern.finditer(version.replaced((ROOT / name).read_text(), name, "9.9.9"))} == {
            "9.9.9"
        }
    assert changelog.UNRELEASED in (ROOT / changelog.NAME).read_text().splitlines()


def dirty(root: Path) -> None:
    write(root / "new.py", "")


def detached(root: Path) -> None:
    git(root, "checkout", "--quiet", "--detach")


def tagged(root: Path) -> None:
    git(root, "tag", "v0.2.0")


def nothing_new(root: Path) -> None:
    write(root / "CHANGELOG.md", "# Changelog\n\n## Unreleased\n\n### Added\n\n### Fixed\n\n## 0.1.0\n\n- All.\n")
    git(root, "commit", "--quiet", "--all", "--message", "Nothing")


def untitled(root: Path) -> None:
    write(root / "CHANGELOG.md", "# Changelog\n\n## 0.1.0\n\n- All.\n")
    git(root, "commit", "--quiet", "--all", "--message", "No title")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (dirty, "the tree is not clean (new.py): commit or remove them first"),
        (detached, "HEAD is on no branch"),
        (tagged, "the tag v0.2.0 exists"),
        (nothing_new, 'nothing under "Unreleased"'),
        (untitled, 'no line "## Unreleased"'),
    ],
)
def test_a_tree_that_is_not_ready_is_refused(root: Path, spoil: Any, says: str) -> None:
    """One line says why, before any command runs, and nothing is changed."""
    spoil(root)
    before, commands = git(root, "status", "--porcelain"), Commands(root)
    with pytest.raises(Refused, match=re.escape(says)) as refused:
        make(root, "0.2.0", [], commands)
    assert "\n" not in str(refused.value)
    assert commands.called == []
    assert git(root, "status", "--porcelain") == before
    assert not (root / "build").exists()


def test_no_repository_is_refused(root: Path) -> None:
    """An unpacked source archive cannot be released from."""
    (root / ".git").rename(root / "build.git")
    with pytest.raises(Refused, match="not a git repository with a commit"):
        make(root, "0.2.0", [], Commands(root))


@pytest.mark.parametrize(("failing", "error"), [("make docs", Refused), ("make test", KeyboardInterrupt)])
def test_a_failed_step_leaves_all_as_it_was(root: Path, failing: str, error: type[BaseException]) -> None:
    """When a step fails, or a person gives up, files, index and branch are as before, and there is no tag."""
    head, text = git(root, "rev-parse", "HEAD"), (root / "CHANGELOG.md").read_bytes()
    with pytest.raises(error):
        make(root, "0.2.0", [], Commands(root, failing))
    assert git(root, "status", "--porcelain") == ""
    assert (git(root, "rev-parse", "HEAD"), git(root, "tag")) == (head, "")
    assert (root / "CHANGELOG.md").read_bytes() == text


def test_a_rehearsal_makes_files_only(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a step that a release needs there is neither commit nor tag, and the tree is as before."""
    head = git(root, "rev-parse", "HEAD")
    make(root, "0.2.0", ["test", "sbom"], commands := Commands(root))
    assert not any("test" in command.split() for command in commands.called)
    assert (git(root, "rev-parse", "HEAD"), git(root, "tag"), git(root, "status", "--porcelain")) == (head, "", "")
    said = capsys.readouterr().out
    assert "SKIPPED: sbom, test" in said
    assert "A rehearsal, as sbom, test was skipped: no commit, no tag." in said
    assert (root / "build/release/0.2.0/SHA256SUMS").exists()


def test_steps_fall_with_what_they_need() -> None:
    """Without wheels there is no image and no list of packages; each step that is named exists."""
    assert with_dependents(["wheels"]) == {"wheels", "aarch64", "image", "sbom"}
    assert with_dependents(["aarch64"]) == {"aarch64", "image"}
    assert {*NEEDS, *NEEDS.values()} <= {*STEPS, "aarch64"}


def test_the_changelog_gets_a_section() -> None:
    """What was unreleased stands under version and date, below an empty "Unreleased"; older sections stay."""
    text = changelog.released(LOG, "0.2.0", "2026-11-26")
    assert re.findall("^## .*", text, re.MULTILINE) == ["## Unreleased", "## 0.2.0, 2026-11-26", "## 0.1.0, 2026-01-02"]
    assert text.startswith(
        "# Changelog\n\nWhat changes for users.\n\n## Unreleased\n\n## 0.2.0, 2026-11-26\n\n### Added\n"
    )
    assert "### Changed" not in text
    assert text.endswith("- A fault.\n\n## 0.1.0, 2026-01-02\n\n- The first.\n")
    with pytest.raises(Refused):
        changelog.section(text)
    again = changelog.released(text.replace("## Unreleased\n", "## Unreleased\n\n- More.\n"), "0.3.0", "2026-12-01")
    assert "## 0.3.0, 2026-12-01\n\n- More.\n\n## 0.2.0" in again
    assert changelog.notes(LOG, "0.2.0", "2026-11-26") == (
        "# patchedge 0.2.0, 2026-11-26\n\n### Added\n\n- A page.\n\n### Fixed\n\n- A fault.\n"
    )


def test_checksums_are_those_of_sha256sum(tmp_path: Path) -> None:
    """The real `sha256sum --check` accepts the list, and finds a file that was changed."""
    write(tmp_path / "a b.tar", "first")
    write(tmp_path / "c.whl", "second")
    assert pack.write_sums(tmp_path).read_text().count("\n") == 2
    check = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    assert subprocess.run(check, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    write(tmp_path / "c.whl", "other")
    assert subprocess.run(check, cwd=tmp_path, capture_output=True, check=False).returncode == 1


@pytest.mark.parametrize("ending", ["tar", "tar.gz"])
def test_an_archive_is_the_same_for_the_same_files(tmp_path: Path, ending: str) -> None:
    """Times, owners and the order of the disk do not show, and all files are inside."""
    targets = []
    for name in ("one", "two"):
        write(tmp_path / name / "z.html", "z")
        write(tmp_path / name / "a/b.html", "b")
        (tmp_path / name / "z.html").chmod(0o600 if name == "one" else 0o664)
        targets.append(tmp_path / f"{name}.{ending}")
        pack.archive(tmp_path / name, "docs", targets[-1], 1_700_000_000)
    assert targets[0].read_bytes() == targets[1].read_bytes()
    with tarfile.open(targets[0]) as tar:
        assert tar.getnames() == ["docs/a/b.html", "docs/z.html"]


def test_the_list_of_packages_has_hashes_and_no_tools(tmp_path: Path) -> None:
    """Each wheel of a package is named with its sha256; pip is no part of the product."""
    write(tmp_path / "PyNaCl-1.6.2-cp311.whl", "abc")
    write(tmp_path / "pynacl-1.5.0-cp311.whl", "old")
    listed = sbom.complete(LISTED, tmp_path.glob("*.whl"))
    (package,) = listed["components"]
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, of "abc"
    assert package["externalReferences"] == [
        {"type": "distribution", "url": "PyNaCl-1.6.2-cp311.whl", "hashes": [{"alg": "SHA-256", "content": abc}]}
    ]
    assert [one["ref"] for one in listed["dependencies"]] == ["root", "a"]


def test_an_image_that_cannot_be_built_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Where root or a tool is missing, one line says so and which option leaves the image out; the code is 69."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["image", "--version", "0.2.0", "image.tar"])
    monkeypatch.setattr(os, "geteuid", lambda: 10001)
    assert image.main() == 69
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", "")
    assert image.main() == 69
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("image: only root can build")
    assert "buildah" in lines[1]
    assert all(line.endswith("to release without it: RELEASE_OPTIONS='--skip image'") for line in lines)
