"""Sign bundles, and make the keys for that: the secret half stays in the workshop."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from pathlib import Path

from nacl.signing import SigningKey

from edge_config import bundle as bundles
from edge_config import signature as signatures
from edge_config.errors import BundleFileHash, SettingsError, TargetExists, UsageError
from edge_config.signature import Signature

_FORM = re.compile(r"patchedge-signing-key-v1 ([0-9a-f]{64})\n")
_MOST_BYTES = 4096


def make_key(stem: Path) -> str:
    """Write a new pair of keys: STEM.key, which is secret, and STEM.pub for the devices.

    Returns:
        The public key.

    Raises:
        TargetExists: one of the files is there already.
        UsageError: their folder cannot be written.
    """
    secret, public = stem.with_name(f"{stem.name}.key"), stem.with_name(f"{stem.name}.pub")
    for path in (secret, public):
        if os.path.lexists(path):
            raise TargetExists("exists already", where=str(path), remedy="choose another name: keys are never replaced")
    key = SigningKey.generate()
    text = signatures.key_text(bytes(key.verify_key))
    _write(secret, f"patchedge-signing-key-v1 {bytes(key).hex()}\n", 0o600)
    _write(public, f"{text}\n", 0o644)
    return text


def read_key(path: Path) -> SigningKey:
    """Read a secret key.

    Raises:
        SettingsError: there is none, or others may read or change it.
    """
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            text = stream.read(_MOST_BYTES).decode("ascii", "replace")
    except OSError as error:
        raise SettingsError(f"cannot be read ({error.strerror})", where=str(path)) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingsError("others may read this secret key", where=str(path), remedy=f"chmod 600 {path}")
    found = _FORM.fullmatch(text)
    if not found:
        raise SettingsError("not a secret key", where=str(path), remedy="make one: `patchedge-export signing-key NAME`")
    return SigningKey(bytes.fromhex(found[1]))


def sign(bundle: Path, key: SigningKey, *, force: bool = False) -> tuple[str, str]:
    """Sign a bundle that is whole.

    Args:
        bundle: its directory.
        key: to sign with.
        force: replace a signature that is there.

    Returns:
        The id of the bundle, and the public key.

    Raises:
        BundleError: it must not be served.
        TargetExists: it is signed already.
        UsageError: it cannot be written.
    """
    found = bundles.read(bundle)
    target = found.file(bundles.SIGNATURE)
    if os.path.lexists(target) and not force:
        raise TargetExists("is signed already", where=str(bundle), remedy="--force replaces the signature")
    manifest = bundles.read_manifest(bundle)
    if hashlib.sha256(manifest).hexdigest() != found.id:
        raise BundleFileHash("was replaced meanwhile", where=str(bundle), remedy="sign it when it is complete")
    public = signatures.key_text(bytes(key.verify_key))
    signature = Signature(public, key.sign(signatures.signed_bytes(manifest)).signature)
    # Beside the bundle and not in it, where it would be a stranger for a moment.
    part = bundle.absolute().with_name(f".{bundle.absolute().name}.{os.getpid()}.sig.part")
    try:
        _write(part, signatures.encode(signature).decode(), 0o644)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return found.id, public


def _write(path: Path, text: str, mode: int) -> None:
    """Write a file that is not there, never readable by more than `mode` says."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        raise UsageError(f"cannot be written ({error.strerror})", where=str(path)) from error
    with open(descriptor, "w", encoding="ascii") as stream:  # noqa: PTH123 - of a descriptor
        stream.write(text)
        stream.flush()
        os.fsync(descriptor)
