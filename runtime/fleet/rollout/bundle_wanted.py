"""The bundle that an operator names: a file or folder, which is pushed first, or an id that the fleet knows."""

from __future__ import annotations

import os
import re
from pathlib import Path

from edge_config.errors import UsageError
from runtime.fleet.store.interface import Store

_ID = re.compile(r"[0-9a-f]{8,64}")
_WHOLE = 64


async def bundle_wanted(store: Store, named: str) -> str:
    """Return the id of a bundle; a packed bundle, or a folder with one, is stored first.

    Raises:
        UsageError: it is neither, or an id whose beginning fits none or several of those that the fleet knows.
        BundleError: the file must not be served.
    """
    if os.path.lexists(named):  # noqa: ASYNC240 - a moment at the start
        return (await store.put_pack(Path(named))).bundle
    if not _ID.fullmatch(named):
        remedy = "name a file made by `patchedge bundle pack`, or at least 8 digits of an id"
        raise UsageError("no such file, and not an id", where=named, remedy=remedy)
    if len(named) == _WHOLE:
        return named
    known = {one.root for one in await store.assigned()} | {one.root for one in (await store.rollouts()).values()}
    for report in (await store.reports()).values():
        known |= {one for camera in report.cameras for one in (camera.root, camera.active)}
    found = sorted(one for one in known if one.startswith(named))
    if len(found) != 1:
        what = "no bundle that the fleet knows begins so" if not found else f"{len(found)} bundles begin so"
        raise UsageError(what, where=named, remedy="give all 64 digits")
    return found[0]
