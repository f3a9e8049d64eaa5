"""A JSON file that holds its own hash: manifest.json of a bundle, network.json of a network file."""

from __future__ import annotations

import hashlib
import threading
from typing import Any, TypeVar

import msgspec

from edge_config.errors import BundleFileHash, BundleManifestInvalid, BundleVersionUnknown

ZEROS = "0" * 64
"""Stands in the place of the hash while it is computed."""


_one_at_a_time = threading.Lock()
"""msgspec 0.22 learns a type at its first use: two threads that have it do so at once may crash the process."""

Kind = TypeVar("Kind", bound=msgspec.Struct)


def encode(sealed: msgspec.Struct) -> bytes:
    """Write a struct as indented JSON in UTF-8, its own hash filled in."""
    blank = msgspec.structs.replace(sealed, manifest_sha256=ZEROS)
    text = msgspec.json.format(msgspec.json.encode(blank), indent=2) + b"\n"
    return text.replace(ZEROS.encode(), hashlib.sha256(text).hexdigest().encode(), 1)


def decode(text: bytes, where: str, kind: type[Kind], version: int, remedy: str) -> Kind:
    """Read such a file.

    Args:
        text: its bytes.
        where: names the file in the errors.
        kind: what it holds.
        version: the format version that is read.
        remedy: what helps against another version.

    Raises:
        BundleManifestInvalid: not JSON, or not valid in this format.
        BundleVersionUnknown: another format version.
        BundleFileHash: it was changed after it was written.
    """
    try:
        tree: Any = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BundleManifestInvalid(f"not JSON ({error})", where=where, remedy="copy it again") from error
    found = tree.get("format_version") if isinstance(tree, dict) else None
    if found != version:
        raise BundleVersionUnknown(
            f"format version {found!r}, this program reads {version}", where=where, remedy=remedy
        )
    own = str(tree.get("manifest_sha256")).encode()
    if hashlib.sha256(text.replace(own, ZEROS.encode(), 1)).hexdigest().encode() != own:
        raise BundleFileHash("its content has changed", where=where, remedy="copy it again")
    try:
        with _one_at_a_time:
            return msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        raise BundleManifestInvalid(str(error), where=where, remedy="copy or export it again") from error
