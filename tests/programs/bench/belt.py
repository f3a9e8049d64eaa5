"""What following the scene saves on belts of several speeds. Usage: python -m tests.programs.bench.belt BUNDLE.

The bundle is that of `make bench-frame` for the belt. The belts are of the demo's gravel, in pieces never learnt.
Every frame is searched twice in turn, by a search that follows the scene and by one that does not.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from numpy.typing import NDArray

from export.demo.clip import film, make_belt
from runtime.frame import Tier
from runtime.inference.load import load
from runtime.process.threads import limit_threads
from runtime.search.lazy import LazySearch
from tests.programs.bench.machine import machine

SPEEDS = (0, 3, 5, 8, 13, 29, 60)
"""Pixels from frame to frame; a patch has 8."""

FRAMES = 60
SETTLED = 12
"""Frames that are not counted: the first one is searched in full, and no motion is known yet."""

SEED = 1


def cost(search: LazySearch, features: NDArray[np.float32]) -> tuple[int, float, float, float]:
    """Search a frame; return patches looked at more than once, share searched, ms of processor, sum of the top 5."""
    start = time.thread_time()
    found = search(features)
    took = 1e3 * (time.thread_time() - start)
    return (
        int(np.count_nonzero(found.tier > Tier.KNOWN)),
        found.searched,
        took,
        float(np.sort(found.distance)[-5:].sum()),
    )


def main() -> int:
    """Print a row for each speed; fail if a score depends on whether the scene is followed."""
    limit_threads(1, blas=1)
    scorer = load(sys.argv[1], threads=1)[1]
    print(machine())
    print("| pixels a frame | looked at again, places alone | followed | searched | followed | ms | followed |")
    print("|" + "--:|" * 7)
    for speed in SPEEDS:
        random = np.random.default_rng(SEED)
        followed, still = scorer.another().search, scorer.another().search
        assert isinstance(followed, LazySearch)
        assert isinstance(still, LazySearch)
        still.trail = None
        rows = []
        for image in film(make_belt(FRAMES * speed + 1, random), FRAMES, speed, random):
            features = scorer.embed(scorer.preprocess(image))
            rows.append((*cost(still, features), *cost(followed, features)))
        again, share, ms, top, again_f, share_f, ms_f, top_f = np.array(rows).T
        if (top != top_f).any():
            print(f"{speed}: scores differ")
            return 1
        shown = (again, again_f), (100 * share, 100 * share_f), (ms, ms_f)
        cells = [
            f"{np.median(column[SETTLED:]):.{digits}f}"
            for pair, digits in zip(shown, (0, 1, 2), strict=True)
            for column in pair
        ]
        print(
            f"| {speed} | {cells[0]} | {cells[1]} | {cells[2]}% | {cells[3]}% | {cells[4]} | {cells[5]} |", flush=True
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
