"""The file of a plan: which cameras are learnt, from which pictures, with which options, and where the bundles go."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from edge_config.settings.problems import Problem, look, refusal
from edge_config.settings.reading import read_file
from edge_config.settings.sections import Name
from export.options import Device, Options

MAX_CAMERAS = 1000

KeyFile = Annotated[str, Meta(min_length=1, max_length=4096)]
Page = Annotated[str, Meta(min_length=1, max_length=4096)]


class PlannedFit(Options, frozen=True, kw_only=True):
    """What is learnt for one camera.

    Attributes:
        sign: secret key that signs the bundle; none: it is not signed.
    """

    sign: KeyFile | None = None


def _section(name: str, without: frozenset[str]) -> type[msgspec.Struct]:
    """Return a section of the file: the options, without some of them."""
    fields: list[Any] = [
        (field.name, field.type, *(() if field.required else (field.default,)))
        for field in msgspec.structs.fields(PlannedFit)
        if field.name not in without
    ]
    return msgspec.defstruct(name, fields, frozen=True, kw_only=True, forbid_unknown_fields=True)


OF_THE_COMMAND = frozenset({"threads", "device", "cluster", "workers", "mixed", "performance_report"})
"""Options of the whole command: they are given to it, and not in the plan."""

PER_CAMERA = frozenset({"images", "out"})

_Camera = _section("_Camera", OF_THE_COMMAND)
_Defaults = _section("_Defaults", OF_THE_COMMAND | PER_CAMERA)
_File = msgspec.defstruct(
    "_File",
    [
        ("cameras", Annotated[dict[Name, _Camera], Meta(min_length=1, max_length=MAX_CAMERAS)]),  # type: ignore[valid-type]
        ("defaults", _Defaults, None),
        ("page", Page, None),
    ],
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
)


class CameraPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A plan.

    Attributes:
        path: of its file.
        page: where the page about its last run is written.
        cameras: name -> what is learnt, in the order of the file.
    """

    path: Path
    page: Path
    cameras: dict[str, PlannedFit]


def read_plan(path: Path, *, threads: int = 0, device: Device = "cpu") -> CameraPlan:
    """Read the file of a plan; its paths are relative to the working directory.

    Args:
        path: of the file.
        threads: limit of all threads, for each camera.
        device: what embeds and selects, for each camera.

    Raises:
        SettingsError: all that is wrong with it, with the lines.
    """
    tree = read_file(str(path), tell_later=True)
    wrong, mended = look(tree, _File)
    problems = [*tree.twice, *wrong]
    defaults = mended.get("defaults", {})
    cameras: dict[str, PlannedFit] = {}
    for name, camera in mended.get("cameras", {}).items():
        found = _together(name, {**defaults, **camera, "threads": threads, "device": device})
        if isinstance(found, Problem):
            problems.append(found)
        else:
            cameras[name] = found
    problems += _shared_targets(cameras)
    if problems:
        raise refusal(problems, str(path), tree.lines)
    page = mended.get("page")
    return CameraPlan(path=path, page=Path(page) if page else path.with_suffix(".html"), cameras=cameras)


def _together(name: str, camera: dict[str, Any]) -> PlannedFit | Problem:
    """Return the options of a camera, or which of their values do not go together."""
    try:
        return msgspec.convert(camera, PlannedFit)
    except msgspec.ValidationError as error:
        return Problem(("cameras", name), f"key `cameras.{name}`: {error}")


def _shared_targets(cameras: Mapping[str, PlannedFit]) -> list[Problem]:
    """Refuse cameras whose bundles go to the same place."""
    first: dict[str, str] = {}
    problems = []
    for name, camera in cameras.items():
        other = first.setdefault(os.path.realpath(camera.out), name)
        if other != name:
            said = f"key `cameras.{name}.out`: {camera.out} is the bundle of `{other}` too"
            problems.append(Problem(("cameras", name, "out"), said))
    return problems
