"""From a bundle on disk to the stages that score with it, checked on this very machine."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_config import bundle as bundles
from edge_config.bundle import Bundle
from edge_config.errors import BundleParity, BundleShapeMismatch
from runtime.embed import Embed
from runtime.pipeline import Scorer
from runtime.preprocess import Preprocess
from runtime.score import ScoreFrame
from runtime.search import ExactSearch, GraphSearch, TopExactSearch

K = TypeVar("K", bound=np.generic)


def load(path: str | Path, threads: int = 0) -> tuple[Bundle, Scorer]:
    """Verify a bundle, load it, and score its golden frames.

    Args:
        path: the bundle directory.
        threads: threads of ONNX Runtime and hnswlib; 0 means all cores.

    Raises:
        BundleError: a subclass for each thing that can be wrong with it.
    """
    bundle = bundles.read(path)
    scorer = _make_scorer(bundle, threads)
    _check_golden(bundle, scorer)
    return bundle, scorer


def _make_scorer(bundle: Bundle, threads: int) -> Scorer:
    manifest = bundle.manifest
    size, dimension = manifest.coreset.size, manifest.features.dimension
    grid_hw = manifest.features.grid_hw
    bank = _array(bundle, bundles.BANK, (size, dimension), np.float32)
    neighbours = _array(bundle, bundles.NEIGHBOURS, (size, manifest.scoring.b), np.int32)
    if neighbours.min() < 0 or neighbours.max() >= size:
        raise BundleShapeMismatch("names entries that the bank does not have", where=bundles.NEIGHBOURS)
    embed = Embed(bundle.file(bundles.MODEL), threads)
    wanted = (1, *manifest.preprocessing.crop_hw, 3), (grid_hw[0] * grid_hw[1], dimension)
    if (embed.input_shape, embed.output_shape) != wanted:
        raise BundleShapeMismatch(
            f"graph {embed.input_shape} -> {embed.output_shape}, the manifest says {wanted[0]} -> {wanted[1]}",
            where=str(bundle.file(bundles.MODEL)),
        )
    graph = GraphSearch.load(bundle.file(bundles.INDEX), dimension=dimension, ef=manifest.index.ef, threads=threads)
    return Scorer(
        preprocess=Preprocess(manifest.preprocessing),
        embed=embed,
        search=TopExactSearch(graph, ExactSearch(bank)),
        score=ScoreFrame(bank, neighbours, manifest.scoring.mode),
        grid_hw=grid_hw,
    )


def _array(bundle: Bundle, name: str, shape: tuple[int, ...], kind: type[K]) -> NDArray[K]:
    try:
        array: NDArray[K] = np.load(bundle.file(name), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise BundleShapeMismatch(f"not an array ({error})", where=str(bundle.file(name))) from error
    if array.shape != shape or array.dtype != kind:
        raise BundleShapeMismatch(
            f"{array.dtype} {array.shape}, the manifest says {np.dtype(kind)} {shape}", where=str(bundle.file(name))
        )
    return array


def _check_golden(bundle: Bundle, scorer: Scorer) -> None:
    """Score the golden frames as the exporter did, and compare."""
    tolerance = bundle.manifest.parity.golden_relative
    with np.load(bundle.file(bundles.GOLDEN), allow_pickle=False) as golden:
        scores = golden["scores"]
        for number, expected in enumerate(scores):
            here = scorer(golden[f"frame_{number}"]).value
            if not abs(here - expected) <= tolerance * max(abs(expected), 1e-6):
                raise BundleParity(
                    f"golden frame {number} scores {here:.6g} here and {expected:.6g} at export",
                    where=str(bundle.path),
                    remedy="use the package versions of the manifest, or export on this kind of machine",
                )
