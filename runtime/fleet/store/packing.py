"""Packs on this machine: verified, or made of a bundle, before they are uploaded."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

from edge_config.bundle import files as bundles
from edge_config.bundle import pack
from edge_config.saving import TEMPORARY, writing
from runtime.fleet.store.interface import PackInfo
from runtime.fleet.store.objects import sha256_of


@contextlib.asynccontextmanager
async def packed(path: Path) -> AsyncIterator[tuple[PackInfo, Path]]:
    """Verify a bundle or a packed bundle, and yield what is to be known of it, and its packed file.

    Raises:
        BundleError: it must not be served.
        NotWritten: the folder of temporary files is full.
    """
    with (
        writing("folder of temporary files", TEMPORARY, full_only=True),
        TemporaryDirectory(prefix="patchedge-") as folder,
    ):
        if await asyncio.to_thread(path.is_dir):
            file, bundle = Path(folder) / "pack", await asyncio.to_thread(bundles.read, path)
            await asyncio.to_thread(pack.pack, bundle, file)
        else:
            file, bundle = path, await asyncio.to_thread(pack.unpack, path, Path(folder) / "bundle")
        yield PackInfo(bundle.id, await asyncio.to_thread(sha256_of, file), file.stat().st_size), file
