"""Say what to install where the export extra is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from edge_config.errors import MissingExtra


@contextmanager
def export_extra() -> Iterator[None]:
    """Turn a failed import inside the block into one line with the remedy.

    Raises:
        MissingExtra: a module of the export extra is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra(f"{error.name} is not installed", remedy="pip install 'patchedge[cpu,export]'") from error
