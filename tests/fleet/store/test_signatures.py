"""Signed assignments: what a device accepts, and each thing that it refuses."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from nacl.signing import SigningKey

from edge_config.fleet_errors import (
    AssignmentForOthers,
    AssignmentInvalid,
    AssignmentKeyUnknown,
    AssignmentOld,
    AssignmentSignatureInvalid,
)
from edge_config.wire.fleet import Assignment, PullOrder, Signed
from runtime.fleet.store.counters import Counters
from runtime.fleet.store.signatures import decode, sign, verify, verify_pull

KEY = SigningKey(bytes(range(32)))
OPERATOR = f"ed25519:{bytes(KEY.verify_key).hex()}"
TARGETS = ("device:press-3", "group:press")


def assignment(counter: int = 7, **more: object) -> Assignment:
    fields = {"counter": counter, "target": "group:press", "root": "ab" * 32, "pack_sha256": "cd" * 32, "pack_bytes": 9}
    return msgspec.convert({**fields, **more}, Assignment)


def test_what_an_operator_signed_is_accepted() -> None:
    """The device gets what was signed, after its way as JSON; the signature is over prefix and payload (libsodium)."""
    signed = decode(msgspec.json.encode(sign(assignment(shadow_s=30), KEY)), "entry")
    assert verify(signed, {OPERATOR}, TARGETS) == assignment(shadow_s=30)
    KEY.verify_key.verify(b"patchedge-fleet-assignment-v1\n" + signed.payload.encode(), bytes.fromhex(signed.signature))


def test_other_keys_are_refused() -> None:
    """A valid signature by a key that is no operator's counts for nothing."""
    with pytest.raises(AssignmentKeyUnknown, match="not an operator's key"):
        verify(sign(assignment(), SigningKey.generate()), {OPERATOR}, TARGETS)


@pytest.mark.parametrize("change", ["payload", "signature", "key"])
def test_changed_bytes_are_refused(change: str) -> None:
    """Another payload, another signature, or the name of an operator over somebody else's signature."""
    good = sign(assignment(), KEY)
    other = sign(assignment(8), SigningKey.generate())
    bad = msgspec.structs.replace(other if change == "key" else good, **{change: getattr(good, change)})
    if change != "key":
        bad = msgspec.structs.replace(good, **{change: getattr(other, change)})
    with pytest.raises(AssignmentSignatureInvalid):
        verify(bad, {OPERATOR}, TARGETS)


def test_a_signed_order_is_no_assignment() -> None:
    """What was signed as an order to upload cannot be replayed as an assignment, nor the other way round."""
    order = sign(PullOrder(counter=1, target="device:press-3", camera="top"), KEY)
    assert verify_pull(order, {OPERATOR}, TARGETS).camera == "top"
    with pytest.raises(AssignmentSignatureInvalid):
        verify(order, {OPERATOR}, TARGETS)
    with pytest.raises(AssignmentSignatureInvalid):
        verify_pull(sign(assignment(), KEY), {OPERATOR}, TARGETS)


def test_assignments_for_others_are_refused() -> None:
    """The target is part of what is signed."""
    with pytest.raises(AssignmentForOthers, match="is for group:oven, not for device:press-3, group:press"):
        verify(sign(assignment(target="group:oven"), KEY), {OPERATOR}, TARGETS)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b'{"payload": 1}', b"\xff", b'{"payload":"' + bytes(300 << 10) + b'"}'], ids=len
)
def test_what_is_no_record_is_refused(data: bytes) -> None:
    """Bytes in the store that are no signed record."""
    with pytest.raises(AssignmentInvalid, match=r"^device\.press-3: "):
        decode(data, "device.press-3")


@pytest.mark.parametrize("payload", ["{}", '{"counter": 1, "target": "group:press", "new": 1}', "[" * 100_000])
def test_what_an_operator_signed_must_be_understood(payload: str) -> None:
    """A field that this version does not know is refused: half of an order is worse than none."""
    signature = KEY.sign(b"patchedge-fleet-assignment-v1\n" + payload.encode()).signature.hex()
    with pytest.raises(AssignmentInvalid, match="signed by an operator, but not understood"):
        verify(Signed(payload=payload, key=OPERATOR, signature=signature), {OPERATOR}, TARGETS)


def test_a_bundle_needs_its_pack() -> None:
    """An assignment of a bundle without the hash and size of its pack is refused."""
    with pytest.raises(AssignmentInvalid, match="go together"):
        verify(sign(assignment(pack_sha256=""), KEY), {OPERATOR}, TARGETS)


def test_counters_only_rise(tmp_path: Path) -> None:
    """Older counters, and other content under the same one, are refused, after a restart too; the same one is not."""
    path = tmp_path / "counters.json"
    new, old, other = (sign(one, KEY) for one in (assignment(7), assignment(6), assignment(7, watch_s=1)))
    counters = Counters(path)
    assert counters.check(new, assignment(7))
    counters.accept(new, assignment(7))
    for one in (counters, Counters(path)):
        assert not one.check(new, assignment(7))
        assert one.check(new, assignment(8))
        with pytest.raises(AssignmentOld, match="assignment 6: 7 was accepted before"):
            one.check(old, assignment(6))
        with pytest.raises(AssignmentOld, match="another assignment with this counter"):
            one.check(other, assignment(7, watch_s=1))


def test_slots_have_counters_of_their_own(tmp_path: Path) -> None:
    """Settings with a higher counter do not make a bundle look old that a device has not seen yet, nor do cameras."""
    counters = Counters(tmp_path / "counters.json")
    settings = assignment(9, root="", pack_sha256="", pack_bytes=0, settings={"alerts": {"threshold": 3}})
    counters.accept(sign(settings, KEY), settings)
    for older in (assignment(7), assignment(6, camera="top"), assignment(5, target="device:press-3")):
        assert counters.check(sign(older, KEY), older)
