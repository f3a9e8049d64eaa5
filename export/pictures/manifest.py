"""A list of pictures with their hashes: CSV with a head `path,sha256,size`, or a JSON object on each line."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from copy import copy
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from msgspec import Meta

from edge_config.errors import NoImages, UnreadableImage, UsageError
from edge_config.saving import put
from export.pictures.address import has_password, is_address, open_address, order, read_bytes
from export.pictures.watched import Watched
from runtime.camera import image_files
from runtime.learning.pictures.source import PictureSource

ENDINGS = (".csv", ".jsonl")


class Listed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of a list.

    Attributes:
        path: below the folder or address of the list; an absolute path or an address of its own.
        sha256: of the file's bytes.
        size: number of its bytes.
    """

    path: Annotated[str, Meta(min_length=1)]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    size: Annotated[int, Meta(ge=0)] | None = None


class _Files:
    """The pictures of a list, wherever each of them lies."""

    def __init__(self, where: str, paths: list[str]) -> None:
        self.where = where
        self.root = where.rpartition("/")[0] or "."
        self._paths = {Path(path): path for path in paths}
        self.files = sorted(self._paths, key=order)
        self.passed_over = Counter[str]()

    def read(self, file: Path) -> bytes:
        path = self._paths[file]
        at = path if is_address(path) or path.startswith("/") else f"{self.root}/{path}"
        return read_bytes(*open_address(at), at) if is_address(at) else image_files.bytes_of(Path(at))

    def only(self, files: Sequence[Path]) -> _Files:
        other = copy(self)
        other.files = list(files)
        other._paths = {file: self._paths[file] for file in files}  # noqa: SLF001 - of its own kind
        return other


def read_manifest(where: str) -> Watched:
    """Return the pictures of a list, at a path or an address; each is checked against it when it is read.

    Raises:
        NoImages: it has no lines.
        UsageError: it cannot be read, or a line is not what it must be.
    """
    try:
        data = read_bytes(*open_address(where), where) if is_address(where) else image_files.bytes_of(Path(where))
        text = data.decode("utf-8-sig")
    except UnreadableImage as error:
        raise UsageError(error.what, where=where) from error
    except UnicodeDecodeError as error:
        raise UsageError("is not UTF-8 text", where=where) from error
    found: dict[str, Listed] = {}
    for number, line in _lines(text, where):
        listed = _convert(line, f"{where}:{number}")
        if found.setdefault(listed.path, listed) is not listed:
            raise UsageError(f"`{listed.path}` is listed twice", where=f"{where}:{number}")
        if not image_files.is_picture(Path(listed.path)):
            raise UsageError(f"`{listed.path}` is no picture that is read, by its name", where=f"{where}:{number}")
    if not found:
        raise NoImages("lists no pictures", where=where)
    return Watched(_Files(where, list(found)), {Path(one.path): one.sha256 for one in found.values()}, where)


def write_manifest(source: PictureSource, out: Path) -> int:
    """Write the list of all pictures of a source, wherever the list lies; return their number.

    Paths are below the folder of the list where the pictures are, else absolute; of an address they are addresses. With
    a password in these, only the user may read the list.

    Raises:
        UnreadableImage: one of them cannot be read.
        NotWritten: it cannot be written.
    """
    watched, rows = Watched(source), []
    for file in watched.files:
        size = len(watched.read(file))
        rows.append({"path": _path_in(source.root, file, out), "sha256": watched.digest(file), "size": size})
    text = io.StringIO()
    if out.suffix.lower() == ".jsonl":
        text.writelines(f"{json.dumps(row)}\n" for row in rows)
    else:
        writer = csv.DictWriter(text, Listed.__struct_fields__, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    put(out, text.getvalue().encode(), mode=0o600 if has_password(source.root) else 0o666)
    return len(rows)


def _path_in(root: str, file: Path, out: Path) -> str:
    """Return the path of a picture as a list has it that is written to `out`."""
    if is_address(root):
        return f"{root}/{quote(file.as_posix()) if root.startswith('http') else file.as_posix()}"
    at, folder = Path(root, file).absolute(), out.absolute().parent
    return (at.relative_to(folder) if at.is_relative_to(folder) else at).as_posix()


def _lines(text: str, where: str) -> Iterator[tuple[int, Any]]:
    """Yield number and content of each line."""
    if where.lower().endswith(".jsonl"):
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                try:
                    yield number, json.loads(line)
                except json.JSONDecodeError as error:
                    raise UsageError(f"is not JSON ({error.msg})", where=f"{where}:{number}") from error
        return
    rows = csv.DictReader(io.StringIO(text), restkey="more", restval="")
    if not rows.fieldnames or not {"path", "sha256"} <= set(rows.fieldnames):
        raise UsageError("is no list of pictures", where=f"{where}:1", remedy="begin it with `path,sha256,size`")
    for row in rows:
        yield rows.line_num, {name: value for name, value in row.items() if value or name != "size"}


def _convert(line: Any, place: str) -> Listed:
    try:
        return msgspec.convert(line, Listed, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(str(error), where=place, remedy="a line has path, sha256 and size") from error
