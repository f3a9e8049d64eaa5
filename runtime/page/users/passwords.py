"""Passwords: Argon2id, with the same work for users that do not exist."""

from __future__ import annotations

import unicodedata
from functools import cache

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from edge_config.errors import UsageError

MIN_LENGTH = 10
"""Minimum length of a password, characters."""

MAX_LENGTH = 256

MEMORY_KIB, PASSES, LANES = 19456, 2, 1
"""Cost of a hash: what OWASP names as the least, as the page may run on a small device beside its main work."""

_HASHER = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES, type=Type.ID)


def make(password: str) -> str:
    """Return the hash of a new password.

    Raises:
        UsageError: it is too short or too long.
    """
    plain = _plain(password)
    if not MIN_LENGTH <= len(plain) <= MAX_LENGTH:
        raise UsageError(f"a password of {len(plain)} characters", remedy=f"take {MIN_LENGTH} to {MAX_LENGTH}")
    return _HASHER.hash(plain)


def is_right(hashed: str | None, password: str) -> bool:
    """Return whether a password is the one of this hash; None, of an unknown user, takes the same time."""
    plain = _plain(password)[: MAX_LENGTH + 1]
    try:
        return _HASHER.verify(hashed or _of_nobody(), plain) and hashed is not None
    except (VerificationError, InvalidHashError):
        return False


@cache
def _of_nobody() -> str:
    return _HASHER.hash("the password of nobody")


def _plain(password: str) -> str:
    """Return one form of a text that keyboards write in several, without halves of characters."""
    return unicodedata.normalize("NFC", password).encode(errors="replace").decode()
