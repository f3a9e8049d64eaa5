"""Device profiles: default settings for each kind of device, and detection of the kind this one is.

A profile is a file in the folder `profiles` with the keys `about`, `machine` (as of `uname -m`), `model` (a part of the
board's name, empty for any) and `settings`, which the settings of the user go over.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import yaml

from edge_config.errors import SettingsError

AUTO, NONE = "auto", "none"

_ENDING = ".yaml"
_OTHER_NAMES = {"amd64": "x86_64", "arm64": "aarch64"}
_MODEL_FILES = ("proc/device-tree/model", "sys/devices/soc0/machine")  # Docker hides the first


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of device.

    Attributes:
        about: which devices, in a line.
        machine: architecture.
        model: a part of the board's name; empty: any.
        settings: its default settings.
    """

    about: str
    machine: str
    settings: dict[str, Any]
    model: str = ""


@cache
def all_profiles() -> Mapping[str, Profile]:
    """Read all profiles, by name; those for a certain board first."""
    folder = resources.files("edge_config") / "settings" / "profiles"
    files = [entry for entry in folder.iterdir() if entry.name.endswith(_ENDING)]
    found = {
        file.name.removesuffix(_ENDING): msgspec.convert(yaml.safe_load(file.read_text(encoding="utf-8")), Profile)
        for file in files
    }
    return dict(sorted(found.items(), key=lambda item: (not item[1].model, item[0])))


def board(root: Path = Path("/")) -> str:
    """Return the name of this board; empty if it has none."""
    for name in _MODEL_FILES:
        if text := _read(root / name):
            return text
    lines = (line.partition(":") for line in _read(root / "proc/cpuinfo").splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == "Model"), "")


def detect(root: Path = Path("/"), machine: str | None = None) -> str:
    """Name the profile of this device; `none` if there is none for it.

    Args:
        root: where /proc and /sys are.
        machine: the architecture; by default that of this process.
    """
    machine = machine or platform.machine()
    machine = _OTHER_NAMES.get(machine.lower(), machine)
    name = board(root)
    fits = (key for key, profile in all_profiles().items() if profile.machine == machine and profile.model in name)
    return next(fits, NONE)


def apply(tree: dict[str, Any], where: str = "settings") -> dict[str, Any]:
    """Override the settings of a profile by those of the user; invalid values are kept as they are.

    Raises:
        SettingsError: there is no such profile.
    """
    name = tree.get("profile", AUTO)
    if not isinstance(name, str):
        return tree
    name = detect() if name == AUTO else name
    if name != NONE and name not in all_profiles():
        known = ", ".join((AUTO, NONE, *all_profiles()))
        raise SettingsError(f"key `profile`: there is no `{name}`", where=where, remedy=f"known: {known}")
    base = {} if name == NONE else all_profiles()[name].settings
    merged: dict[str, Any] = {**_merge(base, tree), "profile": name}
    if isinstance(merged.get("providers"), list):
        merged["providers"] = [{"name": one} if isinstance(one, str) else one for one in merged["providers"]]
    return merged


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    return base | {
        key: _merge(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
        for key, value in over.items()
    }


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0 \n")
    except OSError:
        return ""
