"""Say what to install where a package for a fleet is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from edge_config.errors import MissingExtra


@contextmanager
def fleet_extra() -> Iterator[None]:
    """Import what talks to the servers of a fleet inside this block.

    Raises:
        MissingExtra: a package of the extra `fleet` is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in {"runtime", "edge_config"}:
            raise
        raise MissingExtra(f"{error.name} is not installed", remedy="pip install 'patchedge[fleet]'") from error
