"""The file of users and tokens: read whenever it has changed, written atomically, readable by its owner alone."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from edge_config.errors import SettingsError, UsageError
from edge_config.saving import put_durably, writing
from edge_config.settings.page import PageAccess

Role = Literal["viewer", "operator"]
"""What a user may do: see everything, or also change something."""

FILE = "users.json"
"""Name of the file in the folder of the page, where the settings name no other."""

MAX_NAME = 64
MAX_ENTRIES = 1000
"""Maximum number of users, and of tokens."""

TOKEN_START = "patchedge_"  # noqa: S105 - so that scanners for secrets recognise a token
_MODE = 0o600
_MAX_BYTES = 1 << 20


class PageUser(msgspec.Struct, forbid_unknown_fields=True):
    """A person.

    Attributes:
        role: what this person may do.
        password: Argon2id hash of the password.
    """

    role: Role
    password: str


class PageToken(msgspec.Struct, forbid_unknown_fields=True):
    """Access of a program.

    Attributes:
        role: what the program may do.
        sha256: hash of the token, hexadecimal; the token itself is random and is stored nowhere.
    """

    role: Role
    sha256: str


class Register(msgspec.Struct, forbid_unknown_fields=True):
    """The content of the file.

    Attributes:
        version: of this format.
        users: name -> person.
        tokens: name -> program.
    """

    version: Literal[1] = 1
    users: dict[str, PageUser] = {}
    tokens: dict[str, PageToken] = {}


def users_path(access: PageAccess, folder: Path) -> Path:
    """Return the path of the file of users."""
    return Path(access.users) if access.users else folder / FILE


class UsersFile:
    """The register as it is on the disk at this moment."""

    def __init__(self, path: Path) -> None:
        """Name the file; if it does not exist there are no users."""
        self.path = path
        self._seen: tuple[int, ...] | None = None
        self._register = Register()

    def read(self) -> Register:
        """Return the register; the file is read again if it was changed.

        Raises:
            SettingsError: it cannot be read, is damaged, or others can read or write it.
        """
        try:
            found = self.path.stat()
        except FileNotFoundError:
            self._seen = None
            self._register = Register()
            return self._register
        except OSError as error:
            raise SettingsError(f"cannot be read ({error.strerror})", where=str(self.path)) from error
        now = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)
        if now != self._seen:
            self._register = _load(self.path, found)
            self._seen = now
        return self._register


@contextlib.contextmanager
def changing(path: Path) -> Iterator[Register]:
    """Return the register to be changed; it is written at the end of the block, unless that raises.

    Two commands at the same time wait for each other.

    Raises:
        SettingsError: the file is there and cannot be used.
        NotWritten: it cannot be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
    try:
        owner = path.parent.stat() if os.geteuid() == 0 else None  # root changes the users of a service
        if owner is not None:
            os.fchown(lock, owner.st_uid, owner.st_gid)
        fcntl.flock(lock, fcntl.LOCK_EX)
        register = UsersFile(path).read()
        yield register
        if max(len(register.users), len(register.tokens)) > MAX_ENTRIES:
            raise UsageError(f"more than {MAX_ENTRIES} users or tokens", where=str(path), remedy="remove some")
        put_durably(path, msgspec.json.format(msgspec.json.encode(register)) + b"\n", mode=_MODE)
        if owner is not None:
            os.chown(path, owner.st_uid, owner.st_gid)
    finally:
        os.close(lock)


def name_of(text: str) -> str:
    """Return the name of a user or a token in its one form.

    Raises:
        UsageError: it is empty, too long, or has characters that cannot be seen.
    """
    name = unicodedata.normalize("NFC", text)
    if not 0 < len(name) <= MAX_NAME or not name.isprintable() or name != name.strip():
        raise UsageError(
            "not a name", where=name[:MAX_NAME] or "NAME", remedy=f"take 1 to {MAX_NAME} letters, digits, signs"
        )
    return name


def new_token() -> str:
    """Return a token that cannot be guessed."""
    return TOKEN_START + secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """Return what is stored of a token; it is random, so one fast hash is enough."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


def _load(path: Path, found: os.stat_result) -> Register:
    if not stat.S_ISREG(found.st_mode) or found.st_size > _MAX_BYTES:
        raise SettingsError("is not a file of users", where=str(path))
    if found.st_mode & 0o077:
        raise SettingsError("others can read these users", where=str(path), remedy=f"chmod 600 {path}")
    trusted = {0, os.geteuid()} | ({path.parent.stat().st_uid} if os.geteuid() == 0 else set())
    if found.st_uid not in trusted:
        raise SettingsError("belongs to another user", where=str(path), remedy=f"chown it to user {os.geteuid()}")
    try:
        return msgspec.json.decode(path.read_bytes(), type=Register)
    except OSError as error:
        raise SettingsError(f"cannot be read ({error.strerror})", where=str(path)) from error
    except msgspec.MsgspecError as error:
        remedy = "restore it, or delete it and add the users again"
        raise SettingsError(f"is not a file of users ({error})", where=str(path), remedy=remedy) from error
