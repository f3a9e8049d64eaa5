"""Reload bundles: on request, or when another bundle was put in place of the old."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from runtime.events import Asked
from runtime.inference.engine import Engine
from runtime.messaging.control_socket import Control


@dataclass(slots=True)
class _Waiting:
    """A request that is answered when all its bundles are."""

    asked: Asked
    paths: set[str]
    errors: list[str]


class Reloads:
    """Has bundles read anew, and answers those who asked. Use it from one thread."""

    def __init__(self, engine: Engine, control: Control) -> None:
        """Take who does it, and who is told."""
        self._engine = engine
        self._control = control
        self._lying: dict[str, tuple[int, int] | None] = {}
        self._waiting: list[_Waiting] = []

    def serving(self, paths: Iterable[str]) -> None:
        """Watch the paths of the bundles in service."""
        self._lying = {path: self._lying.get(path) or _identity(path) for path in paths}

    def changed(self) -> bool:
        """Return whether another bundle lies at one of the paths than when this was asked last."""
        now = {path: _identity(path) for path in self._lying}
        changed = any(found is not None and found != self._lying[path] for path, found in now.items())
        self._lying.update({path: found for path, found in now.items() if found is not None})
        return changed

    def renew(self) -> None:
        """Have every bundle read anew from where it lies."""
        self.changed()
        self._engine.reload()

    def ask(self, asked: Asked, camera: str | None, path: str | None) -> None:
        """Have bundles read because of a request."""
        self._waiting.append(_Waiting(asked, self._engine.reload(camera, path), []))

    def answered(self, path: str, error: str) -> None:
        """Take note of what came of a bundle: an error, or empty."""
        for waiting in [one for one in self._waiting if path in one.paths]:
            waiting.paths.discard(path)
            if error:
                waiting.errors.append(error)
            if waiting.paths:
                continue
            self._waiting.remove(waiting)
            if waiting.errors:
                self._control.refuse(waiting.asked, "; ".join(waiting.errors))
            else:
                self._control.reply(waiting.asked, {"reloaded": True})


def _identity(path: str) -> tuple[int, int] | None:
    """Tell which directory lies at a path; None if there is none."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
