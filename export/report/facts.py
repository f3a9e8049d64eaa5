"""Facts about a fit: `patchedge-export fit --json` prints them, and the page shows them."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from edge_config.bundle.parity_result import GraphParity
from export.gate.precision_cost import Cost
from export.gate.tolerance_cost import ToleranceCost
from export.intervals import Share
from runtime.learning.report import LearnReport


class Histogram(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of pictures by score.

    Attributes:
        edges: edges of the bins, ascending: one more than these. A score on an edge is in the bin above, the largest
            in the last.
        held_out: numbers of held-out pictures.
        learnt: numbers of pictures that were learnt from, each scored against the bank of the others (leave one out);
            empty if they were not scored.
    """

    edges: list[float]
    held_out: list[int]
    learnt: list[int]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Synthetic faults of one kind, size and contrast above the bundle's threshold.

    Attributes:
        kind: `spot` is a disc and `scratch` a line of another brightness, `stain` a disc of another colour.
        size: diameter or length, pixels of the camera.
        width: width of a scratch, pixels of the camera; that of others is their size.
        contrast: grey levels of 255 between the fault and its surroundings.
        share: how many are found.
    """

    kind: str
    size: int
    width: int
    contrast: int
    share: Share


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """Detection of synthetic faults. They are no test set: real faults look different.

    Attributes:
        frames: number of faults.
        pictures: number of held-out pictures that they were drawn on.
        sizes: sizes that were tried, pixels of the camera.
        contrasts: contrasts that were tried, grey levels.
        found: by kind, size and contrast.
        smallest: the smallest faults that are likely found, by kind, at the strongest contrast: of that size and of
            each larger one at least `LIKELY` of the faults are found. A kind of which no size is has no entry.
    """

    frames: int
    pictures: int
    sizes: list[int]
    contrasts: list[int]
    found: list[Found]
    smallest: list[Found]


class Patch(msgspec.Struct, frozen=True, kw_only=True):
    """What one patch sees.

    Attributes:
        picture_hw: height and width of the most frequent size of the pictures, pixels.
        cell_hw: height and width of the pixels of the camera that one patch stands for.
    """

    picture_hw: tuple[int, int]
    cell_hw: tuple[float, float]


class LabelledSet(msgspec.Struct, frozen=True, kw_only=True):
    """The pictures of `--test-set`.

    Attributes:
        normal, anomalous: number of pictures.
        image_auroc: of their scores; null unless there are both.
    """

    normal: int
    anomalous: int
    image_auroc: float | None


class TradeOff(msgspec.Struct, frozen=True, kw_only=True):
    """What one false-alarm rate would mean.

    Attributes:
        alpha: wanted false-alarm rate.
        threshold: the threshold for it.
        promised_alpha, upper_alpha: what it promises: on average over calibrations, and with 95 % confidence.
        pictures_needed: number of held-out pictures that can promise alpha.
        by_size: shares of the synthetic faults that are found, by size as in `Faults.sizes`, over kinds and contrasts.
        by_contrast: the same by contrast, over kinds and sizes.
        detected: anomalous pictures of the test set above the threshold; null without a test set.
        false_alarms: normal pictures of the test set above the threshold; null without a test set.
    """

    alpha: float
    threshold: float
    promised_alpha: float
    upper_alpha: float
    pictures_needed: int
    by_size: list[float]
    by_contrast: list[float]
    detected: Share | None
    false_alarms: Share | None


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What the choice of a threshold rests on.

    Attributes:
        scores: the scores of the normal pictures.
        rates: the trade-off between false alarms and detection.
        faults: synthetic faults at the bundle's threshold.
        patch: what one patch sees.
        test_set: the test set; null without one.
    """

    scores: Histogram
    rates: list[TradeOff]
    faults: Faults
    patch: Patch
    test_set: LabelledSet | None


@dataclass(slots=True, kw_only=True)
class FitReport(LearnReport):
    """Result of `fit`: of learning, and of what needs the workshop.

    Attributes:
        graph: the graph against the network's own program.
        precision_cost: accuracy cost of int8 or bf16; None with float32.
        page: path of the page; None without one.
        choice: what the threshold rests on; None without a page.
        tolerance_costs: what each tolerance costs, if `--tolerance-cost` asked for it.
    """

    graph: GraphParity
    precision_cost: Cost | None = None
    page: str | None = None
    choice: Choice | None = None
    tolerance_costs: list[ToleranceCost] = field(default_factory=list)
