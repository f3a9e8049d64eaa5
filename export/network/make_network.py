"""The graph to be served, in the wanted precision, with its preprocessing and its reference."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from edge_config.bundle import files as bundles
from edge_config.bundle.manifest import FULL_DEPTH, Features, Int8Plan, Preprocessing
from edge_config.errors import UsageError
from export.network.aggregate import Aggregation
from export.network.backbone import Backbone
from export.network.graph import Layout, Reference, bare_network, export_graph
from export.network.int8.mixed_plan import notes as notes_of_plan
from export.network.int8.mixed_plan import quantise
from export.network.int8.quantise import PICTURES
from export.network.load_backbone import load_backbone
from export.network.tiles import Cut, Patches, by_tile, choose, notes, some_tiles, takes_several
from export.options import Options
from runtime.frame import Grid
from runtime.inference.providers.bf16 import made_with
from runtime.learning.gate.parity import TOLERANCES
from runtime.learning.network import Network
from runtime.learning.pictures.images import Pictures, evenly
from runtime.learning.progress import bar
from runtime.process.threads import limit_threads
from runtime.scoring.adjust import Adjust
from runtime.scoring.embed import Embed
from runtime.scoring.preprocess import Preprocess
from runtime.scoring.tiles import Stitch

_NETWORK = ("backbone", "weights", "layers", "tokens_to_map", "mean", "std", "size")
_AGGREGATION = ("aggregation", "patch_size", "layer_dim", "target_dim")
_KEPT = 2  # networks: each holds its weights


@dataclass(frozen=True, slots=True)
class MadeNetwork:
    """A graph that the workshop made, and what it was made of.

    Attributes:
        served: the graph, as the device runs it.
        backbone, aggregation, layout: what it is made of.
        precision: of its convolutions.
        reference: what it must equal: the network's own program and the definition; for int8 the same graph with every
            8-bit step computed in float32.
        program: name of what computes the reference.
        float_graph: the graph in float32, as bytes.
        several: the graph takes several tiles, or pictures, at once.
    """

    served: Network
    backbone: Backbone
    aggregation: Aggregation
    layout: Layout
    precision: str
    reference: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    program: str
    float_graph: bytes
    several: bool = False

    def notes(self, options: Options, picture_hw: tuple[int, int]) -> list[str]:
        """Return what a user should know about int8, and about the tiles of pictures of `picture_hw`."""
        plan = self.served.section.int8_plan
        of_int8 = [] if isinstance(plan, UnsetType) else notes_of_plan(plan)
        if not options.tiled:
            return of_int8
        embed = self.served.embed
        start = time.perf_counter()
        embed(np.zeros(embed.input_shape, dtype=np.uint8))
        taken = time.perf_counter() - start
        return of_int8 + notes(options, picture_hw, self.served.spec, several=self.several, frame_s=taken)

    def expected(self, tensor: NDArray[np.uint8], adjust: Adjust) -> NDArray[np.float32]:
        """Return what the graph must give: the features of the reference, adjusted, float32 [patches, D]."""
        return adjust(np.array(self.reference(tensor), dtype=np.float32, order="C"))


def make_network(
    options: Options, pictures: Pictures | None, picture_hw: tuple[int, int], folder: Path, threads: int
) -> MadeNetwork:
    """Load the backbone, choose tiles, and write both graphs into `folder`.

    Args:
        options: of the network.
        pictures: their depth is recorded, and int8 takes its ranges from some of them; None for a network file.
        picture_hw: their usual height and width, pixels.
        folder: of the bundle.
        threads: of ONNX Runtime.
    """
    input_hw = (options.size, options.size)
    resize = options.resize or options.size
    with bar("make graph", 1, "graph") as moving:
        asked = _AskedNetwork.of(options)
        backbone, aggregation, by_definition, layout = _loaded(asked)
        limit_threads(threads)  # torch has brought pools of its own
        cut = _cut(options, picture_hw, layout, input_hw)
        float_graph = _exported(asked, tiles=True)  # of pictures too: some providers gain by several cameras at once
        several = takes_several(float_graph, input_hw)
        if not several:
            float_graph = _exported(asked, tiles=False)
        moving(1)
    spec = Preprocessing(
        resize="area",
        resize_hw=cut.hw if cut else (resize, resize),
        crop_hw=cut.hw if cut else input_hw,
        color_order="bgr",
        mean=backbone.mean,
        std=backbone.std,
        depth=pictures.depth if pictures else FULL_DEPTH,
        tiles=cut.tiles if cut else None,
    )
    path = folder / bundles.MODEL
    stitch = Stitch(cut.tiles, cut.hw, cut.map_hw, aggregation.stride) if cut else None
    reference: Callable[[NDArray[np.uint8]], NDArray[np.float32]] = by_definition
    if stitch:
        reference = by_tile(by_definition, stitch, layout.dimension)
    program = backbone.network.program
    plan: Int8Plan | UnsetType = UNSET
    if options.precision == "int8" and pictures:
        some = pictures.some(evenly(len(pictures), PICTURES))
        inputs = list(some_tiles(Preprocess(spec)(image) for image in some))
        with bar("quantise", 1, "graph") as moving:
            graph, plan = quantise(float_graph, inputs, threads)
            moving(1)
        path.write_bytes(graph)
        reference = Embed(path, threads, optimise=False, stitch=stitch)
        program = f"onnxruntime {onnxruntime.__version__} int8, every step in float32"
    else:
        path.write_bytes(float_graph)
    (folder / bundles.NETWORK).write_bytes(bare_network(path.read_bytes()))
    section = _section(backbone, aggregation, layout, cut.map_hw if cut else layout.map_hw, options)
    section = msgspec.structs.replace(section, int8_plan=plan)
    embed = Embed(path, threads, providers=made_with(options.precision, threads), stitch=stitch)
    return MadeNetwork(
        served=Network.of(spec, embed, section, TOLERANCES[options.precision], stitch),
        backbone=backbone,
        aggregation=aggregation,
        layout=layout,
        precision=options.precision,
        reference=reference,
        program=program,
        float_graph=float_graph,
        several=several,
    )


@dataclass(frozen=True, slots=True)
class _AskedNetwork:
    """What decides about the graph in float32; cameras of a plan with the same share it.

    Attributes:
        options: values of the options.
        files: time and size of the files that it is loaded from.
    """

    options: tuple[tuple[str, Any], ...]
    files: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, options: Options) -> _AskedNetwork:
        """Take the options of the network."""
        files = (Path(path) for path in (options.backbone, options.weights) if path and os.path.exists(path))
        values = tuple((name, getattr(options, name)) for name in (*_NETWORK, *_AGGREGATION))
        return cls(
            (*values, ("stride", options.step)), tuple((one.stat().st_mtime_ns, one.stat().st_size) for one in files)
        )


@lru_cache(maxsize=_KEPT)
def _loaded(asked: _AskedNetwork) -> tuple[Backbone, Aggregation, Reference, Layout]:
    given = dict(asked.options)
    input_hw = (given["size"], given["size"])
    backbone = load_backbone(
        given["backbone"],
        input_hw,
        layers=given["layers"],
        weights=Path(given["weights"]) if given["weights"] else None,
        mean=given["mean"],
        std=given["std"],
        tokens_to_map=given["tokens_to_map"],
    )
    aggregation = Aggregation(
        kind=given["aggregation"],
        patch_size=given["patch_size"],
        stride=given["stride"],
        layer_dim=given["layer_dim"],
        target_dim=given["target_dim"],
    )
    by_definition = Reference(backbone, aggregation)
    return backbone, aggregation, by_definition, by_definition.layout(input_hw)


@lru_cache(maxsize=_KEPT)
def _exported(asked: _AskedNetwork, *, tiles: bool) -> bytes:
    backbone, aggregation, _, layout = _loaded(asked)
    size = dict(asked.options)["size"]
    return export_graph(backbone, aggregation, layout, (size, size), tiles=tiles)


def _section(
    backbone: Backbone, aggregation: Aggregation, layout: Layout, map_hw: tuple[int, int], options: Options
) -> Features:
    """Return the section of the manifest, without adjustments."""
    adaptive = aggregation.kind == "adaptive"
    return Features(
        backbone=backbone.name,
        weights=backbone.weights,
        weights_sha256=backbone.weights_sha256,
        layers=backbone.layers,
        aggregation=aggregation.kind,
        layer_dim=aggregation.layer_dim if adaptive else None,
        target_dim=aggregation.target_dim if adaptive else None,
        patch_size=aggregation.patch_size,
        stride=aggregation.stride,
        map_hw=map_hw,
        grid_hw=Grid(map_hw, aggregation.stride).hw,
        dimension=layout.dimension,
        precision=options.precision,
        scaling="none",
        centring=0.0,
        position_means=0.0,
        prefix_tokens=backbone.prefix_tokens,
    )


def _cut(options: Options, picture_hw: tuple[int, int], layout: Layout, input_hw: tuple[int, int]) -> Cut | None:
    if not options.tiled:
        return None
    if options.resize is not None:
        raise UsageError("tiles are cut from the whole picture: --resize crops", remedy="leave out --resize")
    return choose(options.tiles, options.smallest_fault, picture_hw, Patches(input_hw, layout.map_hw, options.step))
