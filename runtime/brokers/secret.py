"""Read passwords and credentials from files, which must not be readable by everybody."""

from __future__ import annotations

import stat
from pathlib import Path

from edge_config.errors import SettingsError


def read_secret(path: str) -> str:
    """Read a file that others may not read or change.

    Raises:
        SettingsError: it cannot be read, is no text, or others may read or change it.
    """
    try:
        mode = Path(path).stat().st_mode
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot be read ({getattr(error, 'strerror', None) or error})", where=path) from error
    if mode & stat.S_IRWXO:
        raise SettingsError("this secret is readable by others", where=path, remedy="chmod o= it")
    return text
