"""Say what to install where a package of an extra is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from edge_config.errors import MissingExtra

_OWN = {"edge_config", "runtime", "export", "patchedge"}


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Import what an extra is for inside this block.

    Raises:
        MissingExtra: a package of the extra is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in _OWN:
            raise
        raise MissingExtra(f"{error.name} is not installed", remedy=f"pip install 'patchedge[{extra}]'") from error


def look_for(*packages: str) -> None:
    """Look for packages that are imported late, and load none: what is missing is said before the work begins.

    Raises:
        ModuleNotFoundError: one is not installed.
    """
    for name in packages:
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
