"""Features in memory or in a file that leaves no trace."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from edge_config.errors import UsageError
from runtime.learning.bank import features as bank
from runtime.learning.bank.features import FeatureTable, PatchFile, PatchMemory, embed_pictures
from tests.support.small import call_export, small_options

PATCHES, DIMENSION = 6, 4


class FakeEmbed:
    """Gives features that follow from the first pixel."""

    output_shape = (PATCHES, DIMENSION)

    def __call__(self, tensor: np.ndarray) -> np.ndarray:
        return np.random.default_rng(int(tensor[0, 0, 0])).random(self.output_shape, dtype=np.float32)


def pictures(count: int):
    """Yield pictures that differ."""
    for number in range(count):
        yield f"{number}.png", np.full((2, 2, 3), number, dtype=np.uint8)


def embed(count: int, there: int, folder: Path | None = None) -> FeatureTable:
    """Embed `there` pictures where `count` were announced."""
    return embed_pictures(pictures(there), count, lambda image: image, FakeEmbed(), folder)


def whole(features: FeatureTable) -> np.ndarray:
    """Return all of them, float32 [pictures, patches, D]."""
    return np.array(list(features), dtype=np.float32).reshape(-1, PATCHES, DIMENSION)


def into_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have all features go into a file."""
    monkeypatch.setattr(bank, "MAX_IN_MEMORY", 0)


@pytest.mark.parametrize(("count", "there"), [(5, 5), (5, 3), (5, 0), (1, 1)])
def test_a_file_holds_what_memory_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, there: int):
    """Features are the same in a file as in memory, also where some or all pictures could not be read."""
    in_memory = embed(count, there)
    into_a_file(monkeypatch)
    in_file = embed(count, there, tmp_path)
    assert isinstance(in_file.rows, PatchFile)
    assert len(in_memory) == len(in_file) == there
    assert in_memory.rows.shape == in_file.rows.shape == (there * PATCHES, DIMENSION)
    assert (whole(in_file) == whole(in_memory)).all()


@given(st.lists(st.integers(0, 5 * PATCHES - 1), max_size=20))
def test_any_rows_can_be_read_from_a_file(rows: list[int]):
    """Rows come in the order in which they are asked for, several times too."""
    features = np.random.default_rng(0).random((5 * PATCHES, DIMENSION), dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        file = PatchFile(Path(folder), DIMENSION)
        for part in np.array_split(features, 3):
            file.append(part)
        wanted = np.array(rows, dtype=np.int64)
        assert (file[wanted] == features[wanted]).all()


def test_rows_beyond_the_end_are_no_rows(tmp_path: Path):
    """A row that is not there is an error."""
    file = PatchFile(tmp_path, DIMENSION)
    file.append(np.ones((2, DIMENSION), np.float32))
    with pytest.raises(IndexError):
        file[np.array([2])]


def test_features_that_are_no_numbers_are_refused(tmp_path: Path):
    """A network that gives NaN or infinity ends with the name of the picture and a remedy."""

    def embed_wrong(_: np.ndarray) -> np.ndarray:
        return np.full((PATCHES, DIMENSION), np.nan, np.float32)

    embed_wrong.output_shape = (PATCHES, DIMENSION)
    with pytest.raises(UsageError, match=r"0\.png: the network gives features that are no numbers"):
        embed_pictures(pictures(2), 2, lambda image: image, embed_wrong, tmp_path)


@pytest.mark.parametrize("bytes_less", [0, 1])
def test_features_up_to_the_bound_stay_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bytes_less: int):
    """Features of just the bound are kept in memory; one byte more goes into a file."""
    monkeypatch.setattr(bank, "MAX_IN_MEMORY", 3 * PATCHES * DIMENSION * 4 - bytes_less)
    assert isinstance(embed(3, 3, tmp_path).rows, PatchMemory) == (bytes_less == 0)


def test_the_file_is_gone_while_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The file has no name: the folder is empty even while the features are there."""
    into_a_file(monkeypatch)
    features = embed(4, 4, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert features[3].sum() > 0


def test_the_file_is_gone_after_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Where a picture breaks the walk, nothing stays behind."""

    def broken():
        yield from pictures(2)
        raise UsageError("a picture is damaged")

    into_a_file(monkeypatch)
    with pytest.raises(UsageError, match="damaged"):
        embed_pictures(broken(), 5, lambda image: image, FakeEmbed(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_too_small_is_refused_before_the_work(tmp_path: Path):
    """More features than the disk has room for are refused in one line, before the first picture is asked for."""

    def untouched():
        raise AssertionError
        yield

    many = 2 * shutil.disk_usage(tmp_path).total // (PATCHES * DIMENSION * 4)
    with pytest.raises(UsageError, match=r"GB of patch features do not fit .* GB are free; make room") as caught:
        embed_pictures(untouched(), many, lambda image: image, FakeEmbed(), tmp_path)
    assert str(caught.value).startswith(str(tmp_path))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_a_disk_that_fills_up_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Where the disk is full in the middle of the work, the error names the folder, the reason and what helps."""
    into_a_file(monkeypatch)
    with Path("/dev/full").open("r+b", buffering=0) as full:
        monkeypatch.setattr(bank.tempfile, "TemporaryFile", lambda **_: full)
        with pytest.raises(UsageError, match=r"cannot be written \(No space left on device\); make room") as caught:
            embed(3, 3, tmp_path)
    assert str(caught.value).startswith(str(tmp_path))


def test_a_fit_through_a_file_gives_the_same_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Features in a file give the bank and the index that features in memory give, and leave nothing beside them."""
    out = [tmp_path / "memory.bundle", tmp_path / "file.bundle"]
    assert call_export("fit", *small_options(tmp_path, out[0])).code == 0
    before = {entry.name for entry in tmp_path.iterdir()}
    into_a_file(monkeypatch)
    assert call_export("fit", *small_options(tmp_path, out[1])).code == 0
    assert {entry.name for entry in tmp_path.iterdir()} == before | {out[1].name}
    for name in ("bank.safetensors", "neighbours.safetensors", "index.hnsw"):
        assert (out[0] / name).read_bytes() == (out[1] / name).read_bytes()


def test_only_judged_patches_are_kept():
    """Rows are those of the judged patches, of pictures and copies; over the grid the others are 0."""
    judged = np.array([True, False, False, True, True, False])
    every = whole(embed(3, 3))
    table = embed_pictures(pictures(3), 3, lambda image: image, FakeEmbed(), None, copies=1, judged=judged)
    assert table.add_copy(1, every[2]) == 3
    assert (table.patches, len(table), table.rows.shape) == (3, 3, (12, DIMENSION))
    for number, of in enumerate([0, 1, 2, 2]):
        np.testing.assert_array_equal(table.judged_rows(number), every[of][judged])
        np.testing.assert_array_equal(table[number], every[of] * judged[:, None])
        np.testing.assert_array_equal(table.rows[table.rows_of(np.array([number]))], every[of][judged])
    assert table.pictures_of(np.arange(12)).tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 1, 1, 1]
    with pytest.raises(IndexError):
        table.judged_rows(4)
