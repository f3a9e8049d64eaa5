"""Where the page of a fit is written."""

from __future__ import annotations

import os
from pathlib import Path

from edge_config.errors import TargetExists

_BEGIN = b"<!DOCTYPE html>"


def page_path(bundle: Path) -> Path:
    """Return the path of the page beside a bundle: line.report.html beside line.bundle."""
    return bundle.with_name(f"{bundle.name.removesuffix('.bundle')}.report.html")


def refuse_page(page: Path, *, force: bool) -> None:
    """Refuse a page that may not be replaced.

    Raises:
        TargetExists: something is there; with `force`, anything but an HTML page.
    """
    if not os.path.lexists(page):
        return
    if not force:
        remedy = "choose another name for the bundle, give --force, or --no-report"
        raise TargetExists("exists already", where=str(page), remedy=remedy)
    if page.is_symlink() or not page.is_file() or not _is_page(page):
        raise TargetExists("is not a page, and will not be replaced", where=str(page))


def _is_page(page: Path) -> bool:
    with page.open("rb") as stream:
        return stream.read(len(_BEGIN)) == _BEGIN
