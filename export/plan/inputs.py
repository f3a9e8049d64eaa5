"""What a bundle is learnt from, in one hash: with the same inputs the same bundle comes of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from edge_config.bundle import files as bundles
from edge_config.bundle import manifest as manifests
from edge_config.bundle import network_file
from edge_config.errors import UnreadableImage, UsageError
from edge_config.installed import version
from export.pictures.watched import Watched
from export.plan.settings import OF_THE_COMMAND, PlannedFit
from runtime.learning.network_file import DEFAULT

_NO_INPUTS = OF_THE_COMMAND | {"images", "out", "force", "sign", "backbone", "weights"}
_UNREADABLE = "unreadable"


def inputs_of(options: PlannedFit, pictures: Watched | None) -> str:
    """Return the hash of all that a bundle depends on, in hex.

    These are the bytes and names of all pictures, the options, the network, and the versions of patchedge and of the
    bundle's format. Pictures of a list are hashed by the list, others are read.

    Raises:
        UnreadableImage: a picture cannot be read, and `skip_bad` is not set.
        UsageError: a file of the network cannot be read.
    """
    chosen = {name: value for name, value in msgspec.to_builtins(options).items() if name not in _NO_INPUTS}
    inputs = {
        "format": manifests.FORMAT_VERSION,
        "patchedge": version("patchedge"),
        "options": chosen,
        "network": _network(options),
        "pictures": _pictures(options, pictures),
    }
    return hashlib.sha256(msgspec.json.encode(inputs, order="deterministic")).hexdigest()


def _network(options: PlannedFit) -> list[str]:
    if options.default_network:
        return [_digest(DEFAULT / network_file.RECORD)]
    backbone = _digest(Path(options.backbone)) if options.backbone.endswith(".onnx") else options.backbone
    return [backbone, *([_digest(Path(options.weights))] if options.weights else [])]


def _pictures(options: PlannedFit, pictures: Watched | None) -> list[tuple[str, str]]:
    if pictures is None:
        return [(Path(options.images).name, _digest(Path(options.images)))]
    found = []
    for file in pictures.files:
        try:
            digest = pictures.digest(file)
        except UnreadableImage:
            if not options.skip_bad:
                raise
            digest = _UNREADABLE
        found.append((file.as_posix(), digest))
    return found


def _digest(path: Path) -> str:
    try:
        return bundles.file_sha256(path)
    except OSError as error:
        raise UsageError(f"cannot be read ({error.strerror})", where=str(path)) from error
