"""Draw the results of the demo: frames with their heat maps, and the score over time."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image

from edge_config.saving import put
from edge_config.wire.messages import ScoreMessage
from export.demo.clip import Sighting
from runtime.camera.sources.recording import open_video, read_video
from runtime.frame import Image as Frame
from runtime.inference.load import load
from runtime.scoring.score import anomaly_map

_COLOURS = 160
_HOT = 2.0
"""Times the threshold: from this distance on a patch is drawn in full colour, and below the threshold not at all."""


def draw(path: Path, clip: Path, bundle: Path, scores: list[ScoreMessage], truth: list[Sighting]) -> None:
    """Write a PNG: the strangest frame of every object above, published scores and truth below."""
    shown = _strangest(scores, truth)
    frames = {number: image for number, image in enumerate(read_video(open_video(clip)), start=1) if number in shown}
    found, scorer = load(bundle)
    threshold = found.manifest.calibration.threshold
    figure = Figure(figsize=(10, 5), layout="constrained")
    grid = figure.add_gridspec(2, max(len(shown), 1), height_ratios=(1, 1.8))
    for column, (number, place) in enumerate(shown.items()):
        distances = scorer.whole(scorer.embed(scorer.preprocess(frames[number]))).distance
        heat = anomaly_map(distances, scorer.grid, frames[number].shape[:2]) / threshold
        _draw_object(figure.add_subplot(grid[0, column]), frames[number], heat, place)
    _draw_scores(figure.add_subplot(grid[1, :]), scores, threshold, sorted({place.frame for place in truth}))
    put(path, _small_png(figure))


def _draw_object(axes: Axes, image: Frame, heat: NDArray[np.float32], place: Sighting) -> None:
    """Draw a frame with what is over the threshold; `heat` is [rows, columns] in units of it."""
    axes.imshow(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    over = np.clip((heat - 1) / (_HOT - 1), 0, 1)
    axes.imshow(over, cmap="autumn", alpha=np.where(over > 0, 0.3 + 0.4 * over, 0))
    axes.add_patch(Rectangle((place.x, place.y), place.width, place.height, fill=False, edgecolor="white"))
    axes.set_title(f"{place.name}, frame {place.frame}", fontsize=9)
    axes.axis("off")


def _draw_scores(axes: Axes, scores: list[ScoreMessage], threshold: float, in_view: list[int]) -> None:
    axes.plot([score.frame_id for score in scores], [score.score or np.nan for score in scores], linewidth=0.8)
    axes.axhline(threshold, color="tab:red", linewidth=0.8, label="threshold")
    for number, frame in enumerate(in_view):
        label = "an object is in view" if number == 0 else None
        axes.axvspan(frame - 0.5, frame + 0.5, color="tab:orange", alpha=0.2, linewidth=0, label=label)
    axes.set(xlabel="frame", ylabel="published score", xlim=(1, len(scores)))
    axes.legend(loc="upper left", fontsize=9)


def _small_png(figure: Figure) -> bytes:
    """Return a PNG with a palette, a third of the size, as it is shown on web pages."""
    large, small = io.BytesIO(), io.BytesIO()
    figure.savefig(large, dpi=110)
    Image.open(large).convert("RGB").quantize(_COLOURS).save(small, "png", optimize=True)
    return small.getvalue()


def _strangest(scores: list[ScoreMessage], truth: list[Sighting]) -> dict[int, Sighting]:
    """Return for each object the frame with the highest score while it is in view."""
    by_frame = {score.frame_id: score.score or 0.0 for score in scores}
    best: dict[str, Sighting] = {}
    for place in truth:
        if place.name not in best or by_frame.get(place.frame, 0) > by_frame.get(best[place.name].frame, 0):
            best[place.name] = place
    return {place.frame: place for place in best.values()}
