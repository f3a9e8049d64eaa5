"""Roles: is what a user may do enough for a request?"""

from __future__ import annotations

from runtime.page.refused import Refused
from runtime.page.users.register import Role

_RANK = {"": 0, "viewer": 1, "operator": 2}


def check_role(role: str, needed: Role) -> None:
    """Check that a role is enough.

    Raises:
        Refused: it is not.
    """
    if _RANK.get(role, 0) < _RANK[needed]:
        raise Refused(403, f"this needs the role {needed}, and yours is {role or 'none'}; ask an operator")
