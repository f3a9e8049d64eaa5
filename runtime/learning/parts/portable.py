"""What goes to other processes: the network, and the bank with its index."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.manifest import Scoring
from runtime.inference.assemble import assemble
from runtime.inference.providers.bf16 import made_with
from runtime.inference.providers.options import BF16
from runtime.learning.bank.in_slices import Threads
from runtime.learning.gate.checked_search import CheckedSearch
from runtime.learning.network import Network
from runtime.learning.normals.strangeness import Others
from runtime.scoring.embed import Embed
from runtime.scoring.scorer import Scorer
from runtime.scoring.tiles import Stitch
from runtime.search.full import GraphSearch
from runtime.search.lazy import LazySearch
from runtime.search.pruned import PrunedSearch

MAX_STREAMS = 4
"""Pictures that are embedded at the same time: each needs room for itself and for what the network computes."""


class PortableNetwork:
    """A network that can be sent: the bytes of its graph go along.

    Attributes:
        network: as it runs here.
    """

    _several: Embed | None = None

    def __init__(self, network: Network, model: Path) -> None:
        """Take a network and its file."""
        self.network = network
        self._model: Path | None = model

    def streams(self, threads: int) -> tuple[Embed, int]:
        """Return the graph for several pictures at a time, and for how many: faster than one by all threads.

        Features are the same bit for bit. Where the graph was sent to, it is one, on all threads; OpenVINO, which
        computes bf16, takes one at a time.
        """
        count = min(threads, MAX_STREAMS)
        if count == 1 or self._model is None or self.network.section.precision == BF16:
            return self.network.embed, 1
        if self._several is None:
            own = 1 + threads - count  # each caller is one, and they share the others
            self._several = Embed(self._model, own, stitch=self.network.stitch)
        return self._several.adjusted(self.network.adjust), count

    def started(self, start: Callable[[Path, Stitch | None], Embed]) -> Embed:
        """Return the graph as another provider computes it, adjusted; `start` takes its file, which is here."""
        assert self._model is not None  # noqa: S101 - it is here where it was made
        return start(self._model, self.network.stitch).adjusted(self.network.adjust)

    def __getstate__(self) -> dict[str, Any]:
        """Return the graph and everything beside it."""
        assert self._model is not None  # noqa: S101 - it is sent from where it was made
        fields = {name: getattr(self.network, name) for name in Network.__dataclass_fields__ if name != "embed"}
        return {"graph": self._model.read_bytes(), **fields}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Start the graph, with as many threads as OpenCV has: that is the limit of this process."""
        graph = state.pop("graph")
        self._model = None
        with tempfile.TemporaryDirectory(prefix="patchedge-graph-") as folder:
            model = Path(folder) / "model.onnx"
            model.write_bytes(graph)
            threads = cv2.getNumThreads()
            providers = made_with(state["section"].precision, threads)
            embed = Embed(model, threads, providers=providers, stitch=state["stitch"])
        self.network = Network(embed=embed.adjusted(state["adjust"]), **state)


class PortableBank:
    """A bank and its index.

    Attributes:
        bank: float32 [k, D].
        divisors: of its measure, float32 [k]; None: nothing is divided.
        neighbours: int32 [k, b].
        owner: number of the picture that each entry is from, int64 [k].
    """

    _scorer: tuple[Network, Scorer] | None = None

    def __init__(
        self,
        bank: NDArray[np.float32],
        divisors: NDArray[np.float32] | None,
        neighbours: NDArray[np.int32],
        owner: NDArray[np.int64],
        graph: GraphSearch,
        index: Path,
    ) -> None:
        """Take the parts of a bank, and the file of its index."""
        self.bank, self.divisors, self.neighbours, self.owner = bank, divisors, neighbours, owner
        self._graph = graph
        self._index = index
        self._lazy: dict[bool, LazySearch] = {}

    @cached_property
    def others(self) -> Others:
        """The bank, by pictures."""
        return Others(self.bank, self.owner, self.divisors)

    @cached_property
    def exact(self) -> CheckedSearch:
        """Finds the true nearest entry of every patch."""
        return CheckedSearch(self.bank, self.divisors, Threads(cv2.getNumThreads()))

    def lazy(self, *, divided: bool) -> LazySearch:
        """Return a search whose largest distance is exact, as scores measure it (`divided`) or Euclidean."""
        if divided not in self._lazy:
            exact = PrunedSearch(self.bank, divisors=self.divisors if divided else None)
            self._lazy[divided] = LazySearch(self._graph, self.bank, exact)
        return self._lazy[divided]

    def scorer(self, network: Network, scoring: Scoring, judged: NDArray[np.bool_] | None) -> Scorer:
        """Return the stages as a device runs them, with an empty history."""
        if self._scorer is None or self._scorer[0] is not network:
            stages = network.preprocess, network.embed, self._graph, self.bank, self.neighbours
            made = assemble(*stages, scoring, network.grid, search="lazy", judged=judged, divisors=self.divisors)
            self._scorer = network, made
        return self._scorer[1].another()

    def __getstate__(self) -> dict[str, Any]:
        """Return the arrays and the file of the index, which has the bank."""
        names = "divisors", "neighbours", "owner"
        return {
            "index": self._index.read_bytes(),
            "ef": self._graph.ef,
            "dimension": self.bank.shape[1],
            **{name: getattr(self, name) for name in names},
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Load the index."""
        index, ef, dimension = (state.pop(name) for name in ("index", "ef", "dimension"))
        self.__dict__.update(state, _lazy={})
        with tempfile.TemporaryDirectory(prefix="patchedge-index-") as folder:
            self._index = Path(folder) / "index.hnsw"
            self._index.write_bytes(index)
            self._graph = GraphSearch.load(self._index, dimension=dimension, ef=ef, threads=cv2.getNumThreads())
        self.bank = self._graph.entries(len(self.neighbours))
