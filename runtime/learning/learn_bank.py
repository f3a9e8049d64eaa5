"""Learn the bank from the pictures, and once more without those that shall be left out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.learning.bank.bank import MemoryBank
from runtime.learning.bank.index import RECALL_PICTURES, recall_queries
from runtime.learning.bank.measure import channel_scale
from runtime.learning.bank.saturation import JUDGED
from runtime.learning.bank.stillness import stillness
from runtime.learning.network import Network
from runtime.learning.normals.exclude import Judged, learn_without_strange
from runtime.learning.options import LearnOptions
from runtime.learning.parts.features import SpreadFeatures
from runtime.learning.parts.make_bank import make_bank
from runtime.learning.parts.portable import PortableBank
from runtime.learning.parts.scores import SpreadOthers
from runtime.learning.pictures.images import Pictures, spread
from runtime.learning.vary.copies import Copies
from runtime.learning.vary.strengths import displaces

Memory = tuple[Network, MemoryBank, PortableBank]
"""The adjusted network, the bank, and what other processes need of it."""

Timed = Callable[[str], AbstractContextManager[None]]
"""Measures the time of a stage."""


def learn_bank(
    timed: Timed,
    pictures: Pictures,
    features: SpreadFeatures,
    copies: Copies,
    held: NDArray[np.bool_],
    network: Network,
    options: LearnOptions,
    folder: Path,
    threads: int,
) -> Judged[Memory]:
    """Learn the bank, judge every picture by it, and learn it once more without those that `--exclude` leaves out.

    Args:
        timed: measures the time of a stage.
        pictures: after the walk that `features` are from.
        features: of the pictures; they are adjusted afterwards.
        copies: altered copies of the pictures, in the table of features too.
        held: bool [pictures], True for held out.
        network: that the features are from, without offsets and scale.
        options: of the fit.
        folder: of the bundle.
        threads: of hnswlib.

    Returns:
        The adjusted network, the bank, and what others need of it; and what was found about the pictures.

    Raises:
        TooFewImages: no picture would be left to learn from, or to hold out.
    """
    learn = partial(_learn, timed, pictures, features, copies, held, network, options, folder, threads)
    k = options.k if options.score == "topk" else 1
    with timed("normals"):
        return learn_without_strange(
            learn, features, pictures.names(), held, asked=options.exclude, k=k, where=options.images
        )


def _learn(
    timed: Timed,
    pictures: Pictures,
    features: SpreadFeatures,
    copies: Copies,
    held: NDArray[np.bool_],
    network: Network,
    options: LearnOptions,
    folder: Path,
    threads: int,
    kept: NDArray[np.bool_],
) -> tuple[Memory, SpreadOthers]:
    """Adjust the features by the training pictures that are kept, and select the bank from them."""
    with timed("scale"):
        network = _adjust(features, np.flatnonzero(kept & ~held), network, options)
    with timed("memory"):
        split = kept & ~held, kept & held
        bank, portable = _make_bank(pictures, features, copies, *split, network, options, folder, threads)
    return (network, bank, portable), SpreadOthers(portable)


def _adjust(features: SpreadFeatures, learnt: NDArray[np.int64], network: Network, options: LearnOptions) -> Network:
    """Offset and scale the features, and those of the network from now on, by the training pictures."""
    features.restore()
    share, offset = _subtract(features, learnt, options)
    scale = np.ones(network.dimension, dtype=np.float32)
    if options.scaling == "channel":
        centre = features.take(np.array([learnt[0] * features.patches]))[0]
        scale = channel_scale(features.about(learnt), centre, len(learnt) * features.patches)
        features.multiply(scale)
    return network.adjusted(replace(network.adjust, offset=offset, scale=scale), options.scaling, share)


def _subtract(
    features: SpreadFeatures, learnt: NDArray[np.int64], options: LearnOptions
) -> tuple[float, NDArray[np.float32] | None]:
    """Subtract a share of the means of the positions; return it, and what was subtracted over the grid."""
    if options.position_means == 0 or (options.position_means == "auto" and displaces(options.may_vary)):
        return 0.0, None
    scene = stillness(features.about(learnt), features.judged_rows(int(learnt[0])), len(learnt))
    share = scene.share if options.position_means == "auto" else options.position_means
    if share == 0:
        return 0.0, None
    offset = (share * scene.means).astype(np.float32)
    features.subtract(offset)
    return share, features.over_grid(offset)


def _make_bank(
    pictures: Pictures,
    features: SpreadFeatures,
    copies: Copies,
    learnt: NDArray[np.bool_],
    held: NDArray[np.bool_],
    network: Network,
    options: LearnOptions,
    folder: Path,
    threads: int,
) -> tuple[MemoryBank, PortableBank]:
    """Select the bank from the training pictures and their copies."""
    images = pictures.again(spread(held, network.fewer(RECALL_PICTURES)))
    judged = None if features.judged is None else features.judged.reshape(network.grid.hw)
    queries = recall_queries(images, lambda image: network.embed(network.preprocess(image)), judged)
    train = np.flatnonzero(learnt)
    both = np.concatenate([train, copies.learnt[learnt[features.pictures[copies.learnt]]]])

    def some() -> list[NDArray[np.float32]]:
        places = spread(held, network.fewer(JUDGED, 4))
        return [features.judged_rows(int(copies.calibrated[place])) for place in places]

    originals = len(train) * features.patches
    return make_bank(features, network.adjust, queries, some, options, folder, threads, both, originals)
