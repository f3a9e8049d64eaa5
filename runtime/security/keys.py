"""Key files: CURVE keys in the format of pyzmq's certificates, one pair for each device and each client.

NAME.key holds the public key, which is no secret. NAME.key_secret holds both, for its owner alone: a file that others
can read is refused.
"""

from __future__ import annotations

import os
import stat
import struct
from dataclasses import dataclass
from pathlib import Path

import zmq
from zmq.auth import load_certificate
from zmq.utils import z85

from edge_config.errors import KeysInvalid, TargetExists, UsageError
from edge_config.saving import put_all, writing

PUBLIC = ".key"
SECRET = ".key_secret"  # noqa: S105 - the end of a file name

KEY_BYTES = 32
_MAX_BYTES = 65536  # of a key file
_PUBLIC_TEXT = """# Public key (ZeroMQ CURVE): may be given to anybody.

metadata
curve
    public-key = "{public}"
"""
_PAIR_TEXT = """# SECRET key (ZeroMQ CURVE): give it to nobody.

metadata
curve
    public-key = "{public}"
    secret-key = "{secret}"
"""


PathText = str | os.PathLike[str]
"""Path of a file."""


@dataclass(frozen=True, slots=True, init=False)
class Keys:
    """Keys with which a client connects to a device that encrypts.

    Attributes:
        secret_key: file with the client's own secret key, made by `patchedge keygen`.
        server_key: file with the public key of the device.
    """

    secret_key: Path
    server_key: Path

    def __init__(self, secret_key: PathText, server_key: PathText) -> None:
        """Name the files; they are read by each connection.

        Raises:
            TypeError: one of them is not a path, such as the bytes of a key.
        """
        for name, value in (("secret_key", secret_key), ("server_key", server_key)):
            if not isinstance(value, str | os.PathLike):
                raise TypeError(f"Keys: {name} is the path of a file, not {type(value).__name__}")
            object.__setattr__(self, name, Path(value))


def make(name: PathText, *, force: bool = False) -> tuple[Path, Path]:
    """Make a pair of keys and write its two files.

    Args:
        name: of the files, without their endings; with a folder before it, which is made if it is not there.
        force: replace files that are there.

    Returns:
        The paths of the public and of the secret file.

    Raises:
        TargetExists: one of the files is there.
        UsageError: `name` names no file.
        NotWritten: the disk does not take the files; keys that were there stay.
        KeysInvalid: this ZeroMQ cannot encrypt.
    """
    need_curve()
    stem = Path(name)
    if not stem.name or os.fspath(name).endswith("/"):
        raise UsageError("not a name of a key", where=os.fspath(name) or "NAME", remedy="give one such as keys/device")
    public, secret = stem.with_name(stem.name + PUBLIC), stem.with_name(stem.name + SECRET)
    pair = dict(zip(("public", "secret"), (key.decode("ascii") for key in zmq.curve_keypair()), strict=True))
    with writing(stem):
        stem.parent.mkdir(parents=True, exist_ok=True)
        for path in () if force else (secret, public):
            if os.path.lexists(path):
                raise TargetExists("is there already", where=str(path), remedy="take another name, or --force")
    files = {secret: _PAIR_TEXT.format(**pair).encode("ascii"), public: _PUBLIC_TEXT.format(**pair).encode("ascii")}
    put_all(files, {secret: 0o600, public: 0o644})
    return public, secret


def load_public(path: PathText) -> bytes:
    """Read a public key.

    Returns:
        The key in Z85: 40 characters.

    Raises:
        KeysInvalid: there is no such file, or it is no key.
    """
    return _read(Path(path))[0]


def load_secret(path: PathText) -> tuple[bytes, bytes]:
    """Read a pair of keys from a file that no other user can read.

    Returns:
        The public and the secret key in Z85: 40 characters each.

    Raises:
        KeysInvalid: there is no such file, it is no secret key, or others can read it or could have written it.
    """
    path = Path(path)
    public, secret = _read(path)
    if secret is None:
        raise KeysInvalid("has no secret key", where=str(path), remedy=f"give the file that ends in {SECRET}")
    found = path.stat()
    if found.st_uid not in {0, os.geteuid()}:
        raise KeysInvalid("belongs to another user", where=str(path), remedy=f"chown it to user {os.geteuid()}")
    if found.st_mode & 0o077:
        raise KeysInvalid("a secret key that others can read", where=str(path), remedy=f"chmod 600 {path}")
    if zmq.curve_public(secret) != public:
        raise KeysInvalid("its public key is not that of its secret key", where=str(path), remedy="make new keys")
    return public, secret


def apply_client_keys(socket: zmq.Socket[bytes], keys: Keys) -> None:
    """Set up a client's socket for encryption, with the device of this key alone; call it before `connect`.

    Raises:
        KeysInvalid: a file is missing, is no key, or others can read the secret one.
        TypeError: `keys` are not `Keys`.
    """
    if not isinstance(keys, Keys):
        raise TypeError(f"keys are Keys(secret_key, server_key), not {type(keys).__name__}")
    need_curve()
    public, secret = load_secret(keys.secret_key)
    socket.set(zmq.CURVE_PUBLICKEY, public)
    socket.set(zmq.CURVE_SECRETKEY, secret)
    socket.set(zmq.CURVE_SERVERKEY, load_public(keys.server_key))


def need_curve() -> None:
    """Make sure that ZeroMQ can encrypt.

    Raises:
        KeysInvalid: it was built without.
    """
    if not zmq.has("curve"):
        raise KeysInvalid("this ZeroMQ was built without CURVE", remedy="pip install pyzmq from PyPI")


def _read(path: Path) -> tuple[bytes, bytes | None]:
    """Read the public and, if there is one, the secret key of a file."""
    remedy = "make keys with `patchedge keygen`"
    try:
        return _parse(path)
    except FileNotFoundError as error:
        raise KeysInvalid("there is no such key", where=str(path), remedy=remedy) from error
    except OSError as error:
        raise KeysInvalid(f"cannot be read ({error.strerror})", where=str(path)) from error
    except (ValueError, LookupError, ArithmeticError, struct.error) as error:  # what pyzmq raises for other files
        raise KeysInvalid("is not a key", where=str(path), remedy=remedy) from error


def _parse(path: Path) -> tuple[bytes, bytes | None]:
    found = path.stat()
    if not stat.S_ISREG(found.st_mode) or found.st_size > _MAX_BYTES:
        raise ValueError("not a regular file of a few lines")
    public, secret = load_certificate(path)
    for key in (public,) if secret is None else (public, secret):
        if len(z85.decode(key)) != KEY_BYTES:
            raise ValueError("a key of another length")
    return public, secret
