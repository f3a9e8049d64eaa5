"""Arrays of a bundle, as safetensors files: no more is allocated than a file holds, and nothing in it is executed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from edge_config.errors import BundleShapeMismatch

Array = NDArray[Any]

MAX_ARRAYS = 64

_TYPES = {"F32", "F64", "I32", "I64", "U8"}
"""All that a bundle holds; the format knows others, which numpy does not."""


def write(path: Path, **arrays: Array) -> None:
    """Write arrays: the same bytes for the same arrays.

    Raises:
        OSError: the disk did not take them.
    """
    # save_file would leave a file that only its owner can read, and save takes memory as it lies
    path.write_bytes(save({name: np.asarray(array, order="C") for name, array in arrays.items()}))


def read(path: Path, *names: str) -> dict[str, Array]:
    """Return the arrays of these names, or all.

    Raises:
        BundleShapeMismatch: no such file, not what `write` writes, or an array of another name or type.
    """
    try:
        # The file is not mapped: what is copied into arrays would be in memory twice, and a file that shrinks kills.
        with safe_open(path, framework="np", backend="pread") as file:
            found = names or tuple(file.keys())
            if len(found) > MAX_ARRAYS:
                raise BundleShapeMismatch(f"{len(found)} arrays, more than any bundle has", where=str(path))
            for name in found:
                kind = file.get_slice(name).get_dtype()
                if kind not in _TYPES:
                    raise BundleShapeMismatch(f"{name[:80]!r} is of type {kind}", where=str(path))
            return {name: file.get_tensor(name) for name in found}
    except (SafetensorError, OSError) as error:
        raise BundleShapeMismatch(f"not the arrays of a bundle ({error})", where=str(path)) from error
