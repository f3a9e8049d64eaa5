"""Pictures at an address: s3, http, sftp and whatever else fsspec has a package for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from copy import copy
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from edge_config.errors import MissingExtra, NoImages, SourceUnavailable, UnreadableImage, UsageError
from runtime.camera import image_files

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "sftp": "paramiko",
    "ssh": "paramiko",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "abfs": "adlfs",
    "az": "adlfs",
    "smb": "smbprotocol",
    "hdfs": "pyarrow",
    "http": "'patchedge[cluster]'",
    "https": "'patchedge[cluster]'",
}
"""Protocol -> what to install for it."""

Key = tuple[tuple[bool, str], ...]

_FLAT = re.compile(r"^((?:[a-z0-9+.-]+::)*[a-z][a-z0-9+.-]+:)/(?!/)", re.IGNORECASE)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*:(//|:)", re.IGNORECASE)


def is_address(text: str) -> bool:
    """Return whether a text is an address, such as s3://bucket/normal or simplecache::s3://bucket/normal."""
    return _ADDRESS.match(text) is not None


def has_password(text: str) -> bool:
    """Return whether an address has a password in it, such as sftp://user:password@host/normal."""
    return is_address(text) and urlsplit(text.rpartition("::")[2]).password is not None


def name_of(root: str, file: Path) -> str:
    """Return the name of a picture for messages; a list may name one by an address of its own, or a whole path."""
    if file.is_absolute():
        return str(file)
    text = file.as_posix()  # which has one slash for the two of an address
    return _FLAT.sub(r"\1//", text) if _FLAT.match(text) else f"{root}/{text}"


class FromAddress:
    """The pictures below an address, in the order in which a folder with the same names is read."""

    def __init__(self, address: str) -> None:
        """List them.

        Raises:
            NoImages: there is nothing at this address.
            SourceUnavailable: it cannot be listed.
            MissingExtra: the package for such addresses is not installed.
        """
        self.where = self.root = address.rstrip("/")
        self._disk, top = open_address(address)
        found = self._list(top)
        below = {self._name(top, path): path for path in found}
        self._paths = {file: path for file, path in below.items() if image_files.is_picture(file)}
        self.files = sorted(self._paths, key=order)
        self.passed_over = Counter(
            file.suffix.lower() or "no suffix"
            for file in below
            if file not in self._paths and not file.name.startswith(".") and "?" not in file.name
        )

    def read(self, file: Path) -> bytes:
        """Return the bytes of one of `files`."""
        return read_bytes(self._disk, self._paths[file], f"{self.root}/{file}")

    def only(self, files: Sequence[Path]) -> FromAddress:
        """Return a source of some of `files`."""
        other = copy(self)
        other.files = list(files)
        other._paths = {file: self._paths[file] for file in files}  # noqa: SLF001 - of its own kind
        return other

    def _list(self, top: str) -> list[str]:
        try:
            self._disk.ls(top, detail=False)  # `find` takes a server that does not answer for an empty folder
            found: list[str] = self._disk.find(top)
        except FileNotFoundError:
            found = []
        except Exception as error:
            raise SourceUnavailable(f"cannot be listed ({_told(error)})", where=self.where) from error
        if not found:
            raise NoImages("nothing at this address", where=self.where)
        return found

    def _name(self, top: str, path: str) -> Path:
        """Return the name of a file below the address; one of http is quoted in its address."""
        below = PurePosixPath(path).relative_to(PurePosixPath(top)) if path != top else PurePosixPath(path).name
        text = str(below)
        return Path(unquote(text) if self.root.startswith("http") else text)


def order(file: Path) -> Key:
    """Return what sorts files as `image_files.walk` does: those of a folder before those of its folders."""
    return (*((True, folder) for folder in file.parts[:-1]), (False, file.name))


def open_address(address: str) -> tuple[AbstractFileSystem, str]:
    """Return what reads at an address, and the path there.

    Raises:
        UsageError: no such protocol.
        MissingExtra: a package is not installed.
    """
    try:
        from fsspec.core import url_to_fs
    except ModuleNotFoundError as error:
        raise MissingExtra("fsspec is not installed", remedy="pip install 'patchedge[cluster]'") from error
    protocol = address.rsplit("::", maxsplit=1)[-1].partition("://")[0].lower()
    try:
        disk, path = url_to_fs(address)
    except ImportError as error:
        remedy = f"pip install {PACKAGES[protocol]}" if protocol in PACKAGES else "install it"
        said = f"the package for {protocol}:// is not installed ({_told(error)})"
        raise MissingExtra(said, where=address, remedy=remedy) from error
    except ValueError as error:
        raise UsageError(f"cannot be used as an address ({_told(error)})", where=address) from error
    except Exception as error:
        raise SourceUnavailable(f"cannot be opened ({_told(error)})", where=address) from error
    return disk, str(path)


def read_bytes(disk: Any, path: str, name: str) -> bytes:
    """Return what a file at an address holds.

    Raises:
        UnreadableImage: it is gone, or cannot be read.
    """
    try:
        with disk.open(path, "rb") as stream:
            return bytes(stream.read())
    except FileNotFoundError as error:
        raise UnreadableImage("is not there", where=name) from error
    except Exception as error:
        raise UnreadableImage(f"cannot be read ({_told(error)})", where=name) from error


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__
