"""Score every picture of a data set with the stages of the device: scores, times, anomaly maps and masks."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.files import Bundle
from edge_config.bundle.manifest import Preprocessing
from export.evaluation.dataset import Dataset, Sample, read_mask
from runtime.frame import Image, Score
from runtime.learning.pictures.images import fingerprint
from runtime.learning.pictures.regions import Looked
from runtime.learning.progress import progress
from runtime.scoring.score import MAP_SIGMA, anomaly_map
from runtime.scoring.scorer import Scorer

MAX_MAP_PIXELS = 1 << 18
"""Of a map over tiles: the maps and masks of all pictures are in memory together."""


@dataclass(frozen=True, slots=True, eq=False)
class ScoredDataset:
    """Scores float64 [n], times float64 [n, stages] in ms, and the maps and masks that count.

    Attributes:
        without_region: masks that show nothing of an anomaly where the network looks.
        copies: pictures that equal an earlier one, pixel by pixel.
    """

    scores: NDArray[np.float64]
    times: NDArray[np.float64]
    maps: list[NDArray[np.float32]]
    masks: list[NDArray[np.bool_]]
    without_region: int
    copies: int


def score_dataset(bundle: Bundle, scorer: Scorer, dataset: Dataset) -> ScoredDataset:
    """Score every picture once; raise UsageError where a picture or a mask cannot be used."""
    has_masks = any(sample.mask for sample in dataset.samples)
    scores, times, maps, masks, without_region = [], [], [], [], 0
    pictures, seen = dataset.pictures(depth=bundle.manifest.preprocessing.depth), set()
    for number, image in progress(pictures, "evaluate", total=len(dataset.samples), unit="picture"):
        seen.add(fingerprint(image))
        sample = dataset.samples[number]
        score, features, spent = _score(scorer, image)
        scores.append(score.value)
        times.append(spent)
        if has_masks and (sample.mask is not None or not sample.anomalous):
            mask = mask_of(sample, bundle, (image.shape[0], image.shape[1]))
            without_region += sample.anomalous and not mask.any()
            maps.append(map_of(scorer, bundle, features))
            masks.append(mask)
    return ScoredDataset(np.array(scores), np.array(times), maps, masks, without_region, len(scores) - len(seen))


def _score(scorer: Scorer, image: Image) -> tuple[Score, NDArray[np.float32], NDArray[np.float64]]:
    """Score a picture as `Scorer` does; give its features too, and the time of the stages, milliseconds."""
    clock = [time.perf_counter()]
    tensor = scorer.preprocess(image)
    clock.append(time.perf_counter())
    features = scorer.embed(tensor)
    clock.append(time.perf_counter())
    found = scorer.search(features)
    clock.append(time.perf_counter())
    score = scorer.score(features, found)
    clock.append(time.perf_counter())
    return score, features, np.diff(clock) * 1e3


def map_of(scorer: Scorer, bundle: Bundle, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the anomaly map over the input of the graph, float32 [H, W], from every patch.

    Over tiles it is made smaller, to `MAX_MAP_PIXELS`, and with it the Gaussian.
    """
    spec = bundle.manifest.preprocessing
    smaller = _smaller(spec)
    height, width = (-(-side // smaller) for side in spec.crop_hw)
    return anomaly_map(scorer.whole(features).distance, scorer.grid, (height, width), MAP_SIGMA / smaller)


def mask_of(sample: Sample, bundle: Bundle, picture_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the truth of each pixel of a map, bool [H, W]: resized and cropped as the picture is.

    What is outside of the bundle's regions is no truth: nothing is judged there.
    """
    manifest = bundle.manifest
    spec = manifest.preprocessing
    if sample.mask is None:
        height, width = (-(-side // _smaller(spec)) for side in spec.crop_hw)
        return np.zeros((height, width), dtype=bool)
    mask = read_mask(sample.mask, picture_hw).astype(np.uint8)
    judged = Looked(manifest.regions, manifest.ignore, manifest.regions_hw).pixels(picture_hw)
    mask = mask if judged is None else mask * judged
    # The plain nearest kernel of OpenCV takes the corner of a pixel, this one its centre, as the picture's kernels do.
    resized = cv2.resize(mask, spec.resize_hw[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    rows, columns = _centre(spec.resize_hw, spec.crop_hw)
    seen = resized[rows, columns]
    if (smaller := _smaller(spec)) > 1:  # a pixel of the map is anomalous where any in it is: scratches are thin
        seen = np.pad(seen, [(0, -side % smaller) for side in seen.shape])
        seen = seen.reshape(seen.shape[0] // smaller, smaller, -1, smaller).max(axis=(1, 3))
    return np.asarray(seen > 0, dtype=np.bool_)


def _smaller(spec: Preprocessing) -> int:
    """Return how many times smaller a map is than the picture that tiles are cut from; 1 without tiles."""
    height, width = spec.crop_hw
    return 1 if spec.tiles is None else math.ceil(math.sqrt(height * width / MAX_MAP_PIXELS))


def _centre(resize_hw: tuple[int, int], crop_hw: tuple[int, int]) -> tuple[slice, slice]:
    """Return the rows and columns that `Preprocess` keeps."""
    top, left = ((resized - crop) // 2 for resized, crop in zip(resize_hw, crop_hw, strict=True))
    return slice(top, top + crop_hw[0]), slice(left, left + crop_hw[1])
