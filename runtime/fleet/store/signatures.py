"""Sign assignments and orders with an operator's key, and verify them on a device.

A signature is over a fixed prefix, another one for each kind of record, and the exact text of the payload: what was
signed as one thing can never stand for another.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, TypeVar

import msgspec

from edge_config.bundle import signature as signatures
from edge_config.fleet_errors import (
    AssignmentForOthers,
    AssignmentInvalid,
    AssignmentKeyUnknown,
    AssignmentSignatureInvalid,
)
from edge_config.wire.fleet import MAX_SIGNED_BYTES, Assignment, PullOrder, Signed
from runtime.security.signing import public_text
from runtime.security.trust import public_key

if TYPE_CHECKING:  # libsodium is loaded only where something is signed
    from nacl.signing import SigningKey

_PREFIXES: dict[type[msgspec.Struct], bytes] = {
    Assignment: b"patchedge-fleet-assignment-v1\n",
    PullOrder: b"patchedge-fleet-pull-v1\n",
}

R = TypeVar("R", Assignment, PullOrder)


def operators_of(texts: Iterable[str]) -> frozenset[str]:
    """Return the public keys that settings name, by themselves or by their files.

    Raises:
        SettingsError: one is missing, is none, or can be changed by every user.
    """
    return frozenset(public_key(text) for text in texts)


def sign(record: Assignment | PullOrder, key: SigningKey) -> Signed:
    """Sign a record with the secret key of an operator, as `runtime.security.signing.read_key` returns it."""
    payload = msgspec.json.encode(record)
    signature = key.sign(_PREFIXES[type(record)] + payload).signature
    return Signed(payload=payload.decode(), key=public_text(key), signature=signature.hex())


def verify(signed: Signed, operators: Collection[str], targets: Collection[str]) -> Assignment:
    """Return the assignment that was signed. Whether it is newer than others is the business of `Counters`.

    Args:
        signed: as it came from the store.
        operators: public keys of the operators.
        targets: names of the device as assignments have them: device:NAME, and group:NAME of each of its groups.

    Raises:
        AssignmentKeyUnknown: signed by another key.
        AssignmentSignatureInvalid: it does not fit key and payload.
        AssignmentInvalid: the payload is no assignment.
        AssignmentForOthers: it is for none of the targets.
    """
    found = _verified(signed, operators, targets, Assignment)
    if bool(found.root) != bool(found.pack_sha256) or bool(found.root) != bool(found.pack_bytes):
        raise AssignmentInvalid("`root`, `pack_sha256` and `pack_bytes` go together only", where=_where(found))
    return found


def verify_pull(signed: Signed, operators: Collection[str], targets: Collection[str]) -> PullOrder:
    """Return the order to upload a bundle that was signed; arguments and errors as those of `verify`."""
    return _verified(signed, operators, targets, PullOrder)


def decode(data: bytes, where: str) -> Signed:
    """Read a signed record; nothing of it is checked but its form.

    Raises:
        AssignmentInvalid: it is none, or too long.
    """
    if len(data) > MAX_SIGNED_BYTES:
        raise AssignmentInvalid(f"{len(data)} bytes; {MAX_SIGNED_BYTES} are allowed", where=where)
    try:
        return msgspec.json.decode(data, type=Signed)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AssignmentInvalid(f"not a signed assignment ({error})", where=where) from error


def _verified(signed: Signed, operators: Collection[str], targets: Collection[str], kind: type[R]) -> R:
    import nacl.exceptions  # libsodium is loaded only where a signature is checked
    from nacl.signing import VerifyKey

    if signed.key not in operators:
        remedy = "add it to `fleet.operators` if the operator may assign here"
        raise AssignmentKeyUnknown(f"signed by {signed.key}, which is not an operator's key", remedy=remedy)
    try:
        key = VerifyKey(signatures.key_bytes(signed.key))
        key.verify(_PREFIXES[kind] + signed.payload.encode(), bytes.fromhex(signed.signature))
    except (nacl.exceptions.BadSignatureError, nacl.exceptions.ValueError, UnicodeEncodeError) as error:
        raise AssignmentSignatureInvalid(f"not a signature of this by {signed.key}", remedy="assign again") from error
    try:
        found = msgspec.json.decode(signed.payload, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        remedy = "update patchedge here, or assign with its version"
        raise AssignmentInvalid(f"signed by an operator, but not understood ({error})", remedy=remedy) from error
    if found.target not in targets:
        raise AssignmentForOthers(f"is for {found.target}, not for {', '.join(sorted(targets))}", where=_where(found))
    return found


def _where(found: Assignment | PullOrder) -> str:
    return f"assignment {found.counter}"
