"""Roles: what they suffice for, and what is left where both a person and a key of the page have one."""

from __future__ import annotations

from runtime.page.refused import Refused
from runtime.page.users.register import Role

_RANK = {"": 0, "viewer": 1, "operator": 2}
_OF_A_KEY = {"view": "viewer", "operate": "operator"}


def smaller(role: str, of_the_key: str) -> str:
    """Return what a person may do at a device: the smaller one of the person's role and that of the page's key there.

    Args:
        role: viewer, operator or empty.
        of_the_key: role of the page's key at the device: view, operate or empty.
    """
    return min(role, _OF_A_KEY.get(of_the_key, ""), key=lambda one: _RANK.get(one, 0))


def check_role(role: str, needed: Role) -> None:
    """Check that a role is enough.

    Raises:
        Refused: it is not.
    """
    if _RANK.get(role, 0) < _RANK[needed]:
        raise Refused(403, f"this needs the role {needed}, and yours is {role or 'none'}; ask an operator")
