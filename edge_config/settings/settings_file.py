"""The settings file of a running device: read again, and changed for good, whole or not at all."""

from __future__ import annotations

import copy
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_config.errors import SettingsError
from edge_config.saving import replace_content
from edge_config.settings.device import Settings
from edge_config.settings.edit_yaml import ABSENT, edit
from edge_config.settings.problems import KeyPath, dotted
from edge_config.settings.reading import MAX_BYTES, Tree, read_bytes, read_file
from edge_config.wire.configure import ChangedValue

_BY_HAND = "change the file by hand, and send SIGHUP"


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """A change of the file that can be made.

    Attributes:
        what: values that change, in the order of the request; empty if the file says so already.
        text: content of the file with the change.
        settings: settings with the change.
        identity: of the file when it was read.
    """

    what: tuple[ChangedValue, ...]
    text: bytes
    settings: Settings
    identity: tuple[int, ...]


class SettingsFile:
    """The file that `patchedge run` was started with. Not thread-safe."""

    def __init__(self, path: str, parse: Callable[[Tree], Settings]) -> None:
        """Take the path, and what makes settings of the content: the options of the command line are laid over it."""
        self.path = path
        self._parse = parse
        self._absolute = Path(path).absolute()  # the working directory may change

    def read(self) -> Settings:
        """Read the file again.

        Raises:
            SettingsError: it cannot be used.
        """
        return self._parse(read_file(str(self._absolute), tell_later=True))

    def plan(self, camera: str, changes: Mapping[KeyPath, Any]) -> PlannedChange:
        """Prepare a change of one camera, and check that the file will hold exactly that; nothing is written.

        Args:
            camera: name of the camera.
            changes: path of a key in its section -> new value, or `ABSENT` for a key that is removed.

        Raises:
            SettingsError: the file is absent, read-only, no YAML, or wrong; or it cannot be changed in this way.
        """
        target = self._target()
        with _reading(self.path):
            with target.open("rb") as file:
                identity = _identify(os.fstat(file.fileno()))
                data = file.read(MAX_BYTES + 1)
            self._check_writable(target)
        tree = read_bytes(data, self.path, tell_later=True)
        self._parse(tree)  # what is wrong in it by now is said as of a start
        section = tree.get("cameras", {}).get(camera)
        if not isinstance(section, dict):
            raise SettingsError(f"has no section `cameras.{camera}`", where=self.path, remedy=_BY_HAND)
        before = {path: _get(section, path) for path in changes}
        wanted = self._parse(Tree(_changed(tree, camera, changes)))
        text = edit(data.decode(), ("cameras", camera), changes, self.path).encode()
        if len(text) > MAX_BYTES:
            raise SettingsError(f"would be longer than {MAX_BYTES} bytes", where=self.path)
        if self._read_back(text) != wanted:
            said = "is written in a way that cannot be changed here, such as by anchors that others share"
            raise SettingsError(said, where=self.path, remedy=_BY_HAND)
        what = tuple(
            ChangedValue(key=dotted(path), before=before[path], after=None if value is ABSENT else value)
            for path, value in changes.items()
            if before[path] != (None if value is ABSENT else value)
        )
        return PlannedChange(what, text, wanted, identity)

    def commit(self, planned: PlannedChange) -> None:
        """Write a planned change; owner and permissions of the file stay.

        Raises:
            SettingsError: the file was changed meanwhile.
            NotWritten: it cannot be written; the old one is as it was.
        """
        target = self._target()
        with _reading(self.path):
            if _identify(target.stat()) != planned.identity:
                raise SettingsError("was changed by somebody else this very moment", where=self.path, remedy="retry")
        replace_content(target, planned.text)

    def _target(self) -> Path:
        """Return the file itself: a link to it stays a link."""
        if self._absolute.suffix.lower() == ".toml":
            said = "is TOML, and changes are kept in YAML only"
            raise SettingsError(said, where=self.path, remedy=f"{_BY_HAND}; or write the settings as YAML")
        return self._absolute.resolve()

    def _check_writable(self, target: Path) -> None:
        for path, what in ((target, "is"), (target.parent, "is in a folder that is")):
            if not os.access(path, os.W_OK):
                remedy = "allow the user of patchedge to write there (systemd: ReadWritePaths=)"
                raise SettingsError(f"{what} read-only", where=self.path, remedy=remedy)

    def _read_back(self, text: bytes) -> Settings | None:
        try:
            return self._parse(read_bytes(text, self.path, tell_later=True))
        except SettingsError:
            return None


@contextmanager
def _reading(path: str) -> Iterator[None]:
    """Translate errors of reading the file."""
    try:
        yield
    except OSError as error:
        raise SettingsError(f"cannot be read ({error.strerror})", where=path) from error


def _identify(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, stat.S_IFMT(found.st_mode)


def _get(section: Mapping[str, Any], path: KeyPath) -> Any:
    value: Any = section
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _changed(tree: Mapping[str, Any], camera: str, changes: Mapping[KeyPath, Any]) -> dict[str, Any]:
    """Return the values of the file with the changes."""
    new = dict(tree)
    new["cameras"] = {**tree["cameras"], camera: copy.deepcopy(tree["cameras"][camera])}
    for path, value in changes.items():
        section = new["cameras"][camera]
        for key in path[:-1]:
            if not isinstance(section.get(key), dict):
                section[key] = {}
            section = section[key]
        if value is ABSENT:
            section.pop(path[-1], None)
        else:
            section[path[-1]] = value
    return new
