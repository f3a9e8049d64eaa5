"""A network file: a graph, from a picture to patch features, and the proof that it computes what its network does.

It is made once where torch is, and learnt with where it is not. It is a directory NAME.network with

    network.json    the fields below; holds size and sha256 of each of the others
    model.onnx      as in a bundle: a bundle that is learnt with it has the same bytes

and optionally

    network.onnx    as in a bundle
    network.sig     signature of network.json, in the form of manifest.sig
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from edge_config.bundle import files as bundles
from edge_config.bundle import sealed
from edge_config.bundle.fields import Count, ManifestPart, Sha256
from edge_config.bundle.files import SignatureCheck
from edge_config.bundle.manifest import Features, FileEntry, Preprocessing
from edge_config.bundle.parity_result import Difference
from edge_config.errors import BundleManifestInvalid, BundleMissing

FORMAT_VERSION = 1

RECORD, SIGNATURE = "network.json", "network.sig"
PARTS = (bundles.MODEL, bundles.NETWORK)
NAMES = frozenset({RECORD, SIGNATURE, *PARTS})
"""All files that a network file may contain."""


class NetworkParity(ManifestPart, frozen=True):
    """The graph in ONNX Runtime against the program that the network came with.

    Attributes:
        pictures: number of pictures compared; they are drawn, the same each time.
        reference: this program, such as "torch 2.13.0 float32".
        features: ||a - b|| / ||b|| of each patch.
    """

    pictures: Count
    reference: str
    features: Difference


class NetworkRecord(ManifestPart, frozen=True, kw_only=True):
    """The whole of network.json.

    Attributes:
        format_version: version of this format.
        manifest_sha256: sha256 of network.json with 64 zeros in this place; it detects damage, not tampering.
        files: every other file, by name.
        preprocessing: from a picture to the input of the graph.
        features: the patch features, without scaling.
        parity: the graph against its network's own program.
        versions: versions of the packages that made it, by name.
    """

    format_version: int
    manifest_sha256: Sha256 = sealed.ZEROS
    files: dict[str, FileEntry]
    preprocessing: Preprocessing
    features: Features
    parity: NetworkParity
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class NetworkFile:
    """A network file whose files match the hashes in its record.

    Attributes:
        path: its directory.
        record: its record.
        id: sha256 of network.json in hex.
    """

    path: Path
    record: NetworkRecord
    id: str


def read(path: Path, judge: SignatureCheck | None = None) -> NetworkFile:
    """Open a network file and verify every file of it.

    Args:
        path: its directory.
        judge: checks the signature, before anything else is read.

    Raises:
        BundleError: a subclass for each kind of fault; nothing but the record was parsed.
    """
    parts = (RECORD, bundles.MODEL)
    if os.path.lexists(path / bundles.MANIFEST) or not any(os.path.lexists(path / name) for name in parts):
        remedy = "make one with `patchedge-export network`"
        raise BundleMissing("no network file here", where=str(path), remedy=remedy)
    text = bundles.read_manifest(path, RECORD)
    if judge:
        judge(text, bundles.read_signature(path, SIGNATURE), str(path / SIGNATURE))
    remedy = "make it again with this version of patchedge"
    record = sealed.decode(text, str(path / RECORD), NetworkRecord, FORMAT_VERSION, remedy)
    if bundles.MODEL not in record.files or set(record.files) - set(PARTS):
        raise BundleManifestInvalid(f"lists {', '.join(sorted(record.files))}", where=str(path / RECORD))
    bundles.verify_files(path, record.files, {RECORD, SIGNATURE})
    return NetworkFile(path, record, hashlib.sha256(text).hexdigest())
