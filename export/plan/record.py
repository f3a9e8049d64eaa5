"""What a plan notes beside each bundle: from which inputs it was learnt, so that it is not learnt twice.

line.plan.json is written after the bundle is complete and signed, and before it is put in its place. So at any instant
one of three things holds of the place: it has the bundle that the record names; it has the one before, or nothing, and
the new one was lost, which is learnt again; or somebody else has put something there, which is not replaced.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec

from edge_config.bundle import files as bundles
from edge_config.bundle import signature as signatures
from edge_config.errors import BundleError, BundleSignatureInvalid, TargetExists
from edge_config.saving import put_durably


class PlanRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle was learnt from.

    Attributes:
        inputs: hash of all that it depends on.
        bundle: its id.
        before: id of what was in its place before; empty if nothing was.
        seconds: time that it took.
    """

    inputs: str
    bundle: str
    before: str = ""
    seconds: float = 0.0


def path_of(out: Path) -> Path:
    """Return the path of the record of a bundle, line.plan.json beside line.bundle."""
    return out.with_name(f"{out.name.removesuffix('.bundle')}.plan.json")


def read_record(out: Path) -> PlanRecord | None:
    """Return the record of the bundle at a path; None if there is none that can be read."""
    try:
        return msgspec.json.decode(path_of(out).read_bytes(), type=PlanRecord)
    except (OSError, msgspec.DecodeError):
        return None


def write_record(out: Path, record: PlanRecord) -> None:
    """Write the record of a bundle, on the disk when this returns.

    Raises:
        NotWritten: it cannot be written.
    """
    put_durably(path_of(out), msgspec.json.format(msgspec.json.encode(record)) + b"\n")


def id_at(out: Path) -> str:
    """Return the id of the bundle at a path, by its manifest alone; empty if there is nothing.

    Raises:
        BundleError: what is there has no manifest.
    """
    if not os.path.lexists(out):
        return ""
    return hashlib.sha256(bundles.read_manifest(out)).hexdigest()


def is_learnt(out: Path, inputs: str) -> bool:
    """Return whether the whole bundle that comes of these inputs is in its place."""
    record = read_record(out)
    if record is None or record.inputs != inputs:
        return False
    try:
        return bundles.read(out).id == record.bundle
    except BundleError:  # damaged, or nothing is there
        return False


def refuse_foreign(out: Path) -> str:
    """Return the id of the bundle that a new one replaces; empty if there is none.

    Raises:
        TargetExists: what is there was not put there by a plan.
    """
    record = read_record(out)
    try:
        found = id_at(out)
    except BundleError:
        found = "other"
    if found and (record is None or found not in {record.bundle, record.before}):
        raise TargetExists(
            "was not put here by a plan, or was changed since",
            where=str(out),
            remedy="move it away, or set `force: true` for this camera to replace it",
        )
    return found


def signer(folder: Path) -> str:
    """Return the public key that signed a bundle; empty if it is not signed."""
    try:
        signature = bundles.read_signature(folder)
        return signatures.decode(signature, str(folder)).key if signature else ""
    except BundleSignatureInvalid:
        return ""
