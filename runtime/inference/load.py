"""Load a bundle from disk into the stages that score with it, checked on this very machine."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from edge_config.bundle import arrays
from edge_config.bundle import files as bundles
from edge_config.bundle.files import Bundle
from edge_config.bundle.hnsw import header
from edge_config.errors import BundleIndexInvalid, BundleParity, BundleShapeMismatch
from edge_config.installed import version
from edge_config.settings.sections import CPU, Provider, Trust
from runtime.frame import Grid, Image
from runtime.inference.assemble import SearchKind, assemble
from runtime.inference.batches.same_scores import in_batches
from runtime.inference.golden_check import GoldenCheck, check_golden, golden_frames
from runtime.inference.golden_frames import read_scene_reference
from runtime.inference.providers.resolve import ResolvedProviders, resolve
from runtime.inference.providers.shared import SharedSessions
from runtime.inference.providers.start import PassedOver, starting
from runtime.scene.thumbnail import Thumbnail
from runtime.scoring.adjust import Adjust
from runtime.scoring.embed import Embed
from runtime.scoring.preprocess import Preprocess
from runtime.scoring.regions import judged_patches
from runtime.scoring.scorer import Scorer
from runtime.scoring.tiles import Stitch
from runtime.search.build_index import build_index
from runtime.search.full import GraphSearch
from runtime.search.measure import Measure, read_measure
from runtime.security.trust import read

_COMPUTE = ("numpy", "onnxruntime", "opencv-python-headless", "hnswlib")
"""Packages that scores are computed with."""


def load(
    path: str | Path,
    threads: int = 0,
    search: SearchKind = "lazy",
    *,
    trust: Trust | None = None,
    providers: Sequence[Provider] | Literal["auto"] = (CPU,),
) -> tuple[Bundle, Scorer]:
    """Verify a bundle, load it, and score its golden frames.

    Args:
        path: the bundle directory.
        threads: threads of ONNX Runtime and hnswlib; 0 means all cores.
        search: how far patches are searched; a device does it lazily, the others are for comparisons.
        trust: which signatures are trusted; by default bundles are not checked.
        providers: of ONNX Runtime. The first that starts and is within the tolerance serves; `auto`: of those that
            were chosen for its network here.

    Raises:
        BundleError: a subclass for each thing that can be wrong with it.
        ProviderUnavailable: no provider starts.
    """
    trust = trust or Trust()
    bundle = read(path, trust)
    return bundle, prepare(bundle, threads, search, rebuild_index=trust.rebuild_index, providers=providers)[0]


def prepare(
    bundle: Bundle,
    threads: int,
    search: SearchKind = "lazy",
    *,
    rebuild_index: bool = False,
    providers: Sequence[Provider] | Literal["auto"] = (CPU,),
    sessions: SharedSessions | None = None,
    max_batch: int | None = None,
) -> tuple[Scorer, GoldenCheck]:
    """Load a bundle that was verified, as `load` does, with `sessions` that it may share; return the differences too.

    One run of its graph takes `max_batch` pictures at most; None: as many as were chosen with the provider, or one.
    """
    wanted = resolve(bundle, threads, providers)
    scorer, checked = _first_good(bundle, threads, search, wanted, sessions, rebuild_index=rebuild_index)
    if not checked.good:
        raise BundleParity(checked.differences, where=str(bundle.path), remedy=_remedy(bundle))
    chosen = wanted.batch if scorer.provider == wanted.providers[0].name else 1
    return in_batches(bundle, scorer, checked, max_batch or chosen), checked


def load_and_check(
    path: str | Path,
    threads: int = 0,
    *,
    trust: Trust | None = None,
    providers: Sequence[Provider] | Literal["auto"] = (CPU,),
) -> tuple[Bundle, Scorer, GoldenCheck]:
    """Load a bundle as `load` does, but return the differences on the golden frames and do not refuse it for them."""
    trust = trust or Trust()
    bundle = read(path, trust)
    wanted = resolve(bundle, threads, providers)
    return bundle, *_first_good(bundle, threads, "lazy", wanted, None, rebuild_index=trust.rebuild_index)


def on_each(
    bundle: Bundle,
    threads: int,
    providers: Sequence[Provider],
    passed: list[PassedOver],
    search: SearchKind = "lazy",
    sessions: SharedSessions | None = None,
    *,
    rebuild_index: bool = False,
) -> Iterator[tuple[Scorer, GoldenCheck]]:
    """Load a bundle that was verified on one provider after the other, while the caller asks for another.

    Args:
        bundle: it.
        threads: as of `load`.
        providers: of ONNX Runtime.
        passed: those that do not start, or fail at the golden frames, are added to it. Whether the differences are
            within the tolerance is left to the caller.
        search: as of `load`.
        sessions: that it may share with other bundles.
        rebuild_index: build the index from the bank.

    Raises:
        BundleError: a subclass for each thing that can be wrong with it.
        ProviderUnavailable: no provider starts.
    """
    start = (sessions or SharedSessions()).start(bundle.manifest.files[bundles.MODEL].sha256, _stitch(bundle))
    scorer: Scorer | None = None
    measure: Measure | None = None
    failed: Exception | None = None
    good = False
    for embed in starting(bundle.file(bundles.MODEL), threads, providers, passed, start=start):
        measure = measure or _measure(bundle)
        if scorer is None:
            scorer = _make_scorer(bundle, threads, search, embed, measure, rebuild_index=rebuild_index)
        adjust = Adjust(measure.scale, bundle.manifest.features.centring, scorer.judged, measure.offset)
        scorer = replace(scorer.another(), embed=embed.adjusted(adjust), provider=embed.provider)
        try:
            checked = check_golden(bundle, scorer, embed.reduced_precision)
        except BundleShapeMismatch:
            raise
        except Exception as error:  # noqa: BLE001 - a provider may start and fail at the first frame, with anything
            failed = error
            passed.append(PassedOver(embed.provider, error.what if isinstance(error, BundleParity) else str(error)))
            continue
        good = True
        yield scorer, checked
    if not good:
        assert failed is not None  # noqa: S101 - `starting` raises where nothing starts
        raise failed


def _first_good(
    bundle: Bundle,
    threads: int,
    search: SearchKind,
    wanted: ResolvedProviders,
    sessions: SharedSessions | None,
    *,
    rebuild_index: bool,
) -> tuple[Scorer, GoldenCheck]:
    """Return the first provider within the tolerance; if there is none, the last one that starts."""
    providers, _, passed = wanted
    for scorer, checked in on_each(bundle, threads, providers, passed, search, sessions, rebuild_index=rebuild_index):
        found = scorer, checked
        if checked.good:
            break
        passed.append(PassedOver(checked.provider, checked.differences))
    lines = tuple(str(one) for one in passed if one.provider != found[1].provider)
    return replace(found[0], passed_over=lines), replace(found[1], passed_over=lines)


def golden_images(bundle: Bundle, grid: Grid) -> list[Image]:
    """Return the golden frames of a bundle.

    Raises:
        BundleShapeMismatch: its file holds none.
    """
    return [one.frame for one in golden_frames(bundle, grid)]


def scene_reference(bundle: Bundle) -> Thumbnail:
    """Return the thumbnail that shows whether the camera was moved.

    Raises:
        BundleShapeMismatch: it is no thumbnail.
    """
    return read_scene_reference(bundle.file(bundles.GOLDEN))


def _make_scorer(
    bundle: Bundle, threads: int, search: SearchKind, embed: Embed, measure: Measure, *, rebuild_index: bool
) -> Scorer:
    manifest = bundle.manifest
    scene_reference(bundle)  # a bad one fails now, not when a camera is opened
    grid = Grid(manifest.features.map_hw, manifest.features.stride)
    bank, neighbours = _bank(bundle), _neighbours(bundle)
    if grid.hw != manifest.features.grid_hw:
        raise BundleShapeMismatch(
            f"grid {manifest.features.grid_hw} is not that of map and stride, {grid.hw}",
            where=str(bundle.file(bundles.MANIFEST)),
        )
    spec = manifest.preprocessing
    if any(crop > resize for crop, resize in zip(spec.crop_hw, spec.resize_hw, strict=True)):
        raise BundleShapeMismatch("crops more than it resizes to", where=str(bundle.file(bundles.MANIFEST)))
    input_shape = (len(spec.tiles.tops) * len(spec.tiles.lefts), *spec.tiles.tile_hw, 3) if spec.tiles else None
    wanted = input_shape or (1, *spec.crop_hw, 3), (grid.hw[0] * grid.hw[1], manifest.features.dimension)
    if (embed.input_shape, embed.output_shape) != wanted:
        raise BundleShapeMismatch(
            f"graph {embed.input_shape} -> {embed.output_shape}, the manifest says {wanted[0]} -> {wanted[1]}",
            where=str(bundle.file(bundles.MODEL)),
        )
    graph = _rebuilt(bundle, bank, threads) if rebuild_index else _graph(bundle, bank, threads)
    preprocess = Preprocess(spec)
    judged = judged_patches(manifest, preprocess, grid)
    if judged is not None and not judged.any():
        raise BundleShapeMismatch("regions without a patch", where=str(bundle.file(bundles.MANIFEST)))
    stages = preprocess, embed, graph, bank, neighbours
    return assemble(*stages, manifest.scoring, grid, search, judged, measure.divisors, threads)


def _stitch(bundle: Bundle) -> Stitch | None:
    """Return how the tiles of a picture go together; None if it is one input."""
    spec, features = bundle.manifest.preprocessing, bundle.manifest.features
    if spec.tiles is None:
        return None
    try:
        return Stitch(spec.tiles, spec.crop_hw, features.map_hw, features.stride)
    except ValueError as error:
        raise BundleShapeMismatch(str(error), where=str(bundle.file(bundles.MANIFEST))) from error


def _graph(bundle: Bundle, bank: NDArray[np.float32], threads: int) -> GraphSearch:
    """Load the index, which must be of this very bank."""
    index, path = bundle.manifest.index, bundle.file(bundles.INDEX)
    if not header.is_over(path, bank, m=index.M):
        raise BundleIndexInvalid("was built over another bank", where=str(path))
    return GraphSearch.load(path, dimension=bank.shape[1], ef=index.ef, threads=threads)


def _rebuilt(bundle: Bundle, bank: NDArray[np.float32], threads: int) -> GraphSearch:
    """Build the index that the manifest describes."""
    index = bundle.manifest.index
    built = build_index(bank, m=index.M, ef_construction=index.ef_construction, threads=threads)
    return GraphSearch(built, ef=index.ef, threads=threads)


def _bank(bundle: Bundle) -> NDArray[np.float32]:
    shape = bundle.manifest.coreset.size, bundle.manifest.features.dimension
    bank: NDArray[np.float32] = _array(bundle.file(bundles.BANK), "bank", shape, np.float32)
    if not np.isfinite((bank.min(), bank.max())).all():  # without a mask, which would take a quarter of its memory
        raise BundleShapeMismatch("contains values that are not finite", where=str(bundle.file(bundles.BANK)))
    return bank


def _neighbours(bundle: Bundle) -> NDArray[np.int32]:
    size, path = bundle.manifest.coreset.size, bundle.file(bundles.NEIGHBOURS)
    neighbours: NDArray[np.int32] = _array(path, "neighbours", (size, bundle.manifest.scoring.b), np.int32)
    if neighbours.min() < 0 or neighbours.max() >= size:
        raise BundleShapeMismatch("names entries that the bank does not have", where=str(path))
    return neighbours


def _measure(bundle: Bundle) -> Measure:
    features, coreset = bundle.manifest.features, bundle.manifest.coreset
    patches = math.prod(features.grid_hw) if features.position_means else None
    sizes, scales, divides = (coreset.size, features.dimension), features.scaling != "none", coreset.spacing != "none"
    return read_measure(bundle.file(bundles.MEASURE), *sizes, patches=patches, scales=scales, divides=divides)


def _array(path: Path, name: str, shape: tuple[int, ...], kind: DTypeLike) -> arrays.Array:
    array = arrays.read(path, name)[name]
    if array.shape != shape or array.dtype != kind:
        raise BundleShapeMismatch(
            f"{array.dtype} {array.shape}, the manifest says {np.dtype(kind)} {shape}", where=str(path)
        )
    return array


def _other_versions(made: Mapping[str, str]) -> str:
    """Return the packages whose version differs from the exporter's, in words; empty if there are none."""
    here = {name: version(name) or "another build" for name in _COMPUTE if name in made}
    return ", ".join(f"{name} {made[name]} (here {found})" for name, found in here.items() if found != made[name])


def _remedy(bundle: Bundle) -> str:
    """Return a remedy for differences: other versions of packages, if there are any."""
    others = _other_versions(bundle.manifest.versions)
    return (
        f"it was made with {others}: use these, or fit on this kind of machine"
        if others
        else "the packages are those it was made with: fit on this kind of machine, and report it"
    )
