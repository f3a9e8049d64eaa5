"""Arrays in files are read as they were written, and as nothing else: each damage is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from edge_config.bundle.arrays import MAX_ARRAYS, read, write
from edge_config.errors import BundleShapeMismatch
from tests.support.forge import safetensors_of

ARRAYS = {
    "rows": np.arange(12, dtype=np.float32).reshape(3, 4),
    "columns": np.asfortranarray(np.arange(12, dtype=np.int32).reshape(3, 4)),
    "backwards": np.arange(12, dtype=np.int64)[::-2],
    "picture": np.arange(24, dtype=np.uint8).reshape(2, 4, 3),
    "line": np.linspace(0, 1, 7),
    "number": np.array(3.5),
    "nothing": np.empty((0, 4), dtype=np.float32),
    "one": np.array([7], dtype=np.int64),
}


def header(shape: list[int], *offsets: int, kind: str = "F32") -> dict:
    return {"dtype": kind, "shape": shape, "data_offsets": list(offsets)}


def test_arrays_are_read_as_they_were_written(tmp_path: Path) -> None:
    """Arrays keep type, shape and numbers, however they lay in memory, for us and for the library's own reader."""
    write(tmp_path / "it", **ARRAYS)
    for found in (read(tmp_path / "it"), load_file(tmp_path / "it")):
        assert found.keys() == ARRAYS.keys()
        for name, array in ARRAYS.items():
            assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
            assert np.array_equal(found[name], array)
    assert list(read(tmp_path / "it", "line")) == ["line"]


def test_same_arrays_make_the_same_file(tmp_path: Path) -> None:
    """The bytes do not depend on the order in which arrays are named; the umask decides on the mode of the file."""
    write(tmp_path / "one", **ARRAYS)
    write(tmp_path / "other", **dict(reversed(ARRAYS.items())))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    (tmp_path / "plain").touch()
    assert (tmp_path / "one").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("kind", ["F16", "BF16", "F8_E4M3", "F8_E5M2", "BOOL", "I8", "I16", "U16", "U32", "U64", "C64"])
def test_other_types_are_refused(tmp_path: Path, kind: str) -> None:
    """A type that no bundle holds is refused by its name, also where numpy has none for it."""
    size = 8 if kind.endswith("64") else 4 if kind.endswith("32") else 2 if kind.endswith("16") else 1
    text = json.dumps({"it": header([1], 0, size, kind=kind)}).encode()
    (tmp_path / "it").write_bytes(safetensors_of(text, bytes(size)))
    refuse(tmp_path / "it", kind)


def refuse(path: Path, said: str = "") -> None:
    with pytest.raises(BundleShapeMismatch, match=said or None) as caught:
        read(path)
    assert len(str(caught.value).splitlines()) == 1
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("cut", [0, 5, 8, 9, 50, -1])
def test_truncated_file_is_refused(tmp_path: Path, cut: int) -> None:
    """A file that ends anywhere but at its end is refused, and so is one with a byte more."""
    data = save({"rows": ARRAYS["rows"]})
    for changed in (data[:cut], data + b"x"):
        (tmp_path / "it").write_bytes(changed)
        refuse(tmp_path / "it")


DAMAGED = {
    "no JSON": safetensors_of(b"{'it': 7}"),
    "no text": safetensors_of(b"\xff\xfe{}"),
    "as deep as it is long": safetensors_of(b'{"it":' + b"[" * 200_000),
    "a header longer than the file": safetensors_of(b"{}", length=1 << 20),
    "a header of an exabyte": safetensors_of(b"{}", length=1 << 60),
    "a header whose length overflows": safetensors_of(b"{}", length=2**64 - 1),
    "a list": safetensors_of(b"[]"),
    "a trillion numbers": safetensors_of(json.dumps({"it": header([10**6, 10**6], 0, 4 * 10**12)}).encode()),
    "a size that overflows": safetensors_of(json.dumps({"it": header([2**32, 2**32], 0, 0)}).encode()),
    "a shape that is not its bytes": safetensors_of(json.dumps({"it": header([3], 0, 8)}).encode(), bytes(8)),
    "a negative side": safetensors_of(json.dumps({"it": header([-1], 0, 4)}).encode(), bytes(4)),
    "a beginning behind its end": safetensors_of(json.dumps({"it": header([1], 8, 4)}).encode(), bytes(8)),
    "a gap": safetensors_of(json.dumps({"it": header([1], 4, 8)}).encode(), bytes(8)),
    "two arrays in one place": safetensors_of(
        json.dumps({"it": header([1], 0, 4), "also": header([1], 0, 4)}).encode(), bytes(4)
    ),
    "a type that nobody knows": safetensors_of(json.dumps({"it": header([1], 0, 4, kind="object")}).encode(), bytes(4)),
    "an array of numpy": b"\x93NUMPY\x01\x00" + bytes(64),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_file_is_refused(tmp_path: Path, damage: str) -> None:
    """Whatever its header claims: a file that is not what it says is refused, and nothing is allocated for it."""
    (tmp_path / "it").write_bytes(DAMAGED[damage])
    refuse(tmp_path / "it")


def test_more_arrays_than_any_bundle_has_are_refused(tmp_path: Path) -> None:
    """A file of very many arrays is refused before one is read."""
    (tmp_path / "it").write_bytes(save({f"it_{number}": np.zeros(1) for number in range(MAX_ARRAYS + 1)}))
    refuse(tmp_path / "it", "more than any bundle")


def test_array_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """An array that is asked for and not there, or a file that is not, is said to be missing."""
    write(tmp_path / "it", **ARRAYS)
    with pytest.raises(BundleShapeMismatch, match="bank"):
        read(tmp_path / "it", "bank")
    refuse(tmp_path / "none")
