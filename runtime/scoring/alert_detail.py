"""Details of a frame over the threshold: where it is anomalous, and the attachments of an alert."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_config.wire.messages import MAX_BOXES, Box, Part
from runtime import jpeg
from runtime.frame import Image, Score, Tier, Wanted
from runtime.process.long_payload import MAX_BYTES
from runtime.scoring import heat_map
from runtime.scoring.scorer import Scorer

_ROUNDING = 1e-6  # pixels: a fraction of the frame's width is not exact


@dataclass(frozen=True, slots=True)
class Detail:
    """Details of a frame beside its score.

    Attributes:
        boxes: as in `runtime.frame.Result`.
        parts: as in `runtime.frame.Result`.
        attached: the bytes of each part.
    """

    boxes: tuple[Box, ...] = ()
    parts: tuple[Part, ...] = ()
    attached: tuple[bytes, ...] = ()


def detail(
    scorer: Scorer, features: NDArray[np.float32], score: Score, image: Image, wanted: Wanted, jpeg_quality: int
) -> Detail:
    """Return the requested details of a frame; refines the distances of its score as far as needed.

    Args:
        scorer: the scorer of the frame.
        features: patch features, float32 [patches, D].
        score: score of the frame, over the threshold.
        image: the frame, uint8 [H, W, 3] BGR.
        wanted: names of the attachments.
        jpeg_quality: JPEG quality, 1 to 100.
    """
    frame_hw = image.shape[0], image.shape[1]
    least, full = least_above(wanted.threshold), score.value > wanted.detail_above
    made: list[tuple[Part, bytes]] = []
    if full and "jpeg" in wanted.attach:
        made += _jpeg(image, jpeg_quality)
    if full and "heat_map" in wanted.attach:
        made.append(_heat_map(scorer, features, score, least, frame_hw))
    elif full:
        scorer.search.tell_apart(features, score.found, least)
    over = score.distances >= least
    if not full:
        over &= score.found.tier == Tier.EXACT  # the others are only bounds
    over[score.patch] = True  # the score is over the threshold, even if its distance is rounded down
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
        scorer: maps patches to the frame.
        distances: patch distances, float32 [patches].
        over: whether a patch is in a region, bool [patches]; patches that meet at a corner are connected.
        frame_hw: height and width of the camera frame, pixels.
    """
    grid = over.reshape(scorer.grid.hw).astype(np.uint8)
    count, labels, places, _ = cv2.connectedComponentsWithStats(grid, connectivity=8)
    largest = np.zeros(count, dtype=np.float32)
    np.maximum.at(largest, labels.ravel().astype(np.int64), distances)
    strangest = 1 + np.argsort(-largest[1:], kind="stable")[:MAX_BOXES]  # 0 is the background
    edges = scorer.preprocess.on_camera(scorer.grid.edges(), frame_hw)
    return tuple(_box(edges, places[region, :4].tolist(), frame_hw) for region in strangest)


def covered(scorer: Scorer, frame_hw: tuple[int, int]) -> Box:
    """Return the box of the camera frame, of this height and width, that the patches cover."""
    whole = np.array([0.0, 1.0])
    return _box(scorer.preprocess.on_camera((whole, whole), frame_hw), [0, 0, 1, 1], frame_hw)


def _box(edges: tuple[NDArray[np.float64], NDArray[np.float64]], place: list[int], frame_hw: tuple[int, int]) -> Box:
    """Return the box in pixels around a box of patches, `place`."""
    column, row, width, height = place
    (top, bottom), (left, right) = (
        (
            max(0, int(np.floor(at[first] + _ROUNDING))),
            min(size, int(np.ceil(at[first + count] - _ROUNDING))),
        )
        for at, first, count, size in zip(edges, (row, column), (height, width), frame_hw, strict=True)
    )
    return left, top, right - left, bottom - top


def least_above(threshold: float) -> float:
    """Return the smallest float32 above a threshold: distances of at least this are over it."""
    rounded = np.float32(threshold)
    return float(rounded if float(rounded) > threshold else np.nextafter(rounded, np.float32(np.inf)))


def _jpeg(image: Image, quality: int) -> list[tuple[Part, bytes]]:
    """Return the part of a JPEG of the frame; empty if it is too large for one."""
    try:
        data, _ = jpeg.encode(image, quality)
    except ValueError:
        return []
    return [(Part(name="jpeg", media_type="image/jpeg"), data)] if len(data) <= MAX_BYTES // 2 else []


def _heat_map(
    scorer: Scorer, features: NDArray[np.float32], score: Score, least: float, frame_hw: tuple[int, int]
) -> tuple[Part, bytes]:
    """Return the anomaly map, one value per patch, and its box on the camera frame."""
    return heat_map.encode(scorer.alert_map(features, score, least), covered(scorer, frame_hw))
