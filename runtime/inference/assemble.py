"""Assemble the stages that score a frame, as a device runs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.manifest import Scoring
from runtime.frame import Grid
from runtime.scoring.preprocess import Preprocess
from runtime.scoring.score import ScoreFrame
from runtime.scoring.scorer import Scorer
from runtime.search.full import Deciding, ExactSearch, GraphSearch
from runtime.search.history import History
from runtime.search.lazy import LazySearch
from runtime.search.pruned import PrunedSearch
from runtime.search.restricted import Restricted

SearchKind = Literal["lazy", "graph", "exact"]
"""How far patches are searched; the score is the same.

`lazy`: as far as the decision needs, starting from the nearest entries of the last frames, and in a camera's first
frame from those that the HNSW graph finds: what a device does. For comparisons, `graph`: every patch of every frame
through the HNSW graph, then the deciding ones exactly. `exact`: every patch against the whole bank.
"""


def assemble(
    preprocess: Preprocess,
    embed: Callable[..., NDArray[np.float32]],
    graph: GraphSearch,
    bank: NDArray[np.float32],
    neighbours: NDArray[np.int32],
    scoring: Scoring,
    grid: Grid,
    search: SearchKind,
    judged: NDArray[np.bool_] | None = None,
    divisors: NDArray[np.float32] | None = None,
    threads: int = 1,
) -> Scorer:
    """Put the stages together as a device runs them.

    `judged` are the patches in the regions of the bundle; `divisors` float32 [k] are those of its measure, None: all 1;
    `threads` share a search, 0: all cores.
    """
    decisive = scoring.k if scoring.mode == "topk" else 1
    pruned = PrunedSearch(bank, neighbours, divisors, threads)
    whole = LazySearch(graph, bank, pruned, decisive)
    kinds: dict[SearchKind, Callable[[], Deciding]] = {
        "lazy": lambda: LazySearch(graph, bank, pruned, decisive, History(grid.hw)),
        "graph": lambda: whole,
        "exact": lambda: ExactSearch(bank, divisors),
    }

    def new_search() -> Deciding:
        made = kinds[search]()
        return made if judged is None else Restricted(made, judged)

    return Scorer(
        preprocess=preprocess,
        embed=embed,
        search=new_search(),
        new_search=new_search,
        whole=whole if judged is None else Restricted(whole, judged),
        score=ScoreFrame(bank, neighbours, scoring.mode, scoring.k, divisors),
        grid=grid,
        judged=judged,
        least_divisor=1.0 if divisors is None else float(divisors.min()),
    )
