"""The bundle that comes of a growth: its bank and what follows it, put together and sealed."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import hnswlib
import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_config.bundle import arrays
from edge_config.bundle import files as bundles
from edge_config.bundle import manifest as manifests
from edge_config.bundle.files import Bundle
from edge_config.bundle.lineage import Lineage
from edge_config.bundle.manifest import Calibration, Index, Manifest, Scene
from edge_config.bundle.staging import staging
from edge_config.errors import BundleIndexInvalid, BundleParity, ParityRefused
from runtime.frame import Image
from runtime.inference.assemble import assemble
from runtime.inference.golden_frames import Golden, score_golden, write_golden
from runtime.inference.load import load, scene_reference
from runtime.learning.bank.index import (
    WANTED_RECALL,
    choose_ef,
    neighbour_table,
    recall_at_1,
    recall_queries,
    save_index,
    search_truly,
)
from runtime.learning.gate.checked_search import CheckedSearch
from runtime.learning.grow.follow import grown_index, grown_table
from runtime.learning.grow.growth import Growing
from runtime.scoring.scorer import Scorer
from runtime.search.build_index import build_index
from runtime.search.full import GraphSearch
from runtime.search.measure import write_measure


@dataclass(frozen=True, slots=True, eq=False)
class ChildBundle:
    """A bank that grew, and what follows it.

    Attributes:
        bank: with its measure.
        neighbours: int32 [k, b].
        index: over the bank.
        section: of the manifest, about the index.
        scorer: scores as the sealed bundle will.
    """

    bank: Growing
    neighbours: NDArray[np.int32]
    index: hnswlib.Index
    section: Index
    scorer: Scorer


def follow(parent: Bundle, scorer: Scorer, bank: Growing, threads: int, old: NDArray[np.int32]) -> ChildBundle:
    """Let index and table of neighbours follow a bank that begins with that of the parent.

    Args:
        parent: the bundle.
        scorer: of the parent.
        bank: the grown bank.
        threads: of hnswlib.
        old: table of neighbours of the parent, int32 [n, b].
    """
    index = grown_index(parent.file(bundles.INDEX), bank.bank)
    return _child(parent.manifest, scorer, bank, grown_table(bank.bank, old), index, threads)


def from_scratch(parent: Bundle, scorer: Scorer, bank: Growing, threads: int) -> ChildBundle:
    """Make index and table of neighbours of a bank that some entries were dropped from."""
    section, b = parent.manifest.index, parent.manifest.scoring.b
    index = build_index(bank.bank, m=section.M, ef_construction=section.ef_construction, threads=1)
    return _child(parent.manifest, scorer, bank, neighbour_table(bank.bank, b), index, threads)


def _child(
    manifest: Manifest,
    scorer: Scorer,
    bank: Growing,
    neighbours: NDArray[np.int32],
    index: hnswlib.Index,
    threads: int,
) -> ChildBundle:
    graph = GraphSearch(index, ef=manifest.index.ef, threads=threads)
    stages = scorer.preprocess, scorer.embed, graph, bank.bank, neighbours
    made = assemble(*stages, manifest.scoring, scorer.grid, "lazy", scorer.judged, bank.measure.divisors)
    return ChildBundle(bank, neighbours, index, manifest.index, made)


def with_recall(child: ChildBundle, images: Iterable[Image], threads: int) -> Index:
    """Return the section about the index, its recall measured again: with the ef of the parent if that still does."""
    scorer, section = child.scorer, child.section
    judged = None if scorer.judged is None else scorer.judged.reshape(scorer.grid.hw)
    queries = recall_queries(images, lambda image: scorer.embed(scorer.preprocess(image)), judged)
    exact = search_truly(queries, CheckedSearch(child.bank.bank))
    graph = GraphSearch(child.index, ef=section.ef, threads=threads)
    recall = min(recall_at_1(graph(kind), true) for kind, true in zip(queries, exact, strict=True))
    if recall >= WANTED_RECALL:
        return msgspec.structs.replace(section, recall_at_1=recall)
    found = choose_ef(child.index, queries, exact, threads)
    return msgspec.structs.replace(section, ef=max(found.ef, section.ef), recall_at_1=max(found.recall_at_1, recall))


def seal(
    parent: Bundle,
    child: ChildBundle,
    golden: Sequence[Golden],
    calibration: Calibration,
    scene: Scene,
    lineage: Lineage,
    index: Index,
    out: Path,
    threads: int,
    *,
    force: bool,
) -> Bundle:
    """Write the bundle at `out` as a whole, and load it as a device does.

    Raises:
        ParityRefused: loaded again, the golden frames score otherwise than a moment ago.
        TargetExists: something is at `out`, and `force` is false or it is not a bundle.
        NotWritten: the disk does not take it; nothing is left behind.
    """
    with staging(out, force=force) as folder:
        for name in (bundles.MODEL, bundles.NETWORK):
            if name in parent.manifest.files:
                shutil.copyfile(parent.file(name), folder / name)
        arrays.write(folder / bundles.BANK, bank=child.bank.bank)
        arrays.write(folder / bundles.NEIGHBOURS, neighbours=child.neighbours)
        write_measure(folder / bundles.MEASURE, child.bank.measure)
        save_index(child.index, folder / bundles.INDEX)
        frames = [score_golden(one.frame, child.scorer) for one in golden]
        write_golden(folder / bundles.GOLDEN, frames, scene_reference(parent))
        manifest = msgspec.structs.replace(
            parent.manifest,
            files=bundles.file_table(folder),
            coreset=msgspec.structs.replace(parent.manifest.coreset, size=len(child.bank.bank)),
            index=index,
            calibration=calibration,
            scene=scene,
            lineage=lineage,
        )
        (folder / bundles.MANIFEST).write_bytes(manifests.encode(manifest))
        try:
            sealed, _ = load(folder, threads)
        except (BundleParity, BundleIndexInvalid) as error:
            remedy = "no bundle was made; the same machine gave other numbers a moment ago: report it"
            raise ParityRefused(error.what, remedy=remedy) from error
    return Bundle(out, sealed.manifest, sealed.id)
