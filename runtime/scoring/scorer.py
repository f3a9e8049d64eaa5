"""The stages from a picture to its score, put together: the same on the device and at export."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge_config.settings.sections import CPU
from runtime.frame import Grid, Image, Neighbours, Score
from runtime.scoring.embed import Embed
from runtime.scoring.preprocess import Preprocess
from runtime.scoring.score import patch_map
from runtime.search.full import Deciding


@dataclass(frozen=True, slots=True)
class Scorer:
    """The stages from a picture to its score: the same four, in the same order, on the device and at export.

    `search` searches patches as far as the score needs; `whole` searches every patch and has no memory, for evaluated
    maps and comparisons. `new_search` makes another `search` with an empty memory. `provider` of ONNX Runtime computes
    `embed`; `passed_over` lists preferred ones that do not, a line each. `judged`, bool [patches], are the patches in
    the regions of the bundle, which both searches keep to by default; None: all. `least_divisor` is that of the
    measure: a feature that is off by x puts its distances off by x / least_divisor at most.
    """

    preprocess: Preprocess
    embed: Callable[..., NDArray[np.float32]]
    search: Deciding
    whole: Deciding
    score: Callable[[NDArray[np.float32], Neighbours], Score]
    grid: Grid
    new_search: Callable[[], Deciding]
    provider: str = CPU.name
    passed_over: tuple[str, ...] = ()
    judged: NDArray[np.bool_] | None = None
    least_divisor: float = 1.0

    @property
    def goes_with(self) -> tuple[object, int]:
        """What frames share that one run of the graph may take together, and how many of them; None: they go alone."""
        return (self.embed.session, self.embed.batch) if isinstance(self.embed, Embed) else (None, 1)

    def another(self) -> Scorer:
        """Return the same stages, on the same parts, for another camera."""
        return replace(self, search=self.new_search())

    def __call__(self, image: Image) -> Score:
        """Score a picture uint8 [H, W, 3] BGR."""
        return self.judge(self.embed(self.preprocess(image)))

    def judge(self, features: NDArray[np.float32]) -> Score:
        """Score the patch features of a picture, float32 [patches, D]."""
        return self.score(features, self.search(features))

    def alert_map(self, features: NDArray[np.float32], score: Score, threshold: float) -> NDArray[np.float32]:
        """Return the anomaly map of an alert, a value per patch: below the threshold it is only an upper bound.

        Args:
            features: patch features of the frame, float32 [patches, D].
            score: its score, whose distances are refined as far as needed.
            threshold: threshold on patch distances.

        Returns:
            float32 [rows, columns], in cells of equal size over the input of the graph.
        """
        self.search.refine(features, score.found, threshold)
        return patch_map(score.distances, self.grid)
