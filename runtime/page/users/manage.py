"""What `patchedge page user` and `patchedge page token` do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge_config.errors import TargetExists, UsageError
from runtime.page.users import passwords
from runtime.page.users.register import (
    PageToken,
    PageUser,
    Register,
    Role,
    UsersFile,
    changing,
    digest,
    name_of,
    new_token,
)


def add_user(path: Path, name: str, role: Role, ask: Callable[[], str]) -> str:
    """Add a user; return what to say.

    Args:
        path: of the file of users.
        name: of the user.
        role: what the user may do.
        ask: returns the password.

    Raises:
        TargetExists: there is such a user.
        UsageError: name or password is not allowed.
    """
    name = name_of(name)
    _refuse_known(UsersFile(path).read(), name)  # before a password is typed
    hashed = passwords.make(ask())
    with changing(path) as register:
        _refuse_known(register, name)
        register.users[name] = PageUser(role, hashed)
    return f"{name}: added as {role} to {path}"


def set_password(path: Path, name: str, ask: Callable[[], str]) -> str:
    """Change the password of a user; all sessions of this user end.

    Raises:
        UsageError: there is no such user, or the password is not allowed.
    """
    name = _known(UsersFile(path).read().users, name, "user")
    hashed = passwords.make(ask())
    with changing(path) as register:
        register.users[_known(register.users, name, "user")].password = hashed
    return f"{name}: the password is changed, and all sessions of this user have ended"


def remove_user(path: Path, name: str) -> str:
    """Remove a user; all sessions of this user end.

    Raises:
        UsageError: there is no such user.
    """
    with changing(path) as register:
        name = _known(register.users, name, "user")
        del register.users[name]
        left = len(register.users)
    warning = "" if left else "; no users are left: when the page starts next, everybody on this machine is an operator"
    return f"{name}: removed{warning}"


def add_token(path: Path, name: str, role: Role) -> str:
    """Add a token for a program; return it, which nobody can do later.

    Raises:
        TargetExists: there is a token of this name.
        UsageError: the name is not allowed.
    """
    name, token = name_of(name), new_token()
    with changing(path) as register:
        if name in register.tokens:
            raise TargetExists(
                "there is such a token", where=name, remedy=f"remove it: patchedge page token remove {name}"
            )
        register.tokens[name] = PageToken(role, digest(token))
    return token


def remove_token(path: Path, name: str) -> str:
    """Remove a token, which is refused from now on.

    Raises:
        UsageError: there is no such token.
    """
    with changing(path) as register:
        name = _known(register.tokens, name, "token")
        del register.tokens[name]
    return f"{name}: removed"


def list_users(path: Path) -> list[str]:
    """Return a line for each user."""
    return [f"{name}  {user.role}" for name, user in sorted(UsersFile(path).read().users.items())]


def list_tokens(path: Path) -> list[str]:
    """Return a line for each token."""
    return [f"{name}  {token.role}" for name, token in sorted(UsersFile(path).read().tokens.items())]


def _refuse_known(register: Register, name: str) -> None:
    if name in register.users:
        remedy = f"to change the password: patchedge page user password {name}"
        raise TargetExists("there is such a user", where=name, remedy=remedy)


def _known(entries: dict[str, PageUser] | dict[str, PageToken], name: str, what: str) -> str:
    name = name_of(name)
    if name not in entries:
        raise UsageError(f"there is no such {what}", where=name, remedy=f"patchedge page {what} list")
    return name
