"""Arguments of `patchedge run` over a settings file, with one camera and with several."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from edge_config.errors import SettingsError, UsageError
from edge_config.settings.parse import parse
from runtime.cli import run

TWO = {"top": {"source": 0, "max_age_ms": 50}, "side": {"source": "/dev/video1"}}


def overlay(tree: dict[str, Any], *words: str) -> dict[str, Any]:
    """Lay the words of a command line over a tree, which stays as it is."""
    parser = argparse.ArgumentParser()
    run.add_arguments(parser)
    before = repr(tree)
    merged = run._overlay(tree, parser.parse_args(words))
    assert repr(tree) == before
    return merged


def test_named_camera_is_changed_and_the_others_stay() -> None:
    """With several cameras --camera chooses one; what its section says beside the arguments holds."""
    merged = overlay({"cameras": TWO}, "--camera", "top", "--source", "clip.mp4", "--fps", "5")
    assert merged["cameras"] == {
        "top": {"source": "clip.mp4", "fps": 5.0, "max_age_ms": 50},
        "side": {"source": "/dev/video1"},
    }


@pytest.mark.parametrize("words", [["--source", "0"], ["--fps", "5"], ["--camera", "bottom"]])
def test_several_cameras_need_one_to_be_named(words: list[str]) -> None:
    """Arguments for a camera that is not named, or is not there, are an error that names those that are."""
    with pytest.raises(UsageError, match="give --camera and one of top, side"):
        overlay({"cameras": TWO}, *words)


def test_cameras_with_numbers_for_names_are_named_too() -> None:
    """YAML reads the name 1 as a number: what is wrong is said in a line all the same."""
    with pytest.raises(UsageError, match="one of 1, 2"):
        overlay({"cameras": {1: {"source": 0}, 2: {"source": 1}}}, "--source", "0")


def test_arguments_for_the_device_leave_cameras_alone() -> None:
    """Bundle, device, threads and address are laid over the file, whatever cameras there are."""
    tree = {"bundle": "old", "cameras": TWO, "events": {"high_water_mark": 5}}
    words = ("--bundle", "new", "--device", "press-3", "--threads", "2", "--bind", "ipc:///run/x", "--insecure")
    merged = overlay(tree, *words, "--wait-subscribers", "2")
    assert merged["cameras"] == TWO
    assert (merged["bundle"], merged["device"], merged["threads"]) == ("new", "press-3", 2)
    assert merged["events"] == {
        "high_water_mark": 5,
        "bind": "ipc:///run/x",
        "insecure": True,
        "wait_subscribers": 2,
    }


def test_bundle_that_no_camera_would_take_is_refused() -> None:
    """--bundle is that of cameras without their own; where there is none, it would be dropped in silence."""
    own = {"top": {"source": 0, "bundle": "top.bundle"}, "side": {"source": 1, "bundle": "side.bundle"}}
    with pytest.raises(UsageError, match="--bundle has no effect"):
        overlay({"bundle": "old", "cameras": own}, "--bundle", "new")
    assert overlay({"cameras": {**own, "front": {"source": 2}}}, "--bundle", "new")["bundle"] == "new"


@pytest.mark.parametrize(("words", "name"), [([], "top"), (["--camera", "front"], "front")])
def test_only_camera_is_meant_without_a_name_and_may_get_another(words: list[str], name: str) -> None:
    """With one camera --source is about it; --camera gives it a name of its own."""
    merged = overlay({"cameras": {"top": {"source": 0, "stall_ms": 900}}}, "--source", "clip.mp4", *words)
    assert merged["cameras"] == {name: {"source": "clip.mp4", "stall_ms": 900}}


@pytest.mark.parametrize(("words", "name"), [([], "cam1"), (["--camera", "front"], "front")])
def test_without_a_file_there_is_one_camera(words: list[str], name: str) -> None:
    """--bundle and --source make settings that hold, of one camera."""
    settings = parse(overlay({}, "--bundle", "a.bundle", "--source", "clip.mp4", *words))
    assert {name: camera.source for name, camera in settings.cameras.items()} == {name: "clip.mp4"}


@pytest.mark.parametrize("cameras", [None, [], 3, "top", {"top": None}, {"top": "/dev/video0"}])
def test_wrong_settings_are_left_for_the_check(cameras: Any) -> None:
    """Cameras that are no sections at all are found wrong by `parse`, never by a traceback here."""
    with pytest.raises(SettingsError):
        parse(overlay({"bundle": "a", "cameras": cameras}, "--source", "0"))
