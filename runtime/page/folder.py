"""The folder of the page: scores, alerts and users."""

from __future__ import annotations

from pathlib import Path

from edge_config.errors import NotWritten
from edge_config.settings.page import PageSettings
from runtime.state_folder import state_folder


def page_folder(settings: PageSettings) -> Path:
    """Return the folder of the page, which is made where it is missing.

    Raises:
        NotWritten: it cannot be made.
    """
    named = settings.folder
    try:
        folder = Path(named) if named else state_folder() / "page"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        remedy = "name a folder with `folder` or --folder"
        raise NotWritten(f"no folder for the page ({error.strerror})", where=named, remedy=remedy) from error
    return folder
