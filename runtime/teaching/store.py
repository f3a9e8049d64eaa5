"""The stored pictures of all cameras, on disk. Every change is atomic: a kill at any instant leaves whole pictures.

A picture is two files (see `picture.py`). What a killed process left half-written is removed at the start.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import structlog

from edge_config.errors import NotWritten
from edge_config.saving import put, writing
from edge_config.wire.messages import Box
from edge_config.wire.teaching import PictureKind, StoredPicture
from runtime.frame import Image
from runtime.teaching import dropping, png
from runtime.teaching.picture import (
    MAX_RECORD_BYTES,
    PICTURES,
    decode_record,
    encode_record,
    iso_time,
    picture_path,
    pictures_folder,
    record_path,
)

HELD_S = 3600.0
"""Pictures that a learner was given are not deleted for so long, but by a person, seconds."""

_LOCK = ".lock"
_OURS = re.compile(r"\.?[0-9]{8}T[0-9]{9}Z-[0-9a-f]{8}\.(png|json)(\.[0-9]+\.part)?")
_IN_USE = "in use by another patchedge"

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, eq=False)
class NewPicture:
    """A frame that is to be stored; the fields are those of `StoredPicture`."""

    id: str
    kind: PictureKind
    camera: str
    image: Image
    t_capture_ns: int
    frame: int
    score: float
    threshold: float
    alert: str | None = None
    by: str = ""
    boxes: tuple[Box, ...] = ()


class PictureStore:
    """The stored pictures. One thread changes them; any thread may read what is known of them."""

    def __init__(self, folder: Path, max_bytes: int, max_days: float, now_s: Callable[[], float] = time.time) -> None:
        """Store pictures in the learning folder, within these bounds; nothing is read before `open`.

        Args:
            folder: the learning folder.
            max_bytes: maximum size of all pictures together.
            max_days: maximum age of a picture.
            now_s: wall clock, seconds since 1970 UTC.
        """
        self.folder = folder
        self.max_bytes = max_bytes
        self._max_days = max_days
        self._now_s = now_s
        self._lock = threading.Lock()
        self._pictures: dict[str, StoredPicture] = {}
        self._room = 0  # that all of them take
        self._held: dict[str, float] = {}  # id -> until when, monotonic
        self._file: BinaryIO | None = None

    def open(self) -> None:
        """Lock the folder, remove what is half-written, and read what is there.

        Raises:
            NotWritten: the folder cannot be used, or another process uses it.
        """
        with writing(self.folder, "name another `learning.folder`"):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = (self.folder / _LOCK).open("ab")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                file.close()
                if isinstance(error, BlockingIOError):
                    raise NotWritten(
                        _IN_USE, where=str(self.folder), remedy="name another `learning.folder`, or `device`"
                    ) from error
                raise
            self._file = file
            try:
                found = {one.id: one for one in self._read()}
            except OSError:
                self.close()  # else the next try finds its own lock
                raise
        with self._lock:
            self._pictures = found
            self._room = dropping.room(found.values())
        self.delete(dropping.outdone(found.values()))

    def close(self) -> None:
        """Unlock the folder."""
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def size(self) -> int:
        """Room that all pictures take, bytes."""
        return self._room

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self._pictures)

    def all(self) -> list[StoredPicture]:
        """Return all pictures, the oldest first."""
        with self._lock:
            return sorted(self._pictures.values(), key=lambda one: one.id)

    def of(self, camera: str) -> list[StoredPicture]:
        """Return the pictures of a camera, the oldest first."""
        return [one for one in self.all() if one.camera == camera]

    def get(self, camera: str, picture_id: str) -> StoredPicture | None:
        """Return a picture; None if the camera has none of this id."""
        with self._lock:
            found = self._pictures.get(picture_id)
        return found if found is not None and found.camera == camera else None

    def add(self, new: NewPicture) -> StoredPicture:
        """Store a picture.

        Raises:
            NotWritten: the disk does not take it.
        """
        data = png.encode(new.image)
        picture = StoredPicture(
            id=new.id,
            kind=new.kind,
            camera=new.camera,
            time=iso_time(new.t_capture_ns),
            frame=new.frame,
            score=new.score,
            threshold=new.threshold,
            sha256=hashlib.sha256(data).hexdigest(),
            bytes=len(data),
            alert=new.alert,
            by=new.by,
            boxes=new.boxes,
        )
        folder, path = pictures_folder(self.folder, new.camera), picture_path(self.folder, picture)
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        put(path, data, mode=0o600)
        try:
            self._put(picture)
        except NotWritten:
            path.unlink(missing_ok=True)
            raise
        return picture

    def hold(self, pictures: Iterable[StoredPicture]) -> None:
        """Keep pictures while a learner may read them."""
        until_s = time.monotonic() + HELD_S
        with self._lock:
            self._held = {key: one for key, one in self._held.items() if one > time.monotonic()}
            self._held.update((one.id, until_s) for one in pictures)

    def free(self, pictures: Iterable[StoredPicture]) -> list[StoredPicture]:
        """Return those pictures that no learner may read."""
        now_s = time.monotonic()
        with self._lock:
            return [one for one in pictures if self._held.get(one.id, 0.0) <= now_s]

    def change(self, picture: StoredPicture, **fields: Any) -> StoredPicture:
        """Store other fields of a picture; nothing is written if they are the same.

        Raises:
            NotWritten: the disk does not take it; the picture is as it was.
        """
        changed = msgspec.structs.replace(picture, **fields)
        if changed != picture:
            self._put(changed)
        return changed

    def read(self, picture: StoredPicture) -> bytes:
        """Return the PNG.

        Raises:
            OSError: it cannot be read.
            ValueError: it is damaged.
        """
        data = picture_path(self.folder, picture).read_bytes()
        if hashlib.sha256(data).hexdigest() != picture.sha256:
            raise ValueError("is damaged: its bytes are not those that were stored")
        return data

    def delete(self, pictures: Iterable[StoredPicture]) -> int:
        """Delete pictures, and return how much room they took, bytes.

        Raises:
            NotWritten: one cannot be deleted.
        """
        freed = 0
        for one in pictures:
            path = record_path(self.folder, one)
            with writing(path, "delete it by hand"):
                path.unlink(missing_ok=True)
                picture_path(self.folder, one).unlink(missing_ok=True)
            with self._lock:
                gone = self._pictures.pop(one.id, None)
                self._room -= 0 if gone is None else dropping.room([gone])
            freed += one.bytes
        return freed

    def delete_old(self) -> list[StoredPicture]:
        """Delete pictures that are too old, and return them.

        Raises:
            NotWritten: one cannot be deleted.
        """
        old = self.free(dropping.too_old(self.all(), self._now_s(), self._max_days))
        self.delete(old)
        return old

    def make_room(self) -> list[StoredPicture]:
        """Delete pictures that are too many, and return them.

        Raises:
            NotWritten: one cannot be deleted.
        """
        if self._room <= self.max_bytes // 2:
            return []
        kept = self.all()
        free = self.free(kept)
        many = dropping.too_many(free, self.max_bytes - dropping.room(kept) + dropping.room(free))
        self.delete(many)
        return many

    def _put(self, picture: StoredPicture) -> None:
        put(record_path(self.folder, picture), encode_record(picture), mode=0o600)
        with self._lock:
            self._room += 0 if picture.id in self._pictures else dropping.room([picture])
            self._pictures[picture.id] = picture

    def _read(self) -> Iterator[StoredPicture]:
        """Yield the pictures on the disk, and remove what is not one."""
        for camera in sorted(self.folder.iterdir()):
            folder = camera / PICTURES
            if camera.is_symlink() or not folder.is_dir() or folder.is_symlink():
                continue
            whole: set[str] = set()
            for path in sorted(folder.glob("*.json")):
                picture = _whole(path, camera.name)
                if picture is not None:
                    whole |= {path.name, f"{path.stem}.png"}
                    yield picture
            for entry in os.scandir(folder):
                if entry.name not in whole and _OURS.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    Path(entry).unlink()


def _whole(path: Path, camera: str) -> StoredPicture | None:
    """Return the picture of a JSON file; None if one of its files is missing or damaged."""
    try:
        with path.open("rb") as file:
            picture = decode_record(file.read(MAX_RECORD_BYTES))
        named = (picture.id, picture.camera) == (path.stem, camera)
        whole = named and path.with_suffix(".png").stat().st_size == picture.bytes
        problem = "" if whole else "its JSON file is of another one"
    except FileNotFoundError:
        return None
    except (ValueError, msgspec.DecodeError) as error:
        problem = str(error)
    if problem:
        _log.warning("a damaged picture is deleted", path=str(path), problem=problem)
        return None
    return picture
