"""Where bundles may be staged from, and which of them are deleted when nobody needs them any more."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

import structlog

from edge_config.settings.device import Settings
from runtime.state_folder import state_folder

_GONE = ".gone"


class StagingFolders:
    """The folder of the fleet, and the state folder. Any thread may call."""

    def __init__(self, settings: Settings) -> None:
        """Take the folders from the settings of a device."""
        state = None
        with contextlib.suppress(OSError):  # the user has no home
            state = state_folder()
        own = settings.fleet.folder if settings.fleet else ""
        fleet = Path(own) if own else state / "fleet" if state else None
        self._fleet = None if fleet is None else fleet.absolute()
        self._all = [folder.absolute() for folder in (fleet, state) if folder is not None]

    def why_not(self, path: str) -> str:
        """Return why a bundle may not be staged from a path, one line; empty if it may."""
        found = Path(path)
        if not found.is_absolute() or ".." in found.parts:
            return f"{path}: is not an absolute path without `..`"
        for folder in self._all:
            if found != folder and found.is_relative_to(folder):
                return self._why_not_there(found, folder)
        return f"{path}: is not below {' or '.join(dict.fromkeys(map(str, self._all)))}: stage it from there"

    def size(self, path: str) -> int:
        """Return the size of a bundle, bytes; 0 if it cannot be read."""
        with contextlib.suppress(OSError):
            return sum(one.stat().st_size for one in Path(path).iterdir())
        return 0

    def delete(self, paths: Collection[str]) -> None:
        """Delete bundles in the folder of the fleet; what is elsewhere stays."""
        for path in map(Path, paths):
            if self._fleet is None or path == self._fleet or not path.is_relative_to(self._fleet):
                continue
            gone = path.with_name(f".{path.name}{_GONE}")
            shutil.rmtree(gone, ignore_errors=True)  # of an earlier time, before a power cut
            try:
                path.rename(gone)  # it is gone as a whole, or there as a whole
            except FileNotFoundError:
                continue
            except OSError as error:
                structlog.get_logger().warning("a bundle cannot be deleted", path=str(path), problem=error.strerror)
                continue
            shutil.rmtree(gone, ignore_errors=True)
            structlog.get_logger().info("bundle deleted, as nothing serves it", path=str(path))

    def _why_not_there(self, path: Path, folder: Path) -> str:
        try:
            link = next((one for one in self._below(path, folder) if one.is_symlink()), None)
        except OSError as error:
            return f"{path}: cannot be read ({error.strerror})"
        return "" if link is None else f"{link}: is a symbolic link"

    @staticmethod
    def _below(path: Path, folder: Path) -> Iterator[Path]:
        """Yield a bundle, its files, and the folders between it and another one."""
        yield path
        yield from (one for one in path.parents if one != folder and one.is_relative_to(folder))
        yield from path.iterdir()
