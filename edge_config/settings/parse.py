"""Check plain values of a settings file or a command line against the settings of a device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from edge_config.errors import SettingsError
from edge_config.settings import checks, csi, profiles
from edge_config.settings.device import Settings
from edge_config.settings.problems import Problem, look, refusal
from edge_config.settings.reading import Tree, lines_of
from edge_config.settings.sections import Alerts, Camera, Capture


def parse(tree: dict[str, Any], where: str = "settings") -> Settings:
    """Check a tree of plain values against `Settings`.

    Args:
        tree: plain values of a file or a command line; a `Tree` knows the lines of its keys.
        where: named in the errors: the file, or "command line".

    Raises:
        SettingsError: all that is wrong: unknown keys and those that are there twice, values out of bounds, an open
            socket that was not asked for, settings that do not go together.
    """
    problems = list(tree.twice) if isinstance(tree, Tree) else []
    try:
        laid = profiles.apply(tree, where)
    except SettingsError as error:
        problems.append(Problem(("profile",), error.what, error.remedy))
        laid = profiles.apply({**tree, "profile": profiles.NONE}, where)
    wrong, mended = look(laid, Settings)
    problems += wrong
    try:
        settings = msgspec.convert({**_STAND_INS, **mended} if problems else laid, Settings)
    except (msgspec.ValidationError, UnicodeError) as error:  # it knows better
        problems = problems or [Problem((), str(error))]
        raise refusal(problems, where, lines_of(tree)) from error
    cameras, wrong = _with_pipelines(settings)
    problems += [*wrong, *checks.check(settings, tree)]
    if problems:
        raise refusal(problems, where, lines_of(tree))
    return msgspec.structs.replace(settings, cameras=cameras)


_STAND_INS: Mapping[str, Any] = {"bundle": "-", "cameras": {"-": {"source": "-"}}}
"""Values for missing keys, so that the rest can be checked."""


def _with_pipelines(settings: Settings) -> tuple[dict[str, Camera], list[Problem]]:
    """Put the pipelines of the device in place of csi:// sources."""
    found = {name: _pipeline(name, camera, settings.capture) for name, camera in settings.cameras.items()}
    cameras = {name: camera for name, camera in found.items() if isinstance(camera, Camera)}
    return cameras, [problem for problem in found.values() if isinstance(problem, Problem)]


def _pipeline(name: str, camera: Camera, capture: Capture) -> Camera | Problem:
    try:
        return msgspec.structs.replace(camera, source=csi.pipeline(camera.source, capture))
    except SettingsError as error:
        return Problem(("cameras", name, "source"), error.what, error.remedy)


def with_changes(alerts: Alerts, changes: dict[str, Any]) -> Alerts:
    """Return alert settings with some keys changed, which are checked as those of a file are.

    Raises:
        SettingsError: an unknown key, or a value out of bounds.
    """
    tree = {**msgspec.to_builtins(alerts), **changes}
    problems, _ = look(tree, Alerts)
    if problems:
        raise SettingsError("; ".join(one.what for one in problems))
    return msgspec.convert(tree, Alerts)
