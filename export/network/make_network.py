"""The graph to be served, in the wanted precision, with its preprocessing and its reference."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edge_config.bundle import files as bundles
from edge_config.bundle.manifest import Features, Preprocessing
from edge_config.errors import UsageError
from export.network.aggregate import Aggregation
from export.network.backbone import Backbone
from export.network.graph import Layout, Reference, bare_network, export_graph
from export.network.load_backbone import load_backbone
from export.network.quantise import PICTURES, quantise
from export.network.tiles import Cut, Patches, by_tile, choose, notes, some_tiles, takes_several
from export.options import Options
from export.pictures.images import Pictures, evenly
from export.progress import bar
from runtime.frame import Grid
from runtime.process.threads import limit_threads
from runtime.scoring.adjust import Adjust
from runtime.scoring.embed import Embed
from runtime.scoring.preprocess import Preprocess
from runtime.scoring.tiles import Stitch

Scaling = Literal["none", "channel"]


@dataclass(frozen=True, slots=True)
class Network:
    """A graph and its surroundings.

    Attributes:
        backbone, aggregation, layout: what it is made of.
        precision: of its convolutions.
        spec, preprocess: from a picture to its input.
        embed: the graph in ONNX Runtime, as the device runs it.
        reference: what it must equal: the network's own program and the definition; for int8 the same graph with every
            8-bit step computed in float32.
        program: name of what computes the reference.
        float_graph: the graph in float32, as bytes.
        scaling: kind of scale in `adjust`.
        position_means: share of the positions' means that is the offset in `adjust`, 0 to 1.
        adjust: what `embed` does after the graph.
        cut: the picture and its tiles; None where a picture is one input.
        stitch: how these go together.
        several: the graph takes several tiles at once.
    """

    backbone: Backbone
    aggregation: Aggregation
    layout: Layout
    precision: str
    spec: Preprocessing
    preprocess: Preprocess
    embed: Embed
    reference: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    program: str
    float_graph: bytes
    scaling: Scaling
    position_means: float
    adjust: Adjust
    cut: Cut | None = None
    stitch: Stitch | None = None
    several: bool = False

    @property
    def grid(self) -> Grid:
        """Where patches lie."""
        return Grid(self.cut.map_hw if self.cut else self.layout.map_hw, self.aggregation.stride)

    def fewer(self, pictures: int, least: int = 1) -> int:
        """Return how many pictures in tiles are as much work as `pictures` of one input each; at least `least`."""
        return pictures if self.stitch is None else max(least, pictures // self.stitch.tiles)

    def notes(self, options: Options, picture_hw: tuple[int, int]) -> list[str]:
        """Return what a user should know about the tiles of pictures of `picture_hw`."""
        if not options.tiled:
            return []
        start = time.perf_counter()
        self.embed(np.zeros(self.embed.input_shape, dtype=np.uint8))
        taken = time.perf_counter() - start
        return notes(options, picture_hw, self.spec, several=self.several, frame_s=taken)

    def adjusted(self, adjust: Adjust, scaling: Scaling = "none", position_means: float = 0.0) -> Network:
        """Return the same with features, and those of the reference, that are adjusted after the graph."""
        embed = self.embed.adjusted(adjust)
        return replace(self, embed=embed, adjust=adjust, scaling=scaling, position_means=position_means)

    def expected(self, tensor: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return what `embed` must give: the features of the reference, adjusted, float32 [patches, D]."""
        return self.adjust(np.array(self.reference(tensor), dtype=np.float32, order="C"))

    def features(self) -> Features:
        """Return the section of the manifest."""
        adaptive = self.aggregation.kind == "adaptive"
        return Features(
            backbone=self.backbone.name,
            weights=self.backbone.weights,
            weights_sha256=self.backbone.weights_sha256,
            layers=self.backbone.layers,
            aggregation=self.aggregation.kind,
            layer_dim=self.aggregation.layer_dim if adaptive else None,
            target_dim=self.aggregation.target_dim if adaptive else None,
            patch_size=self.aggregation.patch_size,
            stride=self.aggregation.stride,
            map_hw=self.grid.map_hw,
            grid_hw=self.grid.hw,
            dimension=self.layout.dimension,
            precision="int8" if self.precision == "int8" else "float32",
            scaling=self.scaling,
            centring=self.adjust.centring,
            position_means=self.position_means,
            prefix_tokens=self.backbone.prefix_tokens,
        )


def make_network(
    options: Options, pictures: Pictures, picture_hw: tuple[int, int], folder: Path, threads: int
) -> Network:
    """Load the backbone, choose tiles, and write both graphs into `folder`.

    Args:
        options: of the network.
        pictures: int8 takes its ranges from some of them.
        picture_hw: their usual height and width, pixels.
        folder: of the bundle.
        threads: of ONNX Runtime.
    """
    input_hw = (options.size, options.size)
    resize = options.resize or options.size
    with bar("make graph", 1, "graph") as moving:
        backbone = load_backbone(
            options.backbone,
            input_hw,
            layers=options.layers,
            weights=Path(options.weights) if options.weights else None,
            mean=options.mean,
            std=options.std,
            tokens_to_map=options.tokens_to_map,
        )
        limit_threads(threads)  # torch has brought pools of its own
        aggregation = Aggregation(
            kind=options.aggregation,
            patch_size=options.patch_size,
            stride=options.step,
            layer_dim=options.layer_dim,
            target_dim=options.target_dim,
        )
        by_definition = Reference(backbone, aggregation)
        layout = by_definition.layout(input_hw)
        cut = _cut(options, picture_hw, layout, input_hw)
        float_graph = export_graph(backbone, aggregation, layout, input_hw, tiles=cut is not None)
        several = cut is not None and takes_several(float_graph, input_hw)
        if cut and not several:
            float_graph = export_graph(backbone, aggregation, layout, input_hw)
        moving(1)
    spec = Preprocessing(
        resize="area",
        resize_hw=cut.hw if cut else (resize, resize),
        crop_hw=cut.hw if cut else input_hw,
        color_order="bgr",
        mean=backbone.mean,
        std=backbone.std,
        depth=pictures.depth,
        tiles=cut.tiles if cut else None,
    )
    preprocess = Preprocess(spec)
    path = folder / bundles.MODEL
    stitch = Stitch(cut.tiles, cut.hw, cut.map_hw, aggregation.stride) if cut else None
    reference: Callable[[NDArray[np.uint8]], NDArray[np.float32]] = by_definition
    if stitch:
        reference = by_tile(by_definition, stitch, layout.dimension)
    program = backbone.network.program
    if options.precision == "int8":
        some = pictures.some(evenly(len(pictures), PICTURES))
        path.write_bytes(quantise(float_graph, some_tiles(preprocess(image) for image in some)))
        reference = Embed(path, threads, optimise=False, stitch=stitch)
        program = f"onnxruntime {onnxruntime.__version__} int8, every step in float32"
    else:
        path.write_bytes(float_graph)
    (folder / bundles.NETWORK).write_bytes(bare_network(path.read_bytes()))
    embed = Embed(path, threads, stitch=stitch)
    return Network(
        backbone=backbone,
        aggregation=aggregation,
        layout=layout,
        precision=options.precision,
        spec=spec,
        preprocess=preprocess,
        embed=embed,
        reference=reference,
        program=program,
        float_graph=float_graph,
        scaling="none",
        position_means=0.0,
        adjust=Adjust(np.ones(embed.output_shape[1], dtype=np.float32)),
        cut=cut,
        stitch=stitch,
        several=several,
    )


def _cut(options: Options, picture_hw: tuple[int, int], layout: Layout, input_hw: tuple[int, int]) -> Cut | None:
    if not options.tiled:
        return None
    if options.resize is not None:
        raise UsageError("tiles are cut from the whole picture: --resize crops", remedy="leave out --resize")
    return choose(options.tiles, options.smallest_fault, picture_hw, Patches(input_hw, layout.map_hw, options.step))
