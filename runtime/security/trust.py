"""Verify the signatures of bundles against the keys that the settings name."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from edge_config.bundle import files as bundles
from edge_config.bundle import signature as signatures
from edge_config.bundle.files import Bundle
from edge_config.errors import BundleKeyUnknown, BundleSignatureInvalid, BundleUnsigned, SettingsError
from edge_config.settings.sections import Trust

_MAX_KEY_BYTES = 4096


def read(path: str | Path, trust: Trust) -> Bundle:
    """Read a bundle if it is to be trusted.

    Raises:
        BundleError: a subclass for each thing that can be wrong with it.
        SettingsError: a key file is missing.
    """
    return bundles.read(path, Judge(trust), index=not trust.rebuild_index)


class Judge:
    """Refuses manifests whose signature the settings do not allow; a `SignatureCheck`."""

    def __init__(self, trust: Trust) -> None:
        """Read the keys.

        Raises:
            SettingsError: a key is missing, is none, or can be changed by every user.
        """
        self._keys = frozenset(public_key(text) for text in trust.keys)
        self._allows_unsigned = trust.unsigned == "allow"

    def __call__(self, manifest: bytes, signature: bytes | None, where: str) -> None:
        """Check the bytes of manifest.json against those of manifest.sig at `where`; without keys check nothing.

        Raises:
            BundleUnsigned: there is no signature, but there should be.
            BundleKeyUnknown: it is by none of the keys.
            BundleSignatureInvalid: it is of another manifest, or no signature at all.
        """
        if not self._keys or (signature is None and self._allows_unsigned):
            return
        if signature is None:
            raise BundleUnsigned("there is no signature", where=where, remedy="sign it with `patchedge-export sign`")
        found = signatures.decode(signature, where)
        if found.key not in self._keys:
            raise BundleKeyUnknown(
                f"signed by {found.key}, which is not a trusted key",
                where=where,
                remedy="sign it with another key, or name this one in `trust.keys`",
            )
        verify(manifest, found, where)


def verify(manifest: bytes, signature: signatures.Signature, where: str) -> None:
    """Check a signature by the key that it names itself.

    Raises:
        BundleSignatureInvalid: it is not one of this manifest by this key.
    """
    import nacl.exceptions  # libsodium is loaded only where a signature is checked
    from nacl.signing import VerifyKey

    try:
        key = VerifyKey(signatures.key_bytes(signature.key))
        key.verify(signatures.signed_bytes(manifest), signature.value)
    except (nacl.exceptions.BadSignatureError, nacl.exceptions.ValueError) as error:
        raise BundleSignatureInvalid(
            "not a signature of this manifest", where=where, remedy="copy the bundle again, or sign it again"
        ) from error


def public_key(text: str) -> str:
    """Return a public key that is named by itself or by a file that holds it.

    Raises:
        SettingsError: there is none, or every user may replace it.
    """
    if signatures.is_key(text):
        return text
    try:
        with Path(text).open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            content = stream.read(_MAX_KEY_BYTES).decode("ascii").strip() if stat.S_ISREG(mode) else ""
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"not a readable public key ({getattr(error, 'strerror', None) or error})", where=text
        ) from error
    if not signatures.is_key(content):
        raise SettingsError("not a public key", where=text, remedy="name a file made by `patchedge-export signing-key`")
    if mode & stat.S_IWOTH:
        raise SettingsError("this key is writable by everybody", where=text, remedy=f"chmod o-w {text}")
    return content
