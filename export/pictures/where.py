"""Find out what `--images` names: a folder or a file of this machine, an address, or a list with hashes."""

from __future__ import annotations

import os
from pathlib import Path

from edge_config.errors import NoImages
from export.pictures.address import FromAddress, is_address
from export.pictures.manifest import ENDINGS, read_manifest
from export.pictures.watched import Watched
from runtime.learning.pictures.source import LocalFiles


def source_of(images: str) -> Watched | None:
    """Return where the pictures are read from; None for a folder, a picture or a video of this machine.

    Args:
        images: a path, an address such as s3://bucket/normal, or the path or address of a list of pictures with their
            hashes (.csv, .jsonl).

    Raises:
        UsageError: an address or a list that cannot be used.
        SourceUnavailable: an address that does not answer.
        MissingExtra: the package for such addresses is not installed.
    """
    if images.lower().endswith(ENDINGS):
        return read_manifest(images)
    return Watched(FromAddress(images)) if is_address(images) else None


def pictures_at(images: str) -> Watched | None:
    """Return pictures that may not change until they are learnt, of a folder of this machine too; None for a file.

    Raises:
        UsageError: there are none, or they cannot be listed.
    """
    if source := source_of(images):
        return source
    path = Path(images)
    if not os.path.exists(path):  # unlike Path.exists, False for names that no disk can hold
        raise NoImages("no such file or folder", where=images)
    return Watched(LocalFiles(path)) if path.is_dir() else None
