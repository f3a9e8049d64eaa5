"""Make keys that sign bundles."""

from __future__ import annotations

import os
from pathlib import Path

from nacl.signing import SigningKey

from edge_config.errors import TargetExists
from edge_config.saving import put_all
from runtime.security.signing import public_text


def make_key(stem: Path) -> str:
    """Write a new key pair: STEM.key, which is secret, and STEM.pub for devices.

    Returns:
        The public key.

    Raises:
        TargetExists: one of the files exists already.
        NotWritten: they cannot be written; then neither exists.
    """
    secret, public = stem.with_name(f"{stem.name}.key"), stem.with_name(f"{stem.name}.pub")
    for path in (secret, public):
        if os.path.lexists(path):
            raise TargetExists("exists already", where=str(path), remedy="choose another name: keys are never replaced")
    key = SigningKey.generate()
    text = public_text(key)
    files = {secret: f"patchedge-signing-key-v1 {bytes(key).hex()}\n".encode(), public: f"{text}\n".encode()}
    put_all(files, {secret: 0o600, public: 0o644})
    return text
