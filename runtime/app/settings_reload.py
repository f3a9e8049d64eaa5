"""Reload the settings file: alert settings and regions take effect at once; what needs a restart is reported."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import structlog

from edge_config.errors import PatchedgeError
from edge_config.settings.device import Settings
from runtime.alerts.monitored_camera import MonitoredCamera
from runtime.events import SettingsRead

_log = structlog.get_logger()


class SettingsReload:
    """Reads the settings file in threads of its own, one after the other: the disk may hang. Any thread may call."""

    def __init__(
        self, settings: Settings, read: Callable[[], Settings], tell: Callable[[SettingsRead], object]
    ) -> None:
        """Take the settings that the runtime was started with, what reads them again, and what takes the event."""
        self._settings = settings
        self._read = read
        self._tell = tell
        self._lock = threading.Lock()  # what is read last is the newest

    def begin(self) -> None:
        """Begin to read; `SettingsRead` comes of it."""
        threading.Thread(target=self._run, name="settings", daemon=True).start()

    def _run(self) -> None:
        with self._lock:
            self._tell(self._news())

    def _news(self) -> SettingsRead:
        try:
            found = self._read()
        except PatchedgeError as error:
            return SettingsRead({}, (), str(error))
        except Exception as error:  # noqa: BLE001 - whatever the file does, the runtime goes on as it is
            return SettingsRead({}, (), f"{type(error).__name__}: {error}")
        sections = {name: camera for name, camera in found.cameras.items() if name in self._settings.cameras}
        alerts = {name: camera.alerts for name, camera in sections.items()}
        return SettingsRead(alerts, tuple(needing_restart(self._settings, found)), sections=sections)


def apply(event: SettingsRead, cameras: Mapping[str, MonitoredCamera]) -> None:
    """Go on with the alert settings of the file, also where a request had changed them."""
    if event.problem:
        _log.error("reloading the settings failed; the old ones remain", problem=event.problem)
        return
    changed = [name for name, alerts in event.alerts.items() if alerts != cameras[name].settings]
    for name in changed:
        cameras[name].configure(event.alerts[name])
    _log.info("settings reloaded", alerts_of=changed)
    if event.restart:
        _log.warning("changed settings that need a restart", keys=list(event.restart))


def needing_restart(old: Settings, new: Settings) -> list[str]:
    """Return the keys that differ, but for alerts and regions of cameras: those that count from the next start only."""
    return _different(_at_start(old), _at_start(new))


def _at_start(settings: Settings) -> dict[str, Any]:
    tree: dict[str, Any] = msgspec.to_builtins(settings)
    for camera in tree["cameras"].values():
        for key in ("alerts", "regions", "ignore"):
            del camera[key]
    return tree


def _different(old: dict[str, Any], new: dict[str, Any], path: str = "") -> list[str]:
    """Return the paths of differing values; of a value on one side only, its own path."""
    found: list[str] = []
    for key in dict.fromkeys((*old, *new)):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            found += _different(before, after, f"{path}{key}.")
        elif before != after:
            found.append(f"{path}{key}")
    return found
