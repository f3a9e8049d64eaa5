"""From a bundle on disk to the stages that score with it, checked on this very machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_config import bundle as bundles
from edge_config import hnsw_header
from edge_config.bundle import Bundle
from edge_config.errors import BundleIndexInvalid, BundleParity, BundleShapeMismatch
from edge_config.manifest import Scoring, Tolerance
from edge_config.sections import CPU, Provider, SearchKind, Trust
from runtime.arrays import read_archive, read_array
from runtime.embed import Embed
from runtime.frame import Grid, Image
from runtime.history import History
from runtime.index import build_index
from runtime.lazy import LazySearch
from runtime.preprocess import Preprocess
from runtime.providers import PassedOver, starting
from runtime.prune import PrunedSearch
from runtime.score import ScoreFrame
from runtime.scorer import Scorer
from runtime.search import Deciding, ExactSearch, GraphSearch
from runtime.thumbnail import SMALLEST_SIDE, Thumbnail
from runtime.trust import read

K = TypeVar("K", bound=np.generic)

HASTY_EF = 8
"""Candidate list of the graph where only bounds are wanted. Measured on three scenes: 7 patches in a frame go on
to the exact search where the ef of the manifest leaves 5, and the graph takes a quarter to two thirds of its time."""

_EVERY = 8
"""Of the patches of a golden frame that are searched: an index or a bank that is wrong is wrong everywhere."""

_SMALLEST = 0.01
"""Share of the largest golden score or distance: relative to less, rounding would look like a difference."""

_NOT_GOLDEN = (OSError, ValueError, KeyError, IndexError, TypeError)
"""What reading golden.npz can raise."""


@dataclass(frozen=True, slots=True)
class GoldenCheck:
    """How far this machine is from the exporter on the golden frames.

    Attributes:
        provider: of ONNX Runtime.
        frames: golden frames.
        scores: largest relative difference of a score.
        distances_mean: largest, over the frames, mean difference of patch distances, as a share of the largest one.
        tolerance: what the manifest allows this provider.
        passed_over: providers that would have been preferred, a line each that says why they do not serve.
    """

    provider: str
    frames: int
    scores: float
    distances_mean: float
    tolerance: Tolerance
    passed_over: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Within the tolerance; what cannot be compared (NaN) is not."""
        return self.scores <= self.tolerance.scores and self.distances_mean <= self.tolerance.distances_mean

    @property
    def differences(self) -> str:
        """Say how far it is, in words."""
        return (
            f"golden frames differ on this machine: scores by {self.scores:.1e} of {self.tolerance.scores:.0e} "
            f"allowed, patch distances by {self.distances_mean:.1e} of {self.tolerance.distances_mean:.0e}"
        )


def load(
    path: str | Path,
    threads: int = 0,
    search: SearchKind = "lazy",
    *,
    trust: Trust | None = None,
    providers: Sequence[Provider] = (CPU,),
) -> tuple[Bundle, Scorer]:
    """Verify a bundle, load it, and score its golden frames.

    Args:
        path: the bundle directory.
        threads: threads of ONNX Runtime and hnswlib; 0 means all cores.
        search: how far patches are searched.
        trust: whose bundles are served; by default everybody's.
        providers: of ONNX Runtime. The first that starts and is within the tolerance serves.

    Raises:
        BundleError: a subclass for each thing that can be wrong with it.
        ProviderUnavailable: no provider starts.
    """
    trust = trust or Trust()
    bundle = read(path, trust)
    return bundle, prepare(bundle, threads, search, rebuild_index=trust.rebuild_index, providers=providers)


def prepare(
    bundle: Bundle,
    threads: int,
    search: SearchKind,
    *,
    rebuild_index: bool = False,
    providers: Sequence[Provider] = (CPU,),
) -> Scorer:
    """Do what `load` does with a bundle that was read."""
    scorer, checked = _first_good(bundle, threads, search, providers, rebuild_index=rebuild_index)
    if not checked.good:
        raise BundleParity(
            checked.differences,
            where=str(bundle.path),
            remedy="use the package versions of the manifest, or export on this kind of machine",
        )
    return scorer


def load_and_check(
    path: str | Path,
    threads: int = 0,
    search: SearchKind = "lazy",
    *,
    trust: Trust | None = None,
    providers: Sequence[Provider] = (CPU,),
) -> tuple[Bundle, Scorer, GoldenCheck]:
    """Do what `load` does, but leave the judgement of the golden frames to the caller."""
    trust = trust or Trust()
    bundle = read(path, trust)
    return bundle, *_first_good(bundle, threads, search, providers, rebuild_index=trust.rebuild_index)


def _first_good(
    bundle: Bundle, threads: int, search: SearchKind, providers: Sequence[Provider], *, rebuild_index: bool
) -> tuple[Scorer, GoldenCheck]:
    """Take the first provider that computes what the exporter did; if none does, the last of those that start."""
    passed: list[PassedOver] = []
    found: tuple[Scorer, GoldenCheck] | None = None
    scorer: Scorer | None = None
    failed: Exception | None = None
    for embed in starting(bundle.file(bundles.MODEL), threads, providers, passed):
        if scorer is None:
            scorer = _make_scorer(bundle, threads, search, embed, rebuild_index=rebuild_index)
        scorer = replace(scorer.another(), embed=embed, provider=embed.provider)
        try:
            checked = _check_golden(bundle, scorer)
        except BundleShapeMismatch:
            raise
        except Exception as error:  # noqa: BLE001 - a provider may start and fail at the first frame, with anything
            failed = error
            passed.append(PassedOver(embed.provider, error.what if isinstance(error, BundleParity) else str(error)))
            continue
        found = scorer, checked
        if checked.good:
            break
        passed.append(PassedOver(embed.provider, checked.differences))
    if found is None:
        assert failed is not None  # noqa: S101 - `starting` raises where nothing starts
        raise failed
    lines = tuple(str(one) for one in passed if one.provider != found[1].provider)
    return replace(found[0], passed_over=lines), replace(found[1], passed_over=lines)


def golden_images(bundle: Bundle, grid: Grid) -> list[Image]:
    """Give the golden frames of a bundle.

    Raises:
        BundleShapeMismatch: its file holds none.
    """
    return [image for image, _, _ in _golden(bundle, grid.hw[0] * grid.hw[1])]


def scene_reference(bundle: Bundle) -> Thumbnail | None:
    """Give the thumbnail that the camera's place is told from; None in a bundle that was made before there was one.

    Raises:
        BundleShapeMismatch: it is no thumbnail.
    """
    path = bundle.file(bundles.GOLDEN)
    try:
        found: Thumbnail | None = read_archive(path, "scene_reference").get("scene_reference")
    except _NOT_GOLDEN as error:
        raise BundleShapeMismatch(f"not golden frames ({error})", where=str(path)) from error
    if found is not None and (found.dtype != np.uint8 or found.ndim != 2 or min(found.shape) < SMALLEST_SIDE):  # noqa: PLR2004 - rows, columns
        raise BundleShapeMismatch(f"scene_reference {found.dtype} {found.shape} is no thumbnail", where=str(path))
    return found


def _make_scorer(bundle: Bundle, threads: int, search: SearchKind, embed: Embed, *, rebuild_index: bool) -> Scorer:
    manifest = bundle.manifest
    scene_reference(bundle)  # a bad one is said now, not when a camera is opened
    size, dimension = manifest.coreset.size, manifest.features.dimension
    grid = Grid(manifest.features.map_hw, manifest.features.stride)
    bank = _array(bundle, bundles.BANK, (size, dimension), np.float32)
    neighbours = _array(bundle, bundles.NEIGHBOURS, (size, manifest.scoring.b), np.int32)
    if neighbours.min() < 0 or neighbours.max() >= size:
        raise BundleShapeMismatch("names entries that the bank does not have", where=bundles.NEIGHBOURS)
    if grid.hw != manifest.features.grid_hw:
        raise BundleShapeMismatch(
            f"grid {manifest.features.grid_hw} is not that of map and stride, {grid.hw}",
            where=str(bundle.file(bundles.MANIFEST)),
        )
    spec = manifest.preprocessing
    if any(crop > resize for crop, resize in zip(spec.crop_hw, spec.resize_hw, strict=True)):
        raise BundleShapeMismatch("crops more than it resizes to", where=str(bundle.file(bundles.MANIFEST)))
    wanted = (1, *spec.crop_hw, 3), (grid.hw[0] * grid.hw[1], dimension)
    if (embed.input_shape, embed.output_shape) != wanted:
        raise BundleShapeMismatch(
            f"graph {embed.input_shape} -> {embed.output_shape}, the manifest says {wanted[0]} -> {wanted[1]}",
            where=str(bundle.file(bundles.MODEL)),
        )
    graph = _rebuilt(bundle, bank, threads) if rebuild_index else _graph(bundle, bank, threads)
    return assemble(Preprocess(spec), embed, graph, bank, neighbours, manifest.scoring, grid, search)


def _graph(bundle: Bundle, bank: NDArray[np.float32], threads: int) -> GraphSearch:
    """Load the index, if it is over this very bank."""
    index, path = bundle.manifest.index, bundle.file(bundles.INDEX)
    if not hnsw_header.is_over(path, bank, m=index.M):
        raise BundleIndexInvalid("was built over another bank", where=str(path))
    return GraphSearch.load(path, dimension=bank.shape[1], ef=index.ef, threads=threads)


def _rebuilt(bundle: Bundle, bank: NDArray[np.float32], threads: int) -> GraphSearch:
    """Build the index that the manifest describes."""
    index = bundle.manifest.index
    built = build_index(bank, m=index.M, ef_construction=index.ef_construction, threads=threads)
    return GraphSearch(built, ef=index.ef, threads=threads)


def assemble(
    preprocess: Preprocess,
    embed: Embed,
    graph: GraphSearch,
    bank: NDArray[np.float32],
    neighbours: NDArray[np.int32],
    scoring: Scoring,
    grid: Grid,
    search: SearchKind,
) -> Scorer:
    """Put the stages together as a device runs them."""
    decisive = scoring.k if scoring.mode == "topk" else 1
    pruned = PrunedSearch(bank)
    whole = LazySearch(graph, bank, pruned, decisive)
    hasty = graph.with_ef(HASTY_EF)
    kinds: dict[SearchKind, Callable[[], Deciding]] = {
        "lazy": lambda: LazySearch(hasty, bank, pruned, decisive, History(grid.hw), neighbours),
        "graph": lambda: whole,
        "exact": lambda: ExactSearch(bank),
    }
    return Scorer(
        preprocess=preprocess,
        embed=embed,
        search=kinds[search](),
        new_search=kinds[search],
        whole=whole,
        score=ScoreFrame(bank, neighbours, scoring.mode, scoring.k),
        grid=grid,
    )


def _array(bundle: Bundle, name: str, shape: tuple[int, ...], kind: type[K]) -> NDArray[K]:
    try:
        array: NDArray[K] = read_array(bundle.file(name))
    except ValueError as error:
        raise BundleShapeMismatch(f"not an array ({error})", where=str(bundle.file(name))) from error
    if array.shape != shape or array.dtype != kind:
        raise BundleShapeMismatch(
            f"{array.dtype} {array.shape}, the manifest says {np.dtype(kind)} {shape}", where=str(bundle.file(name))
        )
    return array


def _check_golden(bundle: Bundle, scorer: Scorer) -> GoldenCheck:
    """Score the golden frames as the exporter did, and compare."""
    tolerances, provider = bundle.manifest.parity.tolerances, scorer.provider
    if provider not in tolerances:
        raise BundleParity(
            f"its manifest has no tolerance for {provider}",
            where=str(bundle.path),
            remedy=f"it has {', '.join(tolerances) or 'none'}",
        )
    scores, distances = [], []
    golden = _golden(bundle, scorer.grid.hw[0] * scorer.grid.hw[1])
    least_score = _SMALLEST * max(abs(score) for _, score, _ in golden) or 1.0
    least_distance = _SMALLEST * max(float(patches.max()) for _, _, patches in golden) or 1.0
    for frame, score, patches in golden:
        features = scorer.embed(scorer.preprocess(frame))
        scores.append(abs(scorer.judge(features).value - score) / max(abs(score), least_score))
        largest = max(float(patches.max()), least_distance)
        some = scorer.whole(features[::_EVERY]).distance
        distances.append(float(np.abs(some - patches[::_EVERY]).mean()) / largest)
    # np.max and not max: a NaN must not get lost
    return GoldenCheck(provider, len(golden), float(np.max(scores)), float(np.max(distances)), tolerances[provider])


def _golden(bundle: Bundle, patches: int) -> list[tuple[Image, float, NDArray[np.float32]]]:
    """Read the golden frames, their scores and their patch distances."""
    path = bundle.file(bundles.GOLDEN)
    try:
        golden = read_archive(path)
        distances = golden["distances"]
        found = [
            (golden[f"frame_{number}"], float(score), distances[number])
            for number, score in enumerate(golden["scores"])
        ]
    except _NOT_GOLDEN as error:
        raise BundleShapeMismatch(f"not golden frames ({error})", where=str(path)) from error
    if not found or any(frame.dtype != np.uint8 or frame.shape[2:] != (3,) for frame, _, _ in found):
        raise BundleShapeMismatch("not golden frames, uint8 [H, W, 3]", where=str(path))
    if distances.shape != (len(found), patches) or distances.dtype != np.float32:
        raise BundleShapeMismatch(f"distances {distances.shape}, not {(len(found), patches)}", where=str(path))
    return found
