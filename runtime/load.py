"""From a bundle on disk to the stages that score with it, checked on this very machine."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_config import bundle as bundles
from edge_config.bundle import Bundle
from edge_config.errors import BundleParity, BundleShapeMismatch
from runtime.embed import Embed
from runtime.frame import Image
from runtime.pipeline import Scorer
from runtime.preprocess import Preprocess
from runtime.score import ScoreFrame
from runtime.search import ExactSearch, GraphSearch, TopExactSearch

K = TypeVar("K", bound=np.generic)

_SMALLEST_SCORE = 1e-6  # of a frame that lies on the bank; relative to less, rounding would look like a difference


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
    spec = manifest.preprocessing
    if any(crop > resize for crop, resize in zip(spec.crop_hw, spec.resize_hw, strict=True)):
        raise BundleShapeMismatch("crops more than it resizes to", where=str(bundle.file(bundles.MANIFEST)))
    embed = Embed(bundle.file(bundles.MODEL), threads)
    wanted = (1, *spec.crop_hw, 3), (grid_hw[0] * grid_hw[1], dimension)
    if (embed.input_shape, embed.output_shape) != wanted:
        raise BundleShapeMismatch(
            f"graph {embed.input_shape} -> {embed.output_shape}, the manifest says {wanted[0]} -> {wanted[1]}",
            where=str(bundle.file(bundles.MODEL)),
        )
    graph = GraphSearch.load(bundle.file(bundles.INDEX), dimension=dimension, ef=manifest.index.ef, threads=threads)
    return Scorer(
        preprocess=Preprocess(spec),
        embed=embed,
        search=TopExactSearch(graph, ExactSearch(bank)),
        score=ScoreFrame(bank, neighbours, manifest.scoring.mode),
        grid_hw=grid_hw,
    )


def _array(bundle: Bundle, name: str, shape: tuple[int, ...], kind: type[K]) -> NDArray[K]:
    with bundle.file(name).open("rb") as stream:
        try:
            array: NDArray[K] = np.lib.format.read_array(stream, allow_pickle=False)
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
    for number, (frame, expected) in enumerate(_golden(bundle)):
        here = scorer(frame).value
        if not abs(here - expected) <= tolerance * max(abs(expected), _SMALLEST_SCORE):
            raise BundleParity(
                f"golden frame {number} scores {here:.6g} here and {expected:.6g} at export",
                where=str(bundle.path),
                remedy="use the package versions of the manifest, or export on this kind of machine",
            )


def _golden(bundle: Bundle) -> list[tuple[Image, float]]:
    """Read the golden frames and their scores."""
    path = bundle.file(bundles.GOLDEN)
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as golden:
            pairs = [(golden[f"frame_{number}"], float(score)) for number, score in enumerate(golden["scores"])]
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise BundleShapeMismatch(f"not golden frames ({error})", where=str(path)) from error
    if not pairs or any(frame.dtype != np.uint8 or frame.shape[2:] != (3,) for frame, _ in pairs):
        raise BundleShapeMismatch("not golden frames, uint8 [H, W, 3]", where=str(path))
    return pairs
