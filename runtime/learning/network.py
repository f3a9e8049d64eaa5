"""The network that is learnt with: a graph in ONNX Runtime, what pictures become before it, and features after it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import msgspec
import numpy as np

from edge_config.bundle.manifest import Features, Preprocessing
from edge_config.bundle.parity_result import Tolerance
from runtime.frame import Grid
from runtime.scoring.adjust import Adjust
from runtime.scoring.embed import Embed
from runtime.scoring.preprocess import Preprocess
from runtime.scoring.tiles import Stitch

Scaling = Literal["none", "channel"]


@dataclass(frozen=True, slots=True)
class Network:
    """A graph, as the device runs it.

    Attributes:
        spec, preprocess: from a picture to its input.
        embed: the graph in ONNX Runtime, adjusted.
        section: of the manifest, without adjustments.
        tolerances: of a device on the golden frames, by provider of ONNX Runtime.
        adjust: what `embed` does after the graph.
        scaling: kind of scale in `adjust`.
        position_means: share of the positions' means that is the offset in `adjust`, 0 to 1.
        stitch: how tiles of a picture go together; None where a picture is one input.
    """

    spec: Preprocessing
    preprocess: Preprocess
    embed: Embed
    section: Features
    tolerances: dict[str, Tolerance]
    adjust: Adjust
    scaling: Scaling = "none"
    position_means: float = 0.0
    stitch: Stitch | None = None

    @classmethod
    def of(
        cls,
        spec: Preprocessing,
        embed: Embed,
        section: Features,
        tolerances: dict[str, Tolerance],
        stitch: Stitch | None = None,
    ) -> Network:
        """Return a network whose features are those of the graph."""
        plain = Adjust(np.ones(embed.output_shape[1], dtype=np.float32))
        return cls(spec, Preprocess(spec), embed, section, tolerances, plain, stitch=stitch)

    @property
    def grid(self) -> Grid:
        """Where patches lie."""
        return Grid(self.section.map_hw, self.section.stride)

    @property
    def dimension(self) -> int:
        """Length D of a feature."""
        return self.section.dimension

    @property
    def tiled_hw(self) -> tuple[int, int] | None:
        """Height and width of the picture that tiles are cut from; None where a picture is one input."""
        return self.spec.crop_hw if self.spec.tiles else None

    def fewer(self, pictures: int, least: int = 1) -> int:
        """Return how many pictures in tiles are as much work as `pictures` of one input each; at least `least`."""
        return pictures if self.stitch is None else max(least, pictures // self.stitch.tiles)

    def adjusted(self, adjust: Adjust, scaling: Scaling = "none", position_means: float = 0.0) -> Network:
        """Return the same with features that are adjusted after the graph."""
        embed = self.embed.adjusted(adjust)
        return replace(self, embed=embed, adjust=adjust, scaling=scaling, position_means=position_means)

    def features(self) -> Features:
        """Return the section of the manifest."""
        return msgspec.structs.replace(
            self.section, scaling=self.scaling, centring=self.adjust.centring, position_means=self.position_means
        )
