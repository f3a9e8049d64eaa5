"""The device profiles: which devices each is for, and its settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import yaml

from docs.generate.describe import sentence, table
from edge_config.settings.profiles import all_profiles


def overview() -> str:
    """Return a table of the profiles, and how a device is recognised."""
    rows = [
        (
            f"[`{name}`](#{name})",
            sentence(profile.about),
            f"`uname -m` is `{profile.machine}`" + (f", and its name has `{profile.model}`" if profile.model else ""),
        )
        for name, profile in all_profiles().items()
    ]
    return table(("Profile", "For", "Taken by `auto` if"), rows)


def keys() -> str:
    """Return a table of the settings that profiles make, one column for each."""
    found = {name: dict(_leaves(profile.settings)) for name, profile in all_profiles().items()}
    names = list(dict.fromkeys(key for one in found.values() for key in one))
    rows = [(f"`{key}`", *(one.get(key, "") for one in found.values())) for key in names]
    return table(("Setting", *(f"`{name}`" for name in found)), rows)


def _leaves(tree: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}{key}.")
        elif key == "providers":
            yield key, ", ".join(f"`{one if isinstance(one, str) else one['name']}`" for one in value)
        else:
            yield f"{path}{key}", "a pipeline, see below" if isinstance(value, str) else f"`{value}`"


def profile(name: str) -> str:
    """Return the settings of a profile as YAML."""
    text = yaml.safe_dump(all_profiles()[name].settings, sort_keys=False, width=80)
    return f"```yaml\n{text}```"


FILLERS: dict[str, Callable[..., str]] = {"profiles": overview, "profile_keys": keys, "profile": profile}
