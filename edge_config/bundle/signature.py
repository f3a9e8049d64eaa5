"""File format of a bundle's signature. Export signs, the runtime verifies.

manifest.sig is beside manifest.json and is one line of ASCII, the public key and the signature in hex:

    patchedge-signature-v1 ed25519:<64 digits> <128 digits>

It signs, by Ed25519, a fixed prefix and then the exact bytes of manifest.json, which holds the sha256 of every other
file. With the prefix it can never stand for something else that the same key signed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge_config.errors import BundleSignatureInvalid

MAX_BYTES = 512

_PREFIX = b"patchedge bundle manifest, version 1\0"
_FORM = re.compile(rb"patchedge-signature-v1 (ed25519:[0-9a-f]{64}) ([0-9a-f]{128})\n")
_KEY = re.compile(r"ed25519:[0-9a-f]{64}")
_SCHEME = "ed25519:"


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature and the public key that is to check it, `ed25519:` and 64 hex digits; not checked yet."""

    key: str
    value: bytes


def signed_bytes(manifest: bytes) -> bytes:
    """Return the bytes to sign for the bytes of a manifest.json."""
    return _PREFIX + manifest


def encode(signature: Signature) -> bytes:
    """Write manifest.sig."""
    return f"patchedge-signature-v1 {signature.key} {signature.value.hex()}\n".encode()


def decode(text: bytes, where: str) -> Signature:
    """Read manifest.sig; `where` names the file in the errors.

    Raises:
        BundleSignatureInvalid: it is anything else than `encode` writes.
    """
    found = _FORM.fullmatch(text)
    if not found:
        raise BundleSignatureInvalid("not a signature", where=where, remedy="copy the bundle again, or sign it again")
    return Signature(found[1].decode(), bytes.fromhex(found[2].decode()))


def is_key(text: str) -> bool:
    """Return whether a text is a public key as `Signature` has it."""
    return _KEY.fullmatch(text) is not None


def is_key_or_path(text: str) -> bool:
    """Return whether a text is a public key or can be the path of a file: it is no key with a mistake in it."""
    return is_key(text) or not text.startswith(_SCHEME)


def key_text(public: bytes) -> str:
    """Write a public key of 32 bytes as `Signature` has it."""
    return _SCHEME + public.hex()


def key_bytes(text: str) -> bytes:
    """Return the 32 bytes of a public key for which `is_key` holds."""
    return bytes.fromhex(text.removeprefix(_SCHEME))
