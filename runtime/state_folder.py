"""The folder of a device's state: the journal, and the caches of providers."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def state_folder() -> Path:
    """Return the folder of the systemd service; elsewhere the user's (XDG base directories).

    Raises:
        OSError: the user has no home.
    """
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given)
    state = os.environ.get("XDG_STATE_HOME", "")
    try:
        folder = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
    except RuntimeError as error:
        raise OSError(errno.ENOENT, "there is no home directory") from error
    return folder / "patchedge"
