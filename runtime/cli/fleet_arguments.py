"""What verbs of a fleet share: operator and key, durations, how a roll-out is driven and has ended."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

from edge_config.errors import printable

if TYPE_CHECKING:
    from nacl.signing import SigningKey

    from edge_config.settings.fleet import FleetSettings
    from runtime.fleet.rollout.operator_keys import OperatorKeys

_DURATION = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(s|m|min|h|d)")
_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_MAX_S = 30 * 86_400.0


def time_span(text: str) -> float:
    """Parse a time with its unit, s, m, h or d, such as 30m; at most 30 days."""
    found = _DURATION.fullmatch(text)
    if not found or float(found[1]) * _SECONDS[found[2]] > _MAX_S:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 90s, 30m, 2h or 1d, at most 30d")
    return float(found[1]) * _SECONDS[found[2]]


def signing_key(settings: FleetSettings) -> SigningKey:
    """Return the operator's key.

    Raises:
        SettingsError: the settings name none, or it cannot be used.
    """
    from pathlib import Path

    from edge_config.errors import SettingsError
    from runtime.security.signing import read_key

    if settings.signing_key is None:
        remedy = "name the secret key that `patchedge-export signing-key` made"
        raise SettingsError("key `signing_key` is missing, and this needs a signature", remedy=remedy)
    return read_key(Path(settings.signing_key))


def operator_keys(settings: FleetSettings) -> OperatorKeys:
    """Return the operator's key, with those of others that they trust. Errors are those of `signing_key`."""
    from runtime.fleet.rollout.operator_keys import OperatorKeys
    from runtime.fleet.store.signatures import operators_of

    return OperatorKeys(signing_key(settings), operators_of(settings.operators), settings.prefix)


def say(*lines: str) -> None:
    """Print lines; what a device has put there for the terminal to do is shown, and not done."""
    print("\n".join(map(printable, lines)), flush=True)


def operator_name(settings: FleetSettings) -> str:
    """Return what the operator is called in assignments."""
    import getpass
    import socket

    if settings.name:
        return settings.name
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no such user in a container
        user = "somebody"
    return f"{user}@{socket.gethostname()}"[:64]
