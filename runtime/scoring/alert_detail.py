"""Details of a frame over the threshold: where it is anomalous, and the attachments of an alert."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_config.wire.messages import MAX_BOXES, Box, Part
from runtime import jpeg
from runtime.frame import Image, Score, Tier, Wanted
from runtime.process.parcel import MAX_BYTES
from runtime.scoring import heat_map
from runtime.scoring.scorer import Scorer

_ROUNDING = 1e-6  # pixels: a share of the frame's width is not exact


@dataclass(frozen=True, slots=True)
class Detail:
    """More of a frame than its score; see `runtime.frame.Result`.

    Attributes:
        boxes: as there.
        parts: as there.
        attached: the bytes of each part.
    """

    boxes: tuple[Box, ...] = ()
    parts: tuple[Part, ...] = ()
    attached: tuple[bytes, ...] = ()


def detail(
    scorer: Scorer, features: NDArray[np.float32], score: Score, image: Image, wanted: Wanted, jpeg_quality: int
) -> Detail:
    """Make what is wanted of a frame; the distances of its score become those that this needs.

    Args:
        scorer: that scored it.
        features: of the frame, float32 [patches, D].
        score: of the frame, over the threshold.
        image: the frame, uint8 [H, W, 3] BGR.
        wanted: of it.
        jpeg_quality: 1 to 100.
    """
    frame_hw = image.shape[0], image.shape[1]
    least, full = _least_above(wanted.threshold), score.value > wanted.detail_above
    made: list[tuple[Part, bytes]] = []
    if full and "jpeg" in wanted.attach:
        made += _jpeg(image, jpeg_quality)
    if full and "heat_map" in wanted.attach:
        made.append(_heat_map(scorer, features, score, least, frame_hw))
    elif full:
        scorer.search.tell_apart(features, score.found, least)
    over = score.distances >= least
    if not full:
        over &= score.found.tier == Tier.EXACT  # of the others only bounds are known
    over[score.patch] = True  # its score is over the threshold, whatever rounding says of its distance
    return Detail(
        boxes(scorer, score.distances, over, frame_hw),
        tuple(part for part, _ in made),
        tuple(data for _, data in made),
    )


def boxes(
    scorer: Scorer, distances: NDArray[np.float32], over: NDArray[np.bool_], frame_hw: tuple[int, int]
) -> tuple[Box, ...]:
    """Return the boxes of connected regions, the one with the largest distance first, at most `MAX_BOXES`.

    Args:
        scorer: says where patches lie.
        distances: float32 [patches].
        over: bool [patches], those of the regions; patches that meet at a corner are connected.
        frame_hw: of the camera frame, whose pixels the boxes are in.
    """
    grid = over.reshape(scorer.grid.hw).astype(np.uint8)
    count, labels, places, _ = cv2.connectedComponentsWithStats(grid, connectivity=8)
    largest = np.zeros(count, dtype=np.float32)
    np.maximum.at(largest, labels.ravel().astype(np.int64), distances)
    strangest = 1 + np.argsort(-largest[1:], kind="stable")[:MAX_BOXES]  # 0 is all that is in no region
    edges = scorer.preprocess.on_camera(scorer.grid.edges(), frame_hw)
    return tuple(_box(edges, places[region, :4].tolist(), frame_hw) for region in strangest)


def _box(edges: tuple[NDArray[np.float64], NDArray[np.float64]], place: list[int], frame_hw: tuple[int, int]) -> Box:
    """Return the pixels that some rows and columns of patches touch; `place` is a box of patches."""
    column, row, width, height = place
    (top, bottom), (left, right) = (
        (
            max(0, int(np.floor(at[first] + _ROUNDING))),
            min(size, int(np.ceil(at[first + count] - _ROUNDING))),
        )
        for at, first, count, size in zip(edges, (row, column), (height, width), frame_hw, strict=True)
    )
    return left, top, right - left, bottom - top


def _least_above(threshold: float) -> float:
    """Return the smallest float32 above a threshold: distances of at least so much are over it."""
    rounded = np.float32(threshold)
    return float(rounded if float(rounded) > threshold else np.nextafter(rounded, np.float32(np.inf)))


def _jpeg(image: Image, quality: int) -> list[tuple[Part, bytes]]:
    """Return a frame as a JPEG; nothing where it is too large for one."""
    try:
        data, _ = jpeg.encode(image, quality)
    except ValueError:
        return []
    return [(Part(name="jpeg", media_type="image/jpeg"), data)] if len(data) <= MAX_BYTES // 2 else []


def _heat_map(
    scorer: Scorer, features: NDArray[np.float32], score: Score, least: float, frame_hw: tuple[int, int]
) -> tuple[Part, bytes]:
    """Return the anomaly map, one value a patch, and where it lies on the camera frame."""
    whole = np.array([0.0, 1.0])
    area = _box(scorer.preprocess.on_camera((whole, whole), frame_hw), [0, 0, 1, 1], frame_hw)
    return heat_map.encode(scorer.alert_map(features, score, least), area)
