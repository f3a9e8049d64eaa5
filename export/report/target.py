"""Where the page of a fit is written."""

from __future__ import annotations

import os
from pathlib import Path

from edge_config.errors import TargetExists
from edge_config.extra import look_for

_BEGIN = b"<!DOCTYPE html>"


def refuse_page(bundle: Path, *, unwanted: bool, force: bool) -> str | None:
    """Return the path of the page beside a bundle, line.report.html beside line.bundle; None if it is unwanted.

    Raises:
        TargetExists: something is there; with `force`, anything but an HTML page.
        ModuleNotFoundError: what the page needs is not installed.
    """
    page = page_beside(bundle)
    if unwanted:
        return None
    look_for("matplotlib", "scipy")
    if os.path.lexists(page) and not force:
        remedy = "choose another name for the bundle, give --force, or --no-report"
        raise TargetExists("exists already", where=str(page), remedy=remedy)
    if os.path.lexists(page) and (page.is_symlink() or not page.is_file() or not _is_page(page)):
        raise TargetExists("is not a page, and will not be replaced", where=str(page))
    return str(page)


def page_beside(bundle: Path) -> Path:
    """Return where the page of a bundle belongs, line.report.html beside line.bundle."""
    if bundle.name in {"", ".."}:
        bundle = Path(os.path.abspath(bundle))  # noqa: PTH100 - Path.absolute keeps ".."
    return bundle.with_name(f"{bundle.name.removesuffix('.bundle')}.report.html")


def _is_page(page: Path) -> bool:
    with page.open("rb") as stream:
        return stream.read(len(_BEGIN)) == _BEGIN
