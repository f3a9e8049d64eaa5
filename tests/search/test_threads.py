"""Threads that share a search: they change when things are done, and nothing that is found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from runtime.learning.bank.index import neighbour_table
from runtime.search.full import ExactSearch
from runtime.search.history import History
from runtime.search.lazy import LazySearch
from runtime.search.pruned import PrunedSearch
from tests.support.clusters import clusters

HW = (20, 20)
PATCHES = HW[0] * HW[1]
DIMENSION, ENTRIES, K = 12, 4000, 40  # so many that each step of a search is worth sharing
THREADS = (1, 2, 3, 8)
PROGRAM_S = 60.0  # a second is usual; a child that waits for threads that it does not have never ends

IN_A_PROGRAM = """
import json, os, sys
from pathlib import Path
from tests.search.test_threads import bank, digest, frames, searched
tasks = Path("/proc/self/task")
before = {task.name for task in tasks.iterdir()}
one = digest(searched(1, bank(), frames()))
alone = {task.name for task in tasks.iterdir()} - before
three = digest(searched(3, bank(), frames()))
helpers = {task.name for task in tasks.iterdir()} - before
status = [(tasks / name / "status").read_text().splitlines() for name in helpers]
blocked = [line.split()[1] for lines in status for line in lines if line.startswith("SigBlk")]
read, write = os.pipe()
if not os.fork():
    found = digest(searched(3, bank(), frames()))
    os.write(write, f"{found} {len(list(tasks.iterdir()))}".encode())
    os._exit(0)
os.close(write)
forked, in_child = os.read(read, 1000).decode().split()
os.wait()
same = [one == three, one == forked]
print(json.dumps({"alone": len(alone), "in_child": int(in_child), "blocked": blocked, "same": same}))
"""


def bank() -> np.ndarray:
    """Return a bank in clusters."""
    return clusters(ENTRIES, DIMENSION, seed=1)


def frames() -> list[np.ndarray]:
    """Return frames of which some are alike, and some are not."""
    random = np.random.default_rng(2)
    made = [clusters(PATCHES, DIMENSION, seed=3)]
    for step in (0.0, 0.3, 1.0, 3.0, 0.3):
        made.append((made[-1] + step * random.standard_normal(made[-1].shape)).astype(np.float32))
    return [*made, clusters(PATCHES, DIMENSION, seed=4), made[0]]


def searched(threads: int, bank: np.ndarray, frames: list[np.ndarray]) -> list[bytes]:
    """Return all that a search with so many threads finds, remembers and counts."""
    history, exact = History(HW), PrunedSearch(bank, neighbour_table(bank, 9), threads=threads)
    search, seen = LazySearch(None, bank, exact, K, history), []
    for features in frames:
        found = search(features)
        seen += [found.distance.tobytes(), found.index.tobytes(), found.tier.tobytes(), history.entries.tobytes()]
        level = float(np.median(found.distance))
        search.refine(features, found, level)
        seen += [found.distance.tobytes(), found.index.tobytes(), found.tier.tobytes(), str(exact.compared).encode()]
        search.tell_apart(features, found, level / 2)
        seen += [found.distance.tobytes(), found.index.tobytes(), found.tier.tobytes(), str(exact.compared).encode()]
    return seen


def digest(seen: list[bytes]) -> str:
    """Return what is short enough to be printed."""
    return str(hash(tuple(seen)))


@pytest.mark.parametrize("threads", THREADS)
def test_what_decides_is_exact_on_any_number_of_threads(threads: int):
    """Frame after frame, the largest distances, their patches and entries are those of the exact search."""
    entries = bank()
    search = LazySearch(
        None, entries, PrunedSearch(entries, neighbour_table(entries, 9), threads=threads), K, History(HW)
    )
    exact = ExactSearch(entries)
    for features in frames():
        found, true = search(features), exact(features)
        top = np.argsort(-true.distance, kind="stable")[:K]
        assert np.argsort(-found.distance, kind="stable")[:K].tolist() == top.tolist()
        assert found.distance[top].tobytes() == true.distance[top].tobytes()
        assert found.index[top].tolist() == true.index[top].tolist()
        assert (found.distance >= true.distance).all()


@pytest.mark.slow
def test_everything_is_the_same_on_any_number_of_threads():
    """Bounds, entries, tiers, what is remembered and what was compared do not depend on how many threads there are."""
    first, *others = (searched(threads, bank(), frames()) for threads in THREADS)
    assert all(other == first for other in others)


@pytest.mark.slow
def test_several_cameras_search_at_the_same_time():
    """Searches in several threads at once, each with helpers or alone, find what they would find one by one."""
    entries = bank()
    one = searched(1, entries, frames())
    with ThreadPoolExecutor(4) as cameras:
        found = list(cameras.map(lambda threads: searched(threads, entries, frames()), [3, 2, 3, 2, 3, 2, 3, 2]))
    assert all(each == one for each in found)


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="threads are counted in /proc")
def test_helpers_are_started_once_leave_signals_alone_and_are_missed_by_no_child():
    """One thread starts none, three start two that block all signals, and a child of fork searches as its parent."""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IN_A_PROGRAM],
        check=True,
        stdout=subprocess.PIPE,
        timeout=PROGRAM_S,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0"},
    )
    told = json.loads(ran.stdout)
    assert told["alone"] == 0
    assert told["same"] == [True, True]
    assert told["in_child"] == 1 + 2
    assert len(told["blocked"]) == 2
    assert all(int(mask, 16) & (1 << 14) and int(mask, 16) & (1 << 1) for mask in told["blocked"])  # TERM and INT
