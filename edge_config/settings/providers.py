"""What is wanted of execution providers: a list, or the choice of `patchedge warm`; and how their options are read."""

from __future__ import annotations

from typing import Literal

from edge_config.settings.sections import Provider, Providers

AUTO: Literal["auto"] = "auto"

WantedProviders = Providers | Literal["auto"]
"""`auto`: those that `patchedge warm` chose on this machine."""


def is_on(provider: Provider, option: str) -> bool:
    """Return whether an option is set, and to true."""
    return str(provider.options.get(option)).lower() in {"1", "true"}
