"""Settings for a fleet from a file: read, and checked as far as that can be done without the device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from edge_config.errors import SettingsError, UsageError
from edge_config.polygons import Polygons
from edge_config.settings.parse import with_changes
from edge_config.settings.reading import read_file
from edge_config.settings.sections import Alerts

_KEYS = ("threshold", "alerts", "regions", "ignore")
MAX_BYTES = 60_000
"""Maximum size as JSON: a request to a device has at most 64 KB."""


def read(path: Path) -> dict[str, Any]:
    """Return the settings of a file, as the request `configure` takes them.

    The file has `threshold`, or a section `alerts`, and `regions` and `ignore`, as the settings of a camera have them.

    Raises:
        SettingsError: it cannot be read, or has something else, or a value that no camera would take.
    """
    where = str(path)
    tree = dict(read_file(where))
    unknown = sorted(set(tree) - set(_KEYS))
    if unknown or not tree:
        what = f"unknown key `{unknown[0]}`" if unknown else "is empty"
        raise SettingsError(what, where=where, remedy=f"there are {', '.join(_KEYS)}")
    settings: dict[str, Any] = {key: tree[key] for key in ("regions", "ignore") if key in tree}
    alerts = tree.get("alerts") or {}
    if not isinstance(alerts, dict):
        raise SettingsError("`alerts` is not a section", where=where)
    if "threshold" in tree:
        alerts = {**alerts, "threshold": tree["threshold"]}
    if alerts:
        settings["alerts"] = alerts
    try:
        with_changes(Alerts(), alerts)
        for key in ("regions", "ignore"):
            msgspec.convert(settings.get(key), Polygons | None)
    except (SettingsError, msgspec.ValidationError) as error:
        said = error.what if isinstance(error, SettingsError) else str(error)
        raise SettingsError(f"not settings of a camera: {said}", where=where) from error
    if len(msgspec.json.encode(settings)) > MAX_BYTES:
        raise UsageError(f"is larger than {MAX_BYTES} bytes as JSON", where=where, remedy="use fewer polygons")
    return settings
