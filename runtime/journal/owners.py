"""Owners of names: a subscriber's name belongs to the public key that used it first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

MAX_NAMES = 10
"""So many names may belong to one key: nobody can use up all that a journal knows."""


class Owners:
    """Names and the keys that they belong to. What it says holds at once, also before the disk has it."""

    def __init__(self) -> None:
        """Know no names."""
        self._keys: dict[str, str] = {}

    def know(self, keys: Mapping[str, str]) -> None:
        """Take over what the journal says, name -> public key (Z85), and forget all else."""
        self._keys = {name: key for name, key in keys.items() if key}

    def claim(self, name: str, key: str) -> str:
        """Let a key use a name, which is its own from then on.

        Args:
            name: of a subscriber.
            key: public key (Z85); empty where the device has no keys: then any name may be used.

        Returns:
            Why it may not; empty if it may.
        """
        if not key or self._keys.get(name) == key:
            return ""
        if name in self._keys:
            return f"the name `{name}` belongs to another key; take another name, or have an operator forget this one"
        if Counter(self._keys.values())[key] >= MAX_NAMES:
            return f"this key has {MAX_NAMES} names already; have an operator forget one of them"
        self._keys[name] = key
        return ""
