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
    FleetError,
    RolloutForged,
)
from edge_config.wire.fleet import MAX_ROLLOUT_BYTES, MAX_SIGNED_BYTES, Assignment, PullOrder, Rollout, Signed
from runtime.fleet.store.records import UNREADABLE
from runtime.security.signing import public_text
from runtime.security.trust import public_key

if TYPE_CHECKING:  # libsodium is loaded only where something is signed
    from nacl.signing import SigningKey

_PREFIXES: dict[type[msgspec.Struct], bytes] = {
    Assignment: b"patchedge-fleet-assignment-v1\n",
    PullOrder: b"patchedge-fleet-pull-v1\n",
    Rollout: b"patchedge-fleet-rollout-v1\n",
}

FLEET = "patchedge"
"""Name of a fleet whose settings name none."""

_DISTRUST = "distrust who can write to the servers; assign what you want anew"

A = TypeVar("A", Assignment, PullOrder)
R = TypeVar("R", Assignment, PullOrder, Rollout)


def operators_of(texts: Iterable[str]) -> frozenset[str]:
    """Return the public keys that settings name, by themselves or by their files.

    Raises:
        SettingsError: one is missing, is none, or can be changed by every user.
    """
    return frozenset(public_key(text) for text in texts)


def sign(record: Assignment | PullOrder | Rollout, key: SigningKey) -> Signed:
    """Sign a record with the secret key of an operator, as `runtime.security.signing.read_key` returns it."""
    payload = msgspec.json.encode(record)
    signature = key.sign(_PREFIXES[type(record)] + payload).signature
    return Signed(payload=payload.decode(), key=public_text(key), signature=signature.hex())


def verify(signed: Signed, operators: Collection[str], targets: Collection[str], fleet: str = FLEET) -> Assignment:
    """Return the assignment that was signed. Whether it is newer than others is the business of `Counters`.

    Args:
        signed: as it came from the store.
        operators: public keys of the operators.
        targets: names of the device as assignments have them: device:NAME, and group:NAME of each of its groups.
        fleet: name of the fleet, `prefix` in the settings.

    Raises:
        AssignmentKeyUnknown: signed by another key.
        AssignmentSignatureInvalid: it does not fit key and payload.
        AssignmentInvalid: the payload is no assignment.
        AssignmentForOthers: it is for none of the targets, or for another fleet.
    """
    found = _for_these(_verified(signed, operators, Assignment), targets, fleet)
    if bool(found.root) != bool(found.pack_sha256) or bool(found.root) != bool(found.pack_bytes):
        raise AssignmentInvalid("`root`, `pack_sha256` and `pack_bytes` go together only", where=_where(found))
    return found


def verify_pull(signed: Signed, operators: Collection[str], targets: Collection[str], fleet: str = FLEET) -> PullOrder:
    """Return the order to upload a bundle that was signed; arguments and errors as those of `verify`."""
    return _for_these(_verified(signed, operators, PullOrder), targets, fleet)


def verify_rollout(signed: Signed, operators: Collection[str], name: str) -> Rollout:
    """Return the roll-out that was signed: an operator signs assignments by it, and so must not take anybody's word.

    Args:
        signed: as it came from the store.
        operators: public keys of operators.
        name: its id, as the store has it.

    Raises:
        RolloutForged: no operator signed this as the roll-out of this name.
    """
    where = f"roll-out {name}"
    try:
        found = _verified(signed, operators, Rollout)
    except AssignmentKeyUnknown as error:
        other = "if you trust who that is, add it to `operators` in the settings of the fleet"
        raise RolloutForged(error.what, where=where, remedy=other) from error
    except FleetError as error:
        raise RolloutForged(error.what, where=where, remedy=_DISTRUST) from error
    if found.id != name:
        raise RolloutForged(f"is the signed record of roll-out {found.id}", where=where, remedy=_DISTRUST)
    return found


def decode_rollout(data: bytes, name: str) -> Signed:
    """Read the signed record of a roll-out; nothing of it is checked but its form. Raises `RolloutForged`."""
    try:
        return decode(data, "", MAX_ROLLOUT_BYTES)
    except AssignmentInvalid as error:
        raise RolloutForged("is no signed record", where=f"roll-out {name}", remedy=_DISTRUST) from error


def decode(data: bytes, where: str, max_bytes: int = MAX_SIGNED_BYTES) -> Signed:
    """Read a signed record; nothing of it is checked but its form.

    Raises:
        AssignmentInvalid: it is none, or too long.
    """
    if len(data) > max_bytes:
        raise AssignmentInvalid(f"{len(data)} bytes; {max_bytes} are allowed", where=where)
    try:
        return msgspec.json.decode(data, type=Signed)
    except UNREADABLE as error:
        raise AssignmentInvalid(f"not a signed assignment ({error})", where=where) from error


def _verified(signed: Signed, operators: Collection[str], kind: type[R]) -> R:
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
        return msgspec.json.decode(signed.payload, type=kind)
    except UNREADABLE as error:
        remedy = "update patchedge here, or assign with its version"
        raise AssignmentInvalid(f"signed by an operator, but not understood ({error})", remedy=remedy) from error


def _for_these(found: A, targets: Collection[str], fleet: str) -> A:
    if found.fleet != fleet:
        raise AssignmentForOthers(f"is for the fleet `{found.fleet}`, not for `{fleet}`", where=_where(found))
    if found.target not in targets:
        raise AssignmentForOthers(f"is for {found.target}, not for {', '.join(sorted(targets))}", where=_where(found))
    return found


def _where(found: Assignment | PullOrder) -> str:
    return f"assignment {found.counter}"
