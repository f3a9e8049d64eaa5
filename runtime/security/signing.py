"""Sign bundles: the workshop those that it makes, a device those that it learns, each with a key of its own."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from edge_config.bundle import files as bundles
from edge_config.bundle import network_file
from edge_config.bundle import signature as signatures
from edge_config.bundle.signature import Signature
from edge_config.errors import BundleFileHash, SettingsError, TargetExists
from edge_config.saving import put

if TYPE_CHECKING:  # libsodium is loaded only where something is signed
    from nacl.signing import SigningKey

_PUBLIC = re.compile(r"ed25519:[0-9a-f]{64}\s*")
_FORM = re.compile(r"patchedge-signing-key-v1 ([0-9a-f]{64})\n")
_MAX_BYTES = 4096


def read_key(path: Path) -> SigningKey:
    """Read a secret key.

    Raises:
        SettingsError: it does not exist, or others can read or change it.
    """
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            text = stream.read(_MAX_BYTES).decode("ascii", "replace")
    except OSError as error:
        raise SettingsError(f"cannot be read ({error.strerror})", where=str(path)) from error
    if _PUBLIC.fullmatch(text):
        remedy = "give the secret one, which was made beside it as NAME.key"
        raise SettingsError("is the public key", where=str(path), remedy=remedy)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingsError("others may read this secret key", where=str(path), remedy=f"chmod 600 {path}")
    found = _FORM.fullmatch(text)
    if not found:
        raise SettingsError("not a secret key", where=str(path), remedy="make one: `patchedge-export signing-key NAME`")
    from nacl.signing import SigningKey

    return SigningKey(bytes.fromhex(found[1]))


def sign(bundle: Path, key: SigningKey, *, force: bool = False) -> tuple[str, str]:
    """Sign a complete bundle, or a network file.

    Args:
        bundle: its directory.
        key: the signing key.
        force: replace an existing signature.

    Returns:
        Its id, and the public key.

    Raises:
        BundleError: it must not be served.
        TargetExists: it is signed already.
        NotWritten: the signature cannot be written.
    """
    is_network = (bundle / network_file.RECORD).exists()
    names = (network_file.RECORD, network_file.SIGNATURE) if is_network else (bundles.MANIFEST, bundles.SIGNATURE)
    signed_id = network_file.read(bundle).id if is_network else bundles.read(bundle).id
    if os.path.lexists(bundle / names[1]) and not force:
        raise TargetExists("is signed already", where=str(bundle), remedy="--force replaces the signature")
    manifest = bundles.read_manifest(bundle, names[0])
    if hashlib.sha256(manifest).hexdigest() != signed_id:
        raise BundleFileHash("was replaced meanwhile", where=str(bundle), remedy="sign it when it is complete")
    write_signature(bundle, manifest, key, names[1])
    return signed_id, public_text(key)


def write_signature(bundle: Path, manifest: bytes, key: SigningKey, name: str = bundles.SIGNATURE) -> None:
    """Write the signature of a manifest into its bundle, as the file of this name.

    Raises:
        NotWritten: it cannot be written.
    """
    signature = Signature(public_text(key), key.sign(signatures.signed_bytes(manifest)).signature)
    # Beside the bundle and not in it, where it would be an unexpected file for a moment.
    part = bundle.absolute().with_name(f".{bundle.absolute().name}.{os.getpid()}.sig.part")
    put(bundle / name, signatures.encode(signature), mode=0o644, part=part)


def public_text(key: SigningKey) -> str:
    """Return the public key, as the settings have it."""
    return signatures.key_text(bytes(key.verify_key))
