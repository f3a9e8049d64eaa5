"""Operator mode of a NATS server, as `nsc` sets it up: JWTs of an operator, an account and users; credentials files."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import nkeys

from runtime.fleet.store.permissions import Permissions

UNLIMITED: dict[str, Any] = dict.fromkeys(
    ("subs", "data", "payload", "imports", "exports", "conn", "leaf", "mem_storage", "disk_storage"), -1
) | {"streams": -1, "consumer": -1, "wildcards": True}


def key_pair(prefix: int) -> nkeys.KeyPair:
    return nkeys.from_seed(bytearray(nkeys.encode_seed(os.urandom(32), prefix)))


class OperatorMode:
    """An operator with one account."""

    def __init__(self) -> None:
        self._operator = key_pair(nkeys.PREFIX_BYTE_OPERATOR)
        self._account = key_pair(nkeys.PREFIX_BYTE_ACCOUNT)

    def config(self) -> str:
        """Return the configuration of a server that trusts the operator."""
        of_operator = jwt(self._operator, self._operator, {"type": "operator"})
        system = key_pair(nkeys.PREFIX_BYTE_ACCOUNT)
        without = {name: limit for name, limit in UNLIMITED.items() if "storage" not in name}
        accounts = {
            one.public_key.decode(): jwt(self._operator, one, {"type": "account", "limits": limits})
            for one, limits in ((self._account, UNLIMITED), (system, without))
        }
        preload = "\n".join(f"{name}: {token}" for name, token in accounts.items())
        return (
            f"operator: {of_operator}\nsystem_account: {system.public_key.decode()}\n"
            f"resolver: MEMORY\nresolver_preload: {{\n{preload}\n}}"
        )

    def write(self, path: Path, permissions: Permissions | None) -> None:
        """Write the credentials of a new user."""
        user = key_pair(nkeys.PREFIX_BYTE_USER)
        claims: dict[str, Any] = {"type": "user", "subs": -1, "data": -1, "payload": -1}
        if permissions is not None:
            claims |= {"pub": {"allow": permissions.publish}, "sub": {"allow": permissions.subscribe}}
        token = jwt(self._account, user, claims)
        path.touch(mode=0o600)
        path.write_text(
            f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed.decode()}\n------END USER NKEY SEED------\n"
        )


def jwt(issuer: nkeys.KeyPair, subject: nkeys.KeyPair, claims: dict[str, Any]) -> str:
    """Return a signed token about a subject."""
    body: dict[str, Any] = {
        "iat": 1_700_000_000,
        "iss": issuer.public_key.decode(),
        "sub": subject.public_key.decode(),
        "name": "test",
        "nats": {"version": 2, **claims},
    }
    body["jti"] = base64.b32encode(hashlib.sha256(json.dumps(body).encode()).digest()).decode().rstrip("=")
    signed = f"{_encode({'typ': 'JWT', 'alg': 'ed25519-nkey'})}.{_encode(body)}"
    return f"{signed}.{base64.urlsafe_b64encode(issuer.sign(signed.encode())).decode().rstrip('=')}"


def _encode(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
