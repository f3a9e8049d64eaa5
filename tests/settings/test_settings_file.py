"""A settings file that is changed while the device runs: whole, exactly as meant, or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from edge_config.errors import NotWritten, PatchedgeError, SettingsError
from edge_config.settings.edit_yaml import ABSENT
from edge_config.settings.parse import parse
from edge_config.settings.problems import KeyPath
from edge_config.settings.settings_file import SettingsFile
from edge_config.wire.configure import ChangedValue

TEXT = """\
bundle: /b
cameras:
  top:
    source: 0
    alerts: {threshold: 3.5} # since May
  side:
    source: 1
"""
THRESHOLD: KeyPath = ("alerts", "threshold")
TRIANGLE = [[0, 0], [9, 0], [9, 9]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a settings file."""
    (tmp_path / "device.yaml").write_text(TEXT)
    return tmp_path / "device.yaml"


def file_at(path: Path) -> SettingsFile:
    return SettingsFile(str(path), lambda tree: parse(tree, str(path)))


def keep(path: Path, changes: dict[KeyPath, Any], camera: str = "top") -> tuple[ChangedValue, ...]:
    file = file_at(path)
    planned = file.plan(camera, changes)
    file.commit(planned)
    assert file.read() == planned.settings
    return planned.what


def test_change_is_what_the_next_start_reads(path: Path) -> None:
    """After a change the file parses to exactly the wanted settings, and its comments are there."""
    what = keep(path, {THRESHOLD: 12, ("regions",): [TRIANGLE], ("ignore",): None})
    assert what == (
        ChangedValue(key="alerts.threshold", before=3.5, after=12),
        ChangedValue(key="regions", before=None, after=[TRIANGLE]),
    )
    top = file_at(path).read().cameras["top"]
    assert (top.alerts.threshold, top.regions, top.ignore) == (12, (((0, 0), (9, 0), (9, 9)),), None)
    assert "# since May" in path.read_text()
    assert (
        file_at(path).read().cameras["side"]
        == parse({"bundle": "b", "cameras": {"side": {"source": 1}}}).cameras["side"]
    )


def test_nothing_is_written_before_commit(path: Path) -> None:
    """To plan a change leaves the file alone."""
    file_at(path).plan("top", {THRESHOLD: 12})
    assert path.read_text() == TEXT


def test_permissions_owner_and_link_stay(path: Path, tmp_path: Path) -> None:
    """The file keeps its mode and owner, and a link to it stays a link."""
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 12345, 54321)
    before = path.stat()
    (tmp_path / "link.yaml").symlink_to(path)
    keep(tmp_path / "link.yaml", {THRESHOLD: 12})
    after = path.stat()
    assert (stat.S_IMODE(after.st_mode), after.st_uid, after.st_gid) == (0o640, before.st_uid, before.st_gid)
    assert (tmp_path / "link.yaml").is_symlink()
    assert "threshold: 12" in path.read_text()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["device.yaml", "link.yaml"]


@pytest.mark.parametrize(
    ("text", "changes", "problem"),
    [
        ("bundle: [", {THRESHOLD: 12}, "cannot be parsed"),
        (TEXT.replace("bundle: /b", "bundel: /b"), {THRESHOLD: 12}, "bundel"),
        (TEXT.replace("top:", "other:"), {THRESHOLD: 12}, "has no section `cameras.top`"),
        (TEXT, {THRESHOLD: -1}, "threshold"),
        (TEXT.replace("{threshold: 3.5}", "&a {threshold: 3.5}") + "    alerts: *a\n", {THRESHOLD: 12}, "anchors"),
        (TEXT, {("regions",): [[[0, 0]] * 3] * 65}, "regions"),
    ],
)
def test_what_cannot_be_written_exactly_is_refused(path: Path, text: str, changes: Any, problem: str) -> None:
    """A file that is wrong, or that would say something else, is refused with its name, and stays as it is."""
    path.write_text(text)
    with pytest.raises(SettingsError, match=problem) as refused:
        file_at(path).plan("top", changes)
    assert str(path) in str(refused.value)
    assert path.read_text() == text


def test_toml_and_absent_files_are_refused(tmp_path: Path) -> None:
    """TOML is not written, and a file that is gone is not made anew: one line says what to do."""
    (tmp_path / "device.toml").write_text("")
    for name, problem in (("device.toml", "YAML only"), ("none.yaml", "cannot be read")):
        with pytest.raises(SettingsError, match=problem):
            file_at(tmp_path / name).plan("top", {THRESHOLD: 12})


@pytest.mark.parametrize("of", ["device.yaml", "."])
def test_read_only_file_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch, of: str) -> None:
    """A file that may not be written, or whose folder may not, is refused before anything changes."""
    real = os.access
    denied = path.parent / of
    monkeypatch.setattr(os, "access", lambda at, mode: Path(at) != denied.resolve() and real(at, mode))
    with pytest.raises(SettingsError, match="read-only"):
        file_at(path).plan("top", {THRESHOLD: 12})


def test_file_that_changed_meanwhile_is_not_overwritten(path: Path) -> None:
    """What somebody else wrote between plan and commit stays."""
    file = file_at(path)
    planned = file.plan("top", {THRESHOLD: 12})
    path.write_text(TEXT + "# mine\n")
    with pytest.raises(SettingsError, match="retry"):
        file.commit(planned)
    assert path.read_text() == TEXT + "# mine\n"


def test_disk_that_fails_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails in the middle is one line, and leaves the old file, and nothing beside it."""
    file = file_at(path)
    planned = file.plan("top", {THRESHOLD: 12})

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NotWritten, match="No space left"):
        file.commit(planned)
    assert path.read_text() == TEXT
    assert [one.name for one in path.parent.iterdir()] == ["device.yaml"]


def test_removed_key_is_the_default_again(path: Path) -> None:
    """A key that is taken away counts as it does where it was never written."""
    what = keep(path, {THRESHOLD: ABSENT})
    assert what == (ChangedValue(key="alerts.threshold", before=3.5, after=None),)
    assert file_at(path).read().cameras["top"].alerts.threshold is None


def test_options_of_the_command_line_stay_out_of_the_file(path: Path) -> None:
    """What is laid over the file for this run is not written into it."""
    path.write_text(TEXT.replace("bundle: /b\n", ""))
    file = SettingsFile(str(path), lambda tree: parse({**tree, "bundle": "/other"}, str(path)))
    planned = file.plan("top", {THRESHOLD: 12})
    file.commit(planned)
    assert "/other" not in path.read_text()
    with pytest.raises(PatchedgeError, match="bundle"):
        file_at(path).read()
