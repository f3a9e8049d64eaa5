"""The neighbour table, the graph on disk, and the check of its header."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from edge_config.bundle.hnsw import header
from edge_config.errors import BundleIndexInvalid
from runtime.learning.bank.index import M, build_index, neighbour_table
from runtime.search.full import GraphSearch
from tests.support import reference

SIZE, DIMENSION = 700, 12


@pytest.fixture(scope="module")
def bank() -> np.ndarray:
    """Return a small bank."""
    return np.random.default_rng(0).standard_normal((SIZE, DIMENSION)).astype(np.float32)


@pytest.fixture(scope="module")
def saved(bank, tmp_path_factory):
    """Return its index on disk."""
    path = tmp_path_factory.mktemp("index") / "index.hnsw"
    build_index(bank).save_index(str(path))
    return path


@pytest.mark.parametrize("b", [1, 2, 9])
def test_neighbour_table_equals_the_definition(bank, b: int):
    """Each row holds the b nearest entries, the entry itself first, then by distance."""
    table = neighbour_table(bank, b)
    assert table.dtype == np.int32
    assert (table == reference.neighbour_table(bank, b)).all()


def test_neighbour_table_may_hold_the_whole_bank():
    """With b = k every row is a permutation of the bank, sorted by distance."""
    bank = np.random.default_rng(1).standard_normal((9, 4)).astype(np.float32)
    assert (neighbour_table(bank, 9) == reference.neighbour_table(bank, 9)).all()


def test_an_entry_comes_first_among_its_duplicates():
    """Also where entries are equal, each row starts with its own entry and names none twice."""
    bank = np.repeat(np.random.default_rng(2).integers(0, 50, (40, 3)), 3, axis=0).astype(np.float32)
    table = neighbour_table(bank, 5)
    assert (table[:, 0] == np.arange(120)).all()
    assert all(len(set(row)) == 5 for row in table.tolist())


@pytest.mark.parametrize("copies", [3, 60])
def test_equal_distances_are_ordered_by_number(copies: int):
    """Of entries that are equally near, those with the lowest numbers are taken, lowest first."""
    bank = np.repeat(np.random.default_rng(2).integers(0, 9, (20, 3)), copies, axis=0).astype(np.float32)
    assert (neighbour_table(bank, 9) == reference.neighbour_table(bank, 9)).all()


def test_more_neighbours_than_entries_are_refused():
    """Asking for more neighbours than the bank has is an error that says both numbers."""
    with pytest.raises(ValueError, match="9 neighbours asked of a bank of 8"):
        neighbour_table(np.zeros((8, 2), dtype=np.float32), 9)


def test_the_same_bank_gives_the_same_file(bank, saved, tmp_path):
    """Built again, the index is the same on disk, byte for byte."""
    again = tmp_path / "again.hnsw"
    build_index(bank.copy()).save_index(str(again))
    assert again.read_bytes() == saved.read_bytes()


def test_labels_are_rows_of_the_bank(bank, saved):
    """Searched for its own entries, a loaded index answers with their rows, at distance zero."""
    found = GraphSearch.load(saved, dimension=DIMENSION, ef=200)(bank)
    assert (found.index == np.arange(SIZE)).all()
    assert (found.distance == 0).all()


def test_header_of_a_saved_index_is_accepted(saved):
    """The header check agrees with what hnswlib writes."""
    header.verify(saved, size=SIZE, dimension=DIMENSION, m=M)


@pytest.mark.parametrize("other", [{"size": SIZE + 1}, {"size": SIZE - 1}, {"dimension": 13}, {"m": 16}])
def test_header_of_another_bank_is_refused(saved, other: dict):
    """An index over another number of entries, another dimension or other links does not pass for this bank's."""
    with pytest.raises(BundleIndexInvalid, match=r"the bank needs"):
        header.verify(saved, **{"size": SIZE, "dimension": DIMENSION, "m": M, **other})


@pytest.mark.parametrize("kept", [0.0, 0.0001, 0.5, 0.9])
def test_header_of_a_truncated_index_is_refused(saved, tmp_path, kept: float):
    """A file that ends before its records do is refused before hnswlib sees it."""
    cut = tmp_path / "index.hnsw"
    data = saved.read_bytes()
    cut.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(BundleIndexInvalid, match=r"index\.hnsw"):
        header.verify(cut, size=SIZE, dimension=DIMENSION, m=M)


def test_an_index_without_its_last_byte_does_not_load(saved, tmp_path):
    """What the header check cannot see, a file that lacks only its end, loading refuses."""
    cut = tmp_path / "index.hnsw"
    cut.write_bytes(saved.read_bytes()[:-1])
    with pytest.raises(BundleIndexInvalid, match=r"index\.hnsw"):
        GraphSearch.load(cut, dimension=DIMENSION, ef=16)


@pytest.mark.parametrize(
    ("offset", "kind", "value"),
    [
        (0, "<Q", 8),  # offset of level 0
        (8, "<Q", SIZE + 1),  # room
        (16, "<Q", SIZE + 1),  # elements
        (24, "<Q", 2**40),  # bytes per element
        (32, "<Q", 0),  # offset of the label
        (40, "<Q", 0),  # offset of the data
        (48, "<i", -1),  # highest level
        (52, "<I", SIZE),  # entry point
        (56, "<Q", 2**20),  # links above level 0
        (64, "<Q", 2**20),  # links on level 0
        (72, "<Q", 2**20),  # M
    ],
)
def test_a_forged_header_is_refused(saved, tmp_path, offset: int, kind: str, value: int):
    """A count, size or offset that would lead hnswlib out of its memory is refused."""
    data = bytearray(saved.read_bytes())
    struct.pack_into(kind, data, offset, value)
    forged = tmp_path / "index.hnsw"
    forged.write_bytes(data)
    with pytest.raises(BundleIndexInvalid):
        header.verify(forged, size=SIZE, dimension=DIMENSION, m=M)
