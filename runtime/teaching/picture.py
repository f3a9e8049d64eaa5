"""A stored picture on disk: a PNG and a JSON file of the same name, in `CAMERA/pictures/` of the learning folder.

The PNG is written first, and deleted last: a picture without its JSON file does not exist.
"""

from __future__ import annotations

import re
import secrets
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from edge_config.settings.device import Settings
from edge_config.wire.teaching import PICTURE_ID_PATTERN, StoredPicture
from runtime.state_folder import state_folder

PICTURES = "pictures"
"""Folder of the stored pictures of a camera, in its folder."""

MAX_RECORD_BYTES = 4096
"""Maximum size of the JSON file of a picture."""

_ID = re.compile(PICTURE_ID_PATTERN)


def learning_folder(settings: Settings) -> Path:
    """Return the folder of all that is learnt on the device; a camera has a folder of its name in it.

    Raises:
        OSError: no folder is set, and the user has no home.
    """
    return Path(settings.learning.folder) if settings.learning.folder else state_folder() / "learning" / settings.device


def pictures_folder(folder: Path, camera: str) -> Path:
    """Return the folder of the stored pictures of a camera, in the learning folder."""
    return folder / camera / PICTURES


def picture_path(folder: Path, picture: StoredPicture) -> Path:
    """Return the path of the PNG, in the learning folder."""
    return pictures_folder(folder, picture.camera) / f"{picture.id}.png"


def record_path(folder: Path, picture: StoredPicture) -> Path:
    """Return the path of the JSON file, in the learning folder."""
    return picture_path(folder, picture).with_suffix(".json")


def is_id(text: str) -> bool:
    """Return whether a text has the form of an id."""
    return _ID.match(text) is not None


def new_id(t_capture_ns: int) -> str:
    """Return an id for a frame of this wall clock, nanoseconds since 1970 UTC; ids sort by time."""
    at = datetime.fromtimestamp(t_capture_ns // 1_000_000_000, timezone.utc)
    return f"{at:%Y%m%dT%H%M%S}{t_capture_ns // 1_000_000 % 1000:03d}Z-{secrets.token_hex(4)}"


def iso_time(t_ns: int) -> str:
    """Return a wall clock, nanoseconds since 1970 UTC, as ISO 8601."""
    at = datetime.fromtimestamp(t_ns // 1_000_000_000, timezone.utc)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{t_ns // 1_000_000 % 1000:03d}Z"


def encode_record(picture: StoredPicture) -> bytes:
    """Return the content of the JSON file."""
    return msgspec.json.format(msgspec.json.encode(picture), indent=1) + b"\n"


def decode_record(data: bytes) -> StoredPicture:
    """Read the content of a JSON file.

    Raises:
        ValueError: it is damaged.
    """
    picture = msgspec.json.decode(data, type=StoredPicture)
    if not is_id(picture.id):
        raise ValueError(f"not an id: {picture.id[:80]!r}")
    return picture
