"""Profiles: which one a device gets, and what the settings of a user do with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_config.errors import SettingsError
from edge_config.settings import csi, profiles
from edge_config.settings.parse import parse
from edge_config.settings.sections import Capture, Provider

MINIMAL: dict[str, Any] = {"bundle": "line.bundle", "cameras": {"top": {"source": 0}}}
JETSON = "NVIDIA Jetson Orin Nano Developer Kit"


def board(root: Path, name: str, text: str) -> Path:
    """Lay a file of /proc or /sys below a root."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("machine", "name", "text", "profile"),
    [
        ("x86_64", "proc/cpuinfo", "model name\t: Orin the PC\n", "x86-64"),
        ("AMD64", "proc/none", "", "x86-64"),
        ("aarch64", "proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0", "raspberry-pi-5"),
        ("aarch64", "proc/cpuinfo", "processor\t: 0\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n", "raspberry-pi-5"),
        ("aarch64", "proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.5\0", "generic-arm64"),
        ("aarch64", "proc/device-tree/model", f"{JETSON}\0", "jetson-orin"),
        ("aarch64", "sys/devices/soc0/machine", f"{JETSON}\n", "jetson-orin"),
        ("arm64", "proc/none", "", "generic-arm64"),
        ("riscv64", "proc/none", "", "none"),
    ],
)
def test_device_gets_the_profile_of_its_kind(tmp_path: Path, machine: str, name: str, text: str, profile: str) -> None:
    """Board and architecture decide; a board that is not known gets what goes for its architecture."""
    assert profiles.detect(board(tmp_path, name, text), machine) == profile


@pytest.mark.parametrize("name", profiles.all_profiles())
def test_every_profile_makes_valid_settings(name: str) -> None:
    """No profile has a key or a value that the settings do not take, and all end with the CPU."""
    read = parse({**MINIMAL, "profile": name})
    assert read.profile == name
    assert read.providers[-1].name == "CPUExecutionProvider"
    assert read.budget_ms


def test_what_the_user_sets_goes_over_the_profile() -> None:
    """A value of the user stands; those beside it, in the same section too, are the profile's."""
    mine = {"threads": 1, "degrade": {"hot_c": 91}, "providers": ["CPUExecutionProvider"]}
    read = parse({**MINIMAL, "profile": "jetson-orin", **mine})
    assert (read.threads, read.degrade.hot_c, read.degrade.cool_c) == (1, 91, 84)
    assert [provider.name for provider in read.providers] == ["CPUExecutionProvider"]
    assert read.budget_ms == 33


def test_without_a_profile_nothing_is_set() -> None:
    """`none` leaves every default as it is."""
    read = parse({**MINIMAL, "profile": "none"})
    assert (read.profile, read.budget_ms, read.capture.csi) == ("none", None, "")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"profile": "pi"}, "key `profile`: there is no `pi`; known: auto, none, jetson-orin, raspberry-pi-5, generic"),
        ({"profile": 5}, "profile"),
        ({"providers": []}, "providers"),
        ({"providers": ["cuda"]}, "providers"),
        (
            {"providers": [{"name": "CPUExecutionProvider", "opts": {}}]},
            "providers[0].opts`; known here: name, options",
        ),
        ({"providers": [{"name": "CPUExecutionProvider", "options": {"a": [1]}}]}, "providers[0].options"),
        (
            {"providers": [{"name": "CPUExecutionProvider", "options": {"a": "x" * 9000}}]},
            "key `providers` is longer than 8192 bytes",
        ),
        ({"affinity": [-1]}, "affinity"),
        ({"budget_ms": 0}, "budget_ms"),
        ({"capture": {"size": 1}}, "unknown key `capture.size`"),
        ({"profile": "none", "cameras": {"a": {"source": "csi://0"}}}, "no pipeline is known for the source `csi://0`"),
        ({"profile": "jetson-orin", "cameras": {"a": {"source": "csi://0?size=1"}}}, "is none; write csi://0?width"),
        ({"profile": "raspberry-pi-5", "cameras": {"a": {"source": "csi://1"}}}, "knows csi://0 only"),
    ],
)
def test_mistakes_are_said_in_one_line(change: dict[str, Any], said: str) -> None:
    """What is wrong names its key, and what would be right."""
    with pytest.raises(SettingsError) as caught:
        parse({**MINIMAL, **change}, where="s.yaml")
    assert said in str(caught.value)
    assert str(caught.value).startswith("s.yaml: ")


def test_csi_camera_becomes_the_pipeline_of_the_device() -> None:
    """Sensor and sizes are filled in, and what the source says goes over what the profile says."""
    cameras = {"a": {"source": "csi://1?width=640&height=480"}, "b": {"source": "clip.avi"}}
    read = parse({**MINIMAL, "profile": "jetson-orin", "cameras": cameras})
    source = str(read.cameras["a"].source)
    assert source.startswith("gst:nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM),width=640,height=480,")
    assert "framerate=30/1" in source
    assert "appsink drop=true" in source
    assert "{" not in source
    assert read.cameras["b"].source == "clip.avi"


@pytest.mark.parametrize("source", ["csi://", "csi://x", "csi://0?width=1;2", "csi://0?width=99999999", "csi://0 ! x"])
def test_nothing_is_smuggled_into_a_pipeline(source: str) -> None:
    """What is not a number of a camera and some sizes is refused."""
    with pytest.raises(SettingsError):
        csi.pipeline(source, Capture(csi="src sensor={sensor}"))


def test_names_and_options_of_providers_may_stand_side_by_side() -> None:
    """A provider is its name, or its name with options."""
    given = [{"name": "CUDAExecutionProvider", "options": {"device_id": 0}}, "CPUExecutionProvider"]
    read = parse({**MINIMAL, "providers": given})
    wanted = (Provider(name="CUDAExecutionProvider", options={"device_id": 0}), Provider(name="CPUExecutionProvider"))
    assert read.providers == wanted
