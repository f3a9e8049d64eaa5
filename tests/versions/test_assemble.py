"""What the settings say of learning on: where it is off, and where it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_config.errors import SettingsError
from edge_config.settings.device import Settings
from edge_config.settings.parse import parse
from export.signing import make_key
from runtime.security.trust import public_key
from runtime.versions.assemble import open_shelves

KEY = "ed25519:" + "0" * 64


def settings(folder: Path, **trust: object) -> Settings:
    tree = {"bundle": "line.bundle", "cameras": {"top": {"source": "a.mp4"}}, "trust": trust}
    return parse({**tree, "learning": {"folder": str(folder / "learning")}}, where="test")


@pytest.mark.parametrize(
    ("trust", "refused"),
    [
        ({}, False),
        ({"keys": [KEY]}, True),
        ({"keys": [KEY], "unsigned": "allow"}, False),
        ({"keys": [KEY], "device_key": "line-3.key"}, False),
    ],
)
def test_learning_is_refused_where_its_result_would_be(tmp_path: Path, trust: dict[str, object], refused: bool) -> None:  # noqa: FBT001
    """With trusted keys and no key of its own, a device says at the request that it could not serve what it learns."""
    make_key(tmp_path / "line-3")
    if "device_key" in trust:
        trust = {**trust, "device_key": str(tmp_path / "line-3.key")}
    learnt = open_shelves(settings(tmp_path, **trust), {"top": "line.bundle"})
    assert ("set `trust.device_key`" in learnt.shelves.may_not_learn) == refused
    assert learnt.public_key == (public_key(str(tmp_path / "line-3.pub")) if "device_key" in trust else "")
    learnt.close()


def test_device_key_that_others_may_read_ends_the_start(tmp_path: Path) -> None:
    """A secret key that is no secret is refused at the start, in one line with the remedy."""
    make_key(tmp_path / "line-3")
    (tmp_path / "line-3.key").chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        open_shelves(settings(tmp_path, device_key=str(tmp_path / "line-3.key")), {"top": "line.bundle"})


def test_second_runtime_with_the_same_folder_learns_nothing(tmp_path: Path) -> None:
    """While one runtime uses the learning folder, another deletes nothing there, and says why it does not learn."""
    first = open_shelves(settings(tmp_path), {"top": "line.bundle"})
    second = open_shelves(settings(tmp_path), {"top": "line.bundle"})
    assert "another runtime uses" in second.shelves.off
    assert second.shelves.at_start() == {"top": "line.bundle"}
    first.close()
    third = open_shelves(settings(tmp_path), {"top": "line.bundle"})
    assert third.shelves.off == ""
    third.close()
