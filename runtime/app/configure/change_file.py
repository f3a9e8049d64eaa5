"""The thread that changes the settings file, and keeps the list of changes: the main loop never waits for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from edge_config.errors import PatchedgeError, RequestError
from edge_config.settings.edit_yaml import ABSENT
from edge_config.settings.problems import KeyPath
from edge_config.settings.settings_file import PlannedChange, SettingsFile
from edge_config.wire.configure import ChangesKept, InForce, SettingsChange
from runtime.app.configure.kept_changes import KeptChanges
from runtime.process.job_thread import JobThread

MAX_WAITING = 32
"""Maximum number of jobs that wait; further ones are refused."""

CLOSE_S = 2.0
"""Time-out at the end, seconds: a file that is being written is written whole."""

_FULL = "too many requests wait for the disk; retry later"
_NO_FILE = "the device runs without a settings file, so that nothing can be kept; start it with --config FILE"


@dataclass(frozen=True, slots=True)
class FilePlanned:
    """A change of the settings file was prepared, or cannot be made.

    Attributes:
        number: number of the request.
        planned: the change; None if it cannot be made.
        undoes: number of the kept change that it takes back.
        error: why it cannot be made, one line.
    """

    number: int
    planned: PlannedChange | None
    undoes: int | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class FileWritten:
    """The settings file was changed, or could not be.

    Attributes:
        number: number of the request.
        change: number of the kept change.
        error: why it was not changed, one line; empty if it was.
    """

    number: int
    change: int = 0
    error: str = ""


class ChangeFile:
    """Changes the settings file, in a thread of its own. What comes of it is told as an event."""

    def __init__(
        self, file: SettingsFile | None, changes: KeptChanges, tell: Callable[[FilePlanned | FileWritten], object]
    ) -> None:
        """Take the file, None if there is none; the list of changes; and what takes events, from the thread."""
        self._file = file
        self._changes = changes
        self._tell = tell
        self._thread = JobThread("settings file", MAX_WAITING)

    @property
    def path(self) -> str:
        """Path of the file; empty if there is none."""
        return "" if self._file is None else self._file.path

    def plan(self, number: int, camera: str, changes: Mapping[KeyPath, Any]) -> None:
        """Prepare a change of a camera's section; a `FilePlanned` follows."""

        def act() -> FilePlanned:
            return FilePlanned(number, self._there().plan(camera, changes))

        self._do(act, partial(FilePlanned, number, None, None))

    def plan_undo(self, number: int, camera: str) -> None:
        """Prepare to take the last kept change of a camera back; a `FilePlanned` follows."""

        def act() -> FilePlanned:
            file = self._there()
            last = next((one for one in self._changes.of(camera) if not one.undone), None)
            if last is None:
                raise RequestError(f"there is no kept change of camera `{camera}` to take back")
            back = {path: ABSENT if one.before is None else one.before for path, one in _by_path(last).items()}
            planned = file.plan(camera, back)
            for one in last.what:
                found = next((its.before for its in planned.what if its.key == one.key), one.before)
                if found != one.after:
                    said = f"`cameras.{camera}.{one.key}` was changed since change {last.number}"
                    raise RequestError(said, where=file.path, remedy="nothing is taken back; configure it anew")
            return FilePlanned(number, planned, last.number)

        self._do(act, partial(FilePlanned, number, None, None))

    def write(self, number: int, planned: PlannedChange, change: SettingsChange, undoes: int | None) -> None:
        """Write what was prepared, and note it as a kept change, or that one as taken back; `FileWritten` follows.

        Args:
            number: number of the request.
            planned: what was prepared.
            change: what is noted; its number is still to be given.
            undoes: number of the change that is taken back.
        """

        def act() -> FileWritten:
            if undoes is not None:
                self._there().commit(planned)
                self._changes.mark_undone(undoes)
                return FileWritten(number, undoes)
            kept = self._changes.add(change)  # first: without it, nothing could be taken back
            try:
                self._there().commit(planned)
            except BaseException:
                self._changes.drop(kept)
                raise
            return FileWritten(number, kept)

        self._do(act, partial(FileWritten, number, 0))

    def tell_list(
        self, in_force: InForce, answer: Callable[[ChangesKept], object], refuse: Callable[[str], object]
    ) -> None:
        """Have the kept changes of a camera listed, beside its settings in force."""
        camera = in_force.camera

        def job() -> None:
            changes = self._changes.of(camera)
            answer(ChangesKept(camera=camera, changes=changes, file=self.path, in_force=in_force))

        if not self._thread.put(job):
            refuse(_FULL)

    def close(self) -> None:
        """Do what waits, for a short while."""
        self._thread.close(CLOSE_S)

    def _there(self) -> SettingsFile:
        if self._file is None:
            raise RequestError(_NO_FILE)
        return self._file

    def _do(self, act: Callable[[], Any], failed: Callable[[str], Any]) -> None:
        """Do something in the thread, and tell what came of it."""

        def job() -> None:
            try:
                event = act()
            except PatchedgeError as error:
                event = failed(str(error))
            except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
                structlog.get_logger().error("the settings file cannot be changed", problem=repr(error))
                event = failed(f"the settings file cannot be changed ({type(error).__name__})")
            self._tell(event)

        if not self._thread.put(job):
            self._tell(failed(_FULL))


def _by_path(change: SettingsChange) -> Mapping[KeyPath, Any]:
    return {tuple(one.key.split(".")): one for one in change.what}


def as_values(polygons: Sequence[Any] | None) -> Any:
    """Return polygons as plain lists, as a file holds them."""
    return None if polygons is None else [[list(corner) for corner in outline] for outline in polygons]
