"""Measure nearest-neighbour search on this processor: hnswlib's graph against the product with the whole bank.

hnswlib is built from source. Without vector instructions in its distance it is many times slower, which nothing else
shows. So its plain search over all entries, one distance after the other, is compared with our own loop, which the
compiler always vectorises.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable

import msgspec

from runtime.doctor.finding import Finding
from runtime.process.child import CheckResult, ask

ENTRIES, DIMENSION, PATCHES = 2000, 128, 196
"""A bank and frames of the size that small devices have."""

SCALAR = 3.0
"""Time of a distance in hnswlib, relative to our loop, from which it counts as built without vector instructions.
Measured on x86: 0.8 to 1.1 with AVX, 1.5 with SSE, 5 without; not tried on a real ARM core."""

_ROUNDS = 5
_ONE_THREAD = 1


def speed(run: Callable[[], CheckResult] | None = None) -> Finding:
    """Return the time of a frame's search both ways, and whether hnswlib was built without vector instructions."""
    answer = run() if run else ask(__name__)
    if answer.illegal:
        remedy = "rebuild it: HNSWLIB_NO_NATIVE=1 pip install --no-binary hnswlib --force-reinstall hnswlib"
        return Finding("hnswlib", "fail", "uses instructions that this processor lacks (SIGILL)", remedy)
    if answer.problem:
        return Finding("hnswlib", "fail", f"cannot be used ({answer.problem})", "pip install hnswlib")
    found: dict[str, float] = answer.value
    says = (
        f"{PATCHES} patches in {ENTRIES} entries of {DIMENSION}: graph {found['graph_ms']:.1f} ms, exact product "
        f"{found['product_ms']:.1f} ms; one distance {found['distance_ns']:.0f} ns, ours {found['ours_ns']:.0f} ns"
    )
    if found["distance_ns"] > SCALAR * found["ours_ns"]:
        remedy = "build it with vector instructions: see the flags for hnswlib in Dockerfile.arm64"
        return Finding(
            "hnswlib", "warn", f"{says}: compiled without vector instructions", remedy, data={**found, "scalar": True}
        )
    return Finding("hnswlib", "ok", says, data={**found, "scalar": False})


def main() -> None:
    """Measure, and print the figures as JSON."""
    print(msgspec.json.encode(measure()).decode())


def measure() -> dict[str, float]:
    """Measure on one thread: a frame's search, milliseconds, and one distance, nanoseconds."""
    import hnswlib
    import numpy as np
    from threadpoolctl import threadpool_limits

    from runtime.search.full import ExactSearch, GraphSearch, distances

    random = np.random.default_rng(0)
    middles, noise = random.standard_normal((50, DIMENSION)), random.standard_normal((ENTRIES, DIMENSION)) / 4
    bank = np.asarray(middles[random.integers(50, size=ENTRIES)] + noise, dtype=np.float32)
    features = np.asarray(bank[random.integers(ENTRIES, size=PATCHES)] + 0.1, dtype=np.float32)
    index = hnswlib.Index("l2", DIMENSION)
    index.init_index(ENTRIES, M=16, ef_construction=100, random_seed=0)
    index.add_items(bank, num_threads=_ONE_THREAD)
    plain = hnswlib.BFIndex("l2", DIMENSION)
    plain.init_index(ENTRIES)
    plain.add_items(bank)
    plain.set_num_threads(_ONE_THREAD)
    graph, exact = GraphSearch(index, ef=64, threads=_ONE_THREAD), ExactSearch(bank)
    few = features[:16]

    def least_s(work: Callable[[], object]) -> float:
        return min(timeit.repeat(work, number=1, repeat=_ROUNDS))

    with threadpool_limits(limits=_ONE_THREAD):
        return {
            "graph_ms": least_s(lambda: graph(features)) * 1e3,
            "product_ms": least_s(lambda: exact(features)) * 1e3,
            "distance_ns": least_s(lambda: plain.knn_query(few, k=1, num_threads=_ONE_THREAD)) / (16 * ENTRIES) * 1e9,
            "ours_ns": least_s(lambda: [distances(one, bank) for one in few]) / (16 * ENTRIES) * 1e9,
        }


if __name__ == "__main__":
    main()
