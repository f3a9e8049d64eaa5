"""A bundle of a few hundred bytes: whole as far as reading it goes, with a graph that is none."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

import msgspec
import numpy as np

from edge_config.bundle import arrays
from edge_config.bundle import files as bundles
from edge_config.bundle import manifest as manifests
from runtime.inference.golden_frames import Golden, write_golden
from runtime.search.build_index import build_index
from runtime.search.measure import plain, write_measure
from tests.support.tiny import write_manifest

SIZE, DIMENSION, M, B, PATCHES = 24, 3, 2, 5, 4


@cache
def scratch() -> Path:
    """Return a folder in memory, if there is one, that is gone when the process is."""
    shm = Path("/dev/shm")  # noqa: S108 - what is in it is of no value
    folder = Path(tempfile.mkdtemp(prefix="patchedge-fuzz-", dir=shm if shm.is_dir() else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def bank() -> np.ndarray:
    """Return the entries of the bank."""
    return np.random.default_rng(0).standard_normal((SIZE, DIMENSION)).astype(np.float32)


@cache
def bundle() -> Path:
    """Write the bundle; copy it before changing it."""
    folder = scratch() / "small.bundle"
    folder.mkdir()
    (folder / bundles.MODEL).write_bytes(b"no graph")
    arrays.write(folder / bundles.BANK, bank=bank())
    arrays.write(folder / bundles.NEIGHBOURS, neighbours=np.tile(np.arange(B, dtype=np.int32), (SIZE, 1)))
    write_measure(folder / bundles.MEASURE, plain(SIZE, DIMENSION))
    build_index(bank(), m=M, ef_construction=10, threads=1).save_index(str(folder / bundles.INDEX))
    golden = Golden(np.zeros((4, 4, 3), dtype=np.uint8), 1.0, np.ones(PATCHES, dtype=np.float32), (0, 0))
    write_golden(folder / bundles.GOLDEN, [golden], np.zeros((16, 16), dtype=np.uint8))
    write_manifest(folder, SIZE)
    found = manifests.decode((folder / bundles.MANIFEST).read_bytes(), "seed")
    replaced = msgspec.structs.replace(found, index=msgspec.structs.replace(found.index, M=M))
    (folder / bundles.MANIFEST).write_bytes(manifests.encode(replaced))
    return folder
