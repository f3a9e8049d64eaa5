"""Which bundle each camera is to be scored with, and the orders to load them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from runtime.events import ReloadRefused
from runtime.inference.protocol import Load
from runtime.inference.worker_handle import WorkerHandle


def _nowhere(*_of: str) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Origins:
    """Where bundles come from; any thread may call.

    Attributes:
        root_of: path of a bundle -> path of the bundle that it must be a child of; empty for others.
        instead_of: camera and path of a bundle -> path of the one that serves in its place where it is refused when a
            worker starts; empty: none.
    """

    root_of: Callable[[str], str] = _nowhere
    instead_of: Callable[[str, str], str] = _nowhere


class BundlePaths:
    """The paths, and reloads that wait for a worker. Not thread-safe."""

    def __init__(self, paths: Mapping[str, str], number: Callable[[], int], origins: Origins) -> None:
        """Take the path of the bundle of each camera, what numbers orders, and where bundles come from."""
        self._paths = dict(paths)
        self._number = number
        self._origins = origins
        self._waiting: list[tuple[tuple[str, ...], str]] = []

    def ask(self, camera: str | None, path: str | None) -> set[str]:
        """Note a reload, as of `Engine.reload`; return the paths that there will be an answer for."""
        cameras = tuple(self._paths) if camera is None else (camera,)
        old = dict.fromkeys(self._paths[name] for name in cameras)
        wanted = [(cameras, path)] if path is not None else [(self._cameras_of(one), one) for one in old]
        self._waiting += [one for one in wanted if one not in self._waiting]
        return {path for _, path in wanted}

    def send_waiting(self, worker: WorkerHandle | None) -> None:
        """Send the reloads that wait, if there is a worker for them."""
        if worker is not None:
            for cameras, path in self._waiting:
                self._load(worker, cameras, path)
            self._waiting.clear()

    def start(self, worker: WorkerHandle) -> None:
        """Send a new worker what it begins with."""
        for path in dict.fromkeys(self._paths.values()):
            worker.starting.add(self._load(worker, self._cameras_of(path), path))

    def taken(self, load: Load) -> None:
        """Take note of a bundle in service."""
        self._paths.update(dict.fromkeys(load.cameras, load.path))

    def start_otherwise(self, worker: WorkerHandle, load: Load, error: str) -> list[ReloadRefused]:
        """Send other bundles in place of one that a new worker has refused; return what to tell of it.

        Nothing is done if there is none for one of the cameras.
        """
        found = {camera: self._origins.instead_of(camera, load.path) for camera in load.cameras}
        if not all(found.values()):
            return []
        self._paths.update(found)
        told = []
        for path in dict.fromkeys(found.values()):
            cameras = tuple(camera for camera, instead in found.items() if instead == path)
            worker.starting.add(self._load(worker, cameras, path))
            told.append(ReloadRefused(cameras, load.path, error, kept=False, instead=path))
        return told

    def _load(self, worker: WorkerHandle, cameras: tuple[str, ...], path: str) -> int:
        number = self._number()
        worker.load(number, cameras, path, self._origins.root_of(path))
        return number

    def _cameras_of(self, path: str) -> tuple[str, ...]:
        return tuple(camera for camera, its in self._paths.items() if its == path)
