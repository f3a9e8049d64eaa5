"""Access control: which key has which role; the role that a request needs stands in `edge_config/wire/requests.py`.

`clients/view` holds the keys of clients that may only view, `clients/operate` of those that may also change something;
keys directly in `clients` may only view.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import get_args

import structlog
import zmq
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils import z85

from edge_config.errors import KeysInvalid
from edge_config.settings.sections import Security
from edge_config.wire.request_base import Role
from runtime.security import keys

DOMAIN = b"patchedge"
"""Of sockets that all clients may use alike."""

REQUESTS_DOMAIN = b"patchedge.requests"
"""Of sockets whose messages carry the client's key as "User-Id". ZeroMQ 4.3.5 loses messages of such a connection where
`RCVHWM` is 1, as it is for events."""

_MAX_TOLD = 100  # clients without access that are logged; more are only counted

_FOLDERS: tuple[Role, ...] = get_args(Role)
"""Folders within that of the clients; a key in both has the last one's role."""

_Found = dict[Path, tuple[int, int, int]]
"""Files of the folder and of the roles' folders: inode, size and time of the last change."""


class Access:
    """Accepts only clients whose public key is in the folder; without keys in the settings it does nothing.

    Use it from one thread. Close it after the sockets that it guards, and before the context.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], security: Security) -> None:
        """Read the keys, and start the access control.

        Args:
            context: that all guarded sockets belong to.
            security: the settings.

        Raises:
            KeysInvalid: the secret key is missing, is no key, or others can read it; or others can write to the folder.
        """
        self._zap: _Zap | None = None
        self._found: _Found = {}
        self._told_of_roles = False
        if security.secret_key is None or security.clients is None:
            return
        keys.need_curve()
        self._public, self._secret = keys.load_secret(Path(security.secret_key))
        self._clients = Path(security.clients)
        for folder in (self._clients, *(self._clients / role for role in _FOLDERS)):
            _check_folder(folder)
        self._zap = _Zap(context)
        self._read(_files(self._clients))
        self._zap.start()

    @property
    def encrypted(self) -> bool:
        """Return whether there are keys."""
        return self._zap is not None

    @property
    def denied(self) -> int:
        """Return the number of connections that were refused because of their key."""
        return 0 if self._zap is None else self._zap.denied

    def role_of(self, key: str) -> Role | None:
        """Return the role that a client's public key (Z85) has now; None if it may not connect. Thread-safe."""
        return None if self._zap is None else self._zap.allowed.get(key.encode("ascii", "replace"))

    def guard(self, socket: zmq.Socket[bytes]) -> None:
        """Set up a socket for encryption and access control; call it before `bind`."""
        if self._zap is None:
            return
        socket.set(zmq.CURVE_SERVER, 1)
        socket.set(zmq.CURVE_PUBLICKEY, self._public)
        socket.set(zmq.CURVE_SECRETKEY, self._secret)
        socket.set(zmq.ZAP_DOMAIN, REQUESTS_DOMAIN if socket.type == zmq.ROUTER else DOMAIN)
        socket.set(zmq.ZAP_ENFORCE_DOMAIN, 1)  # without the thread that decides ZeroMQ would accept every client

    def refresh(self) -> bool:
        """Read the folder again if it has changed.

        Returns:
            Whether a key was removed. Clients that are connected with it stay so until the sockets are bound again.
            Clients that wait with a new key are accepted at the next try, within some seconds.
        """
        if self._zap is None or (found := _files(self._clients)) == self._found:
            return False
        before = self._zap.allowed
        self._read(found)
        return bool(before.keys() - self._zap.allowed.keys())

    def close(self) -> None:
        """Stop: no further client is accepted."""
        if self._zap is not None:
            self._zap.stop()

    def _read(self, found: _Found) -> None:
        """Read the keys of the files; files that hold none are logged once, and skipped."""
        assert self._zap is not None  # noqa: S101 - for the type checker
        log = structlog.get_logger()
        allowed: dict[bytes, Role] = {}
        for path, of_file in sorted(found.items(), key=lambda one: _FOLDERS.index(self._role(one[0]))):
            key, problem = _public_key(path)
            if key is not None:
                role = self._role(path)
                if allowed.get(key, role) != role:
                    remedy = "remove it from one of them"
                    log.warning(
                        "a key is in the folders of both roles: its role is operate", file=str(path), remedy=remedy
                    )
                allowed[key] = role
            elif self._found.get(path) != of_file:
                log.warning("file among the clients' keys ignored", problem=problem)
        if not allowed:
            log.warning("no client can connect: there are no public keys of clients", folder=str(self._clients))
        if not self._told_of_roles and any(path.parent == self._clients for path in found):
            self._told_of_roles = True
            more = f"move keys of operators to {self._clients / 'operate'}"
            log.warning("keys directly in the clients' folder have the role view", remedy=more)
        self._found = found
        self._zap.allow_keys(allowed)

    def _role(self, path: Path) -> Role:
        """Return the role that the folder of a file gives."""
        return "operate" if path.parent == self._clients / "operate" else "view"


class _Zap(ThreadAuthenticator):
    """The thread that decides for ZeroMQ which clients may connect (ZAP, RFC 27): those whose key is allowed.

    It answers 300 (temporary failure) where its base class answers 400: after that ZeroMQ's clients never retry, though
    their key may come a moment later. So they retry every `HANDSHAKE_IVL`. And it answers every request once, or it
    could answer no more.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        super().__init__(context)
        self.allowed: Mapping[bytes, Role] = {}
        self.denied = 0
        self._told: set[bytes] = set()

    def allow_keys(self, allowed: Mapping[bytes, Role]) -> None:
        """Accept these public keys, in Z85, each with its role."""
        self._told = set()
        self.allowed = allowed

    async def handle_zap_message(self, msg: list[bytes]) -> None:
        """Answer a request of ZeroMQ."""
        request, verdict, user = msg[1] if len(msg) > 1 else b"", b"300", b""
        if self._may(msg):
            verdict, user = b"200", z85.encode(msg[-1]) if msg[2] == REQUESTS_DOMAIN else b""
        else:
            self.denied += 1
        self.zap_socket.send_multipart([b"1.0", request, verdict, b"", user, b""])

    def _may(self, msg: Sequence[bytes]) -> bool:
        try:
            version, _request, domain, address, _identity, mechanism, key = msg
        except ValueError:
            return False
        if (version, mechanism) != (b"1.0", b"CURVE") or domain not in {DOMAIN, REQUESTS_DOMAIN}:
            return False
        if len(key) != keys.KEY_BYTES:
            return False
        public = z85.encode(key)
        if public in self.allowed:
            return True
        if public not in self._told and len(self._told) < _MAX_TOLD:
            self._told.add(public)
            who = {"address": address.decode("ascii", "replace"), "public_key": public.decode("ascii")}
            structlog.get_logger().warning("client refused: its key is not among the clients' keys", **who)
        return False


def _check_folder(folder: Path) -> None:
    """Refuse a folder that every user may write to."""
    try:
        mode = folder.stat().st_mode
    except OSError:
        return  # not there yet: no client may connect
    if mode & stat.S_IWOTH:
        raise KeysInvalid("this folder is writable by everybody", where=str(folder), remedy=f"chmod o-w {folder}")


def _public_key(path: Path) -> tuple[bytes | None, str]:
    """Return a public key; None, and the reason, if it is none."""
    if path.suffix != keys.PUBLIC:
        return None, f"{path}: not the name of a public key; name it NAME{keys.PUBLIC}"
    try:
        return keys.load_public(path), ""
    except KeysInvalid as error:
        return None, str(error)


def _files(folder: Path) -> _Found:
    """Return the files of a folder and of the roles' folders in it; folders that cannot be read count as empty."""
    roles = [folder / role for role in _FOLDERS]
    found: list[Path] = []
    for one in (folder, *roles):
        with suppress(OSError):
            found += sorted(path for path in one.iterdir() if not path.name.startswith(".") and path not in roles)
    return {path: _identity(path) for path in found}


def _identity(path: Path) -> tuple[int, int, int]:
    """Return what changes when a file does; a dangling link has such a state, too."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_ino, found.st_size, found.st_mtime_ns
