"""Arrays in files are read as numpy wrote them, and as nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from runtime.inference.untrusted_arrays import read_archive, read_array

ARRAYS = {
    "rows": np.arange(12, dtype=np.float32).reshape(3, 4),
    "columns": np.asfortranarray(np.arange(12, dtype=np.int32).reshape(3, 4)),
    "picture": np.arange(24, dtype=np.uint8).reshape(2, 4, 3),
    "line": np.linspace(0, 1, 7),
    "number": np.array(3.5),
    "nothing": np.empty((0, 4), dtype=np.float32),
    "one": np.array([7], dtype=np.int64),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_array_is_read_as_it_was_written(tmp_path: Path, name: str) -> None:
    """An array keeps its type, its shape and its numbers."""
    np.save(tmp_path / "it.npy", ARRAYS[name])
    found = read_array(tmp_path / "it.npy")
    assert found.dtype == ARRAYS[name].dtype
    assert found.shape == ARRAYS[name].shape
    assert np.array_equal(found, ARRAYS[name])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_archive_is_read_as_it_was_written(tmp_path: Path, save) -> None:
    """An archive, compressed or not, gives all its arrays by name, or the one that is asked for."""
    save(tmp_path / "it.npz", **ARRAYS)
    found = read_archive(tmp_path / "it.npz")
    assert list(found) == list(ARRAYS)
    assert all(np.array_equal(found[name], ARRAYS[name]) for name in ARRAYS)
    assert list(read_archive(tmp_path / "it.npz", "line")) == ["line"]
    assert read_archive(tmp_path / "it.npz", "none") == {}


@pytest.mark.parametrize("kind", [">f4", "<c8", "<U3", "<M8[s]", "<f2", "?", [("a", "<f4")]])
def test_other_types_are_refused(tmp_path: Path, kind) -> None:
    """What no bundle holds is refused: other byte orders, text, times, structures."""
    np.save(tmp_path / "it.npy", np.zeros(3, dtype=kind))
    with pytest.raises(ValueError, match="not the header of plain numbers"):
        read_array(tmp_path / "it.npy")


@pytest.mark.parametrize("cut", [0, 5, 9, 50, -1])
def test_truncated_array_is_refused(tmp_path: Path, cut: int) -> None:
    """An array that ends anywhere but at its end is refused, and so is one with a byte more."""
    np.save(tmp_path / "it.npy", ARRAYS["rows"])
    data = (tmp_path / "it.npy").read_bytes()
    for changed in (data[:cut], data + b"x"):
        (tmp_path / "it.npy").write_bytes(changed)
        with pytest.raises(ValueError, match=r"array|bytes|header"):
            read_array(tmp_path / "it.npy")
