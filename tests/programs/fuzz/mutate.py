"""Mutations of JSON that keep it JSON: random bytes seldom get past the first brace."""

from __future__ import annotations

import json
import random
from typing import Any

ODD: tuple[Any, ...] = (
    None, True, 0, -1, 1, 2**31, 2**63, 2**64, 10**30, -(2**63) - 1, 0.5, -0.0, 1e308, 1e-320, "", "0" * 64,
    "\ud800", "\x00", "é" * 300, "$", "a/b", [], {}, [[]], {"": ""}, [0] * 300, "x" * 5000,
)  # fmt: skip


def mutate_json(data: bytes, seed: int) -> bytes:
    """Change a few places of a JSON text; bytes that are none come back as they are."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return data
    for _ in range(chance.randint(1, 4)):
        tree = _changed(tree, chance)
    text = json.dumps(tree, ensure_ascii=chance.random() < 0.5)
    return text.encode("utf-8", "surrogatepass")


def _changed(tree: Any, chance: random.Random) -> Any:
    """Change one place, somewhere below."""
    if isinstance(tree, dict) and tree and chance.random() < 0.9:
        key = chance.choice(list(tree))
        action = chance.random()
        if action < 0.1:
            return {name: value for name, value in tree.items() if name != key}
        if action < 0.2:
            return {**tree, str(chance.choice(ODD)): tree[key]}
        return {**tree, key: _changed(tree[key], chance)}
    if isinstance(tree, list) and tree and chance.random() < 0.8:
        at = chance.randrange(len(tree))
        return [*tree[:at], _changed(tree[at], chance), *tree[at + 1 :]]
    if isinstance(tree, list) and chance.random() < 0.3:
        return tree * chance.randint(2, 6)  # four times over, of what may be long: no more than a few MB
    return chance.choice(ODD)
