"""Owners of names: a subscriber's name belongs to the public key that used it first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

MAX_NAMES = 10
"""Maximum number of names per key, so that no client can use up `MAX_SUBSCRIBERS`."""


class Owners:
    """Names of subscribers and the keys that own them. A claim holds at once, before it is on the disk."""

    def __init__(self) -> None:
        """Begin without names."""
        self._keys: dict[str, str] = {}

    def know(self, keys: Mapping[str, str]) -> None:
        """Replace all names by those of the journal, name -> public key (Z85)."""
        self._keys = {name: key for name, key in keys.items() if key}

    def claim(self, name: str, key: str) -> str:
        """Claim a name for a key, which owns it from then on.

        Args:
            name: name of a subscriber.
            key: public key (Z85); empty if the device has no keys: then any name may be used.

        Returns:
            The reason for a refusal; empty if the key may use the name.
        """
        if not key or self._keys.get(name) == key:
            return ""
        if name in self._keys:
            return f"the name `{name}` belongs to another key; use another name, or have an operator forget this one"
        if Counter(self._keys.values())[key] >= MAX_NAMES:
            return f"this key has {MAX_NAMES} names already; have an operator forget one of them"
        self._keys[name] = key
        return ""
