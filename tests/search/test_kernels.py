"""The loops in C, called as nothing in the package calls them: what does not fit is refused, and memory stays whole."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

from runtime.frame import Tier
from runtime.search import _kernels
from runtime.search.full import distances
from runtime.search.history import History
from runtime.search.tables import BankTables, make_tables

PATCHES, DIMENSION, ENTRIES, B = 12, 5, 40, 3
TABLES = ["bank", "beside", "divisors", *BankTables._fields, "widest", "threads"]
FRAME = ["features", "distance", "index", "tier", "history", "around"]


def in_order(features: np.ndarray, entries: np.ndarray) -> np.ndarray:
    """Return the distances in float32, with the operations of loops.h in their order."""
    squares = np.square(features - entries)
    even, odd = (np.zeros((len(squares), 8), dtype=np.float32) for _ in range(2))
    whole = squares.shape[1] // 64 * 64
    for start in range(0, whole, 16):
        even += squares[:, start : start + 8]
        odd += squares[:, start + 8 : start + 16]
    start = whole
    for start in range(whole, squares.shape[1] - 7, 8):
        even += squares[:, start : start + 8]
    last = squares[:, whole + (squares.shape[1] - whole) // 8 * 8 :]
    odd[:, : last.shape[1]] += last
    lanes = even + odd
    halves = lanes[:, :4] + lanes[:, 4:]
    pairs = halves[:, :2] + halves[:, 2:]
    return np.sqrt(pairs[:, 0] + pairs[:, 1])


@pytest.mark.parametrize("dimension", [1, 7, 8, 9, 63, 64, 65, 79, 80, 128, 150, 176, 384, 1024])
def test_a_distance_is_the_same_on_every_processor(dimension: int):
    """A distance is bit for bit what one order of float32 operations gives, whatever vectors a processor has."""
    random = np.random.default_rng(dimension)
    features, entries = (
        (random.standard_normal((200, dimension)) * 10.0 ** random.uniform(-3, 3, (200, 1))).astype(np.float32)
        for _ in range(2)
    )
    assert distances(features, entries).tobytes() == in_order(features, entries).tobytes()


@pytest.fixture
def of_bank() -> dict[str, object]:
    """Return arguments for the tables of a bank that fit, with entries beside each."""
    random = np.random.default_rng(0)
    bank = random.standard_normal((ENTRIES, DIMENSION)).astype(np.float32)
    divisors = random.uniform(1, 3, ENTRIES).astype(np.float32)
    beside = random.integers(ENTRIES, size=(ENTRIES, B)).astype(np.int32)
    tables = make_tables(bank, divisors)
    return dict(zip(TABLES, (bank, beside, divisors, *tables, float(divisors.max()), 1), strict=True))


@pytest.fixture
def frame(of_bank) -> dict[str, object]:
    """Return arguments of one frame that fit, with everything that is known."""
    random = np.random.default_rng(1)
    features = random.standard_normal((PATCHES, DIMENSION)).astype(np.float32)
    history = History((3, 4))
    history.learn(np.arange(PATCHES), random.integers(ENTRIES, size=PATCHES))
    index = history.newest
    values = (
        features,
        distances(features, of_bank["bank"], index, of_bank["divisors"]),
        index,
        np.zeros(PATCHES, dtype=np.uint8),
    )
    values += (history.entries, history.around, 0.0, PATCHES, np.inf)
    return dict(zip((*FRAME, "expected", "k", "at_least"), values, strict=True))


def settle(tables: _kernels.Tables, frame: dict) -> None:
    *frame_, expected, k, at_least = frame.values()
    features, distance, index, tier, history, around = frame_
    tables.settle(features, (distance, index, tier), (history, around, expected), k, at_least)


def tell_apart(tables: _kernels.Tables, frame: dict) -> None:
    features, distance, index, tier, history, around, expected, *_ = frame.values()
    tables.tell_apart(features, (distance, index, tier), (history, around, expected), frame["at_least"])


def changed(array: np.ndarray, change: str) -> np.ndarray:
    array = array.ravel()
    return {"longer": np.append(array, array[:1]), "shorter": array[:-1].copy(), "empty": array[:0].copy()}[change]


def test_what_fits_is_settled(of_bank, frame):
    """With arguments that fit, all patches become exact: what is refused below is refused for its fault alone."""
    tables = _kernels.Tables(*of_bank.values())
    settle(tables, frame)
    assert (frame["tier"] == Tier.EXACT).all()
    assert 0 < tables.compared <= PATCHES * ENTRIES


def test_telling_apart_takes_what_settling_takes(of_bank, frame):
    """With arguments that fit patches are told apart, and with others it is refused before anything is written."""
    tables = _kernels.Tables(*of_bank.values())
    frame["at_least"] = 1e9
    tell_apart(tables, frame)
    assert (frame["tier"] == Tier.KNOWN).all()  # all is nearer than that
    frame["at_least"] = 1e-9
    tell_apart(tables, frame)
    assert (frame["tier"] == Tier.LISTED).all()
    frame["tier"] = frame["tier"][:-1].copy()
    with pytest.raises(ValueError, match="arrays of other shapes"):
        tell_apart(tables, frame)


@pytest.mark.parametrize("name", [name for name in TABLES if name not in {"largest", "levels", "widest", "threads"}])
@pytest.mark.parametrize("change", ["longer", "shorter", "empty"])
def test_tables_refuse_arrays_of_other_shapes(of_bank, name: str, change: str):
    """An array that does not go with the others is refused when the tables are made."""
    if (name, change) in {("beside", "empty"), ("steps", "shorter")}:
        pytest.skip("may be missing; an axis fewer fills the same blocks")
    of_bank[name] = changed(of_bank[name], change)
    with pytest.raises(ValueError, match="arrays of other shapes"):
        _kernels.Tables(*of_bank.values())


@pytest.mark.parametrize(("name", "least"), [("beside", 0), ("order", -1)])
@pytest.mark.parametrize("place", [0, -1])
def test_tables_refuse_numbers_out_of_range(of_bank, name: str, least: int, place: int):
    """Entries that the bank does not have are refused when the tables are made."""
    for wrong in (least - 1, ENTRIES, 2**31 - 1, -(2**31)):
        of_bank[name] = of_bank[name].copy()
        of_bank[name].ravel()[place] = wrong
        with pytest.raises(ValueError, match="out of range"):
            _kernels.Tables(*of_bank.values())


def test_tables_keep_their_arrays(of_bank, frame):
    """The tables outlive whoever made their arrays, and give them back at their end."""
    arrays = [weakref.ref(array) for array in of_bank.values() if isinstance(array, np.ndarray)]
    tables = _kernels.Tables(*of_bank.values())
    of_bank.clear()
    assert all(array() is not None for array in arrays)
    settle(tables, frame)
    del tables
    assert all(array() is None for array in arrays)


@pytest.mark.parametrize("name", FRAME)
@pytest.mark.parametrize("change", ["longer", "shorter", "empty"])
def test_settle_refuses_arrays_of_other_shapes(of_bank, frame, name: str, change: str):
    """An array that does not go with the others is refused, and nothing is written."""
    if (name, change) == ("around", "empty"):
        pytest.skip("may be missing")
    frame[name] = changed(frame[name], change)
    before = {name: np.array(value).tobytes() for name, value in frame.items()}
    with pytest.raises(ValueError, match="arrays of other shapes"):
        settle(_kernels.Tables(*of_bank.values()), frame)
    assert {name: np.array(value).tobytes() for name, value in frame.items()} == before


@pytest.mark.parametrize(("name", "end"), [("index", ENTRIES), ("history", ENTRIES), ("around", PATCHES)])
@pytest.mark.parametrize("place", [0, -1])
def test_settle_refuses_numbers_out_of_range(of_bank, frame, name: str, end: int, place: int):
    """Entries that the bank does not have, and patches that the frame does not have, are refused."""
    for wrong in (-1, end, 2**62, -(2**63)):
        frame[name] = frame[name].copy()
        frame[name].ravel()[place] = wrong
        with pytest.raises(ValueError, match="out of range"):
            settle(_kernels.Tables(*of_bank.values()), frame)


@pytest.mark.parametrize(("name", "wrong"), [("k", 0), ("k", -1)])
def test_settle_refuses_counts_that_mean_nothing(of_bank, frame, name: str, wrong: int):
    """At least one patch decides."""
    frame[name] = wrong
    with pytest.raises(ValueError, match="mean nothing"):
        settle(_kernels.Tables(*of_bank.values()), frame)


def search(tables: _kernels.Tables, frame: dict, active: np.ndarray) -> float:
    features, distance, index, tier, history, around, expected, k, _ = frame.values()
    return tables.search(features, active, (distance, index, tier), (history, around, expected), k, True)  # noqa: FBT003


def test_a_frame_that_fits_is_searched(of_bank, frame):
    """With arguments that fit all patches become exact, and the smallest distance is returned; others are refused."""
    tables, everything = _kernels.Tables(*of_bank.values()), np.ones(PATCHES, dtype=np.bool_)
    assert search(tables, frame, everything[:0]) == frame["distance"].min()
    assert (frame["tier"] == Tier.EXACT).all()
    with pytest.raises(ValueError, match="arrays of other shapes"):
        search(tables, frame, everything[:-1])
    frame["k"] = 0
    with pytest.raises(ValueError, match="mean nothing"):
        search(tables, frame, everything)


@pytest.mark.parametrize("name", FRAME)
@pytest.mark.parametrize("change", ["longer", "shorter", "empty"])
def test_search_refuses_arrays_of_other_shapes(of_bank, frame, name: str, change: str):
    """An array that does not go with the others is refused, and nothing is written."""
    if (name, change) == ("around", "empty"):
        pytest.skip("may be missing")
    frame[name] = changed(frame[name], change)
    before = {name: np.array(value).tobytes() for name, value in frame.items()}
    with pytest.raises(ValueError, match="arrays of other shapes"):
        search(_kernels.Tables(*of_bank.values()), frame, np.empty(0, dtype=np.bool_))
    assert {name: np.array(value).tobytes() for name, value in frame.items()} == before


@pytest.mark.parametrize(("name", "end"), [("history", ENTRIES), ("around", PATCHES)])
@pytest.mark.parametrize("wrong", [-1, 0, 2**62, -(2**63)])
def test_search_refuses_numbers_out_of_range(of_bank, frame, name: str, end: int, wrong: int):
    """Entries that the bank does not have, and patches that the frame does not have, are refused."""
    frame[name] = frame[name].copy()
    frame[name].ravel()[-1] = wrong or end
    with pytest.raises(ValueError, match="out of range"):
        search(_kernels.Tables(*of_bank.values()), frame, np.empty(0, dtype=np.bool_))


def test_settle_of_no_patches_is_nothing(of_bank, frame):
    """A frame without patches is settled."""
    for name in FRAME:
        frame[name] = frame[name][:0].copy()
    settle(_kernels.Tables(*of_bank.values()), frame)


@pytest.mark.parametrize(
    ("features", "entries", "rows"),
    [
        ((3, 5), (2, 5), None),
        ((2, 5), (3, 5), None),
        ((3, 4), (3, 5), None),
        ((3, 5), (3, 4), None),
        ((4,), (3, 5), None),
        ((3, 5), (9, 5), 2),
        ((3, 5), (9, 4), 3),
        ((3, 0), (3, 0), None),
        ((0, 5), (3, 5), None),
    ],
)
def test_distances_refuse_arrays_of_other_shapes(features: tuple[int, ...], entries: tuple[int, ...], rows: int | None):
    """Features and entries of other counts or dimensions are refused."""
    index = None if rows is None else np.zeros(rows, dtype=np.int64)
    with pytest.raises(ValueError, match="arrays of other shapes"):
        distances(np.zeros(features, dtype=np.float32), np.zeros(entries, dtype=np.float32), index)


@pytest.mark.parametrize("size", [0, -1, -(2**62), 2**62, 2**63 - 1])
def test_distances_refuse_sizes_that_no_row_has(size: int):
    """A size that is no count, or larger than all there is, is refused."""
    rows, none = np.zeros((4, 4), dtype=np.float32), np.empty(0, dtype=np.int64)
    with pytest.raises(ValueError, match="arrays of other shapes"):
        _kernels.distances(size, rows, rows, none, rows[0, :0].copy(), np.empty(4, dtype=np.float32))


@pytest.mark.parametrize("wrong", [-1, 7, 2**62, -(2**63)])
def test_distances_refuse_rows_out_of_range(wrong: int):
    """Rows that the bank does not have are refused."""
    features, bank = np.zeros((3, 5), dtype=np.float32), np.zeros((7, 5), dtype=np.float32)
    with pytest.raises(ValueError, match="out of range"):
        distances(features, bank, np.array([0, 6, wrong]))


def test_distances_of_nothing_are_none():
    """For no rows there are no distances."""
    nothing = np.zeros((0, 5), dtype=np.float32)
    assert distances(nothing, nothing).shape == (0,)
    assert distances(nothing, np.ones((7, 5), dtype=np.float32), np.empty(0, dtype=np.int64)).shape == (0,)
    assert distances(np.ones(5, dtype=np.float32), nothing).shape == (0,)


@pytest.mark.parametrize("wrong", [-1, 4, 2**62, 2**63 - 1, -(2**63)])
def test_learn_refuses_patches_out_of_range(wrong: int):
    """A patch that the camera does not have is refused, and nothing is learnt."""
    history = np.zeros((4, 3), dtype=np.int64)
    with pytest.raises(ValueError, match="out of range"):
        _kernels.learn(3, history, np.array([0, wrong]), np.array([1, 2]))
    assert not history.any()


@pytest.mark.parametrize(("length", "entries"), [(0, 1), (-1, 1), (3, 2)])
def test_learn_refuses_arrays_of_other_shapes(length: int, entries: int):
    """One entry is learnt for each patch, into lists of one entry or more."""
    with pytest.raises(ValueError, match="arrays of other shapes"):
        _kernels.learn(length, np.zeros((4, 3), dtype=np.int64), np.array([0]), np.zeros(entries, dtype=np.int64))


@pytest.mark.parametrize(
    "sizes", [(12, 3, 4, 4), (12, 4, 3, 4), (11, 4, 4, 4), (0, 4, 4, 4), (12, 4, 4, 3), (4, 4, 0, 0)]
)
def test_learn_found_refuses_arrays_of_other_shapes(sizes: tuple[int, int, int, int]):
    """One entry, one tier and one flag belong to each patch, and the lists are equally long."""
    kinds = np.int64, np.int64, np.uint8, np.bool_
    arrays = [np.zeros(size, dtype=kind) for size, kind in zip(sizes, kinds, strict=True)]
    with pytest.raises(ValueError, match="arrays of other shapes"):
        _kernels.learn_found(*arrays)
