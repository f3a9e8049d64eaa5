"""Which versions of packages are installed."""

from __future__ import annotations


def version(package: str = "patchedge") -> str | None:
    """Return the version of an installed package; None if it is not installed, as in a folder of sources."""
    import importlib.metadata  # a fifth of the time of --help

    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
