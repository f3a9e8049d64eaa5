"""Find out what `--images` names: a folder or a file of this machine, an address, or a list with hashes."""

from __future__ import annotations

from export.pictures.address import FromAddress, is_address
from export.pictures.manifest import ENDINGS, read_manifest
from export.pictures.watched import Watched


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
