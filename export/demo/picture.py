"""Draw the results of the demo: frames with their heat maps, and the score over time."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from edge_config.saving import put
from edge_config.wire.messages import ScoreMessage
from export.demo.clip import Sighting
from runtime.camera.sources.recording import open_video, read_video
from runtime.inference.load import load
from runtime.scoring.score import anomaly_map


def draw(path: Path, clip: Path, bundle: Path, scores: list[ScoreMessage], truth: list[Sighting]) -> None:
    """Write a PNG: the strangest frame of every object above, published scores and truth below."""
    shown = _strangest(scores, truth)
    frames = {number: image for number, image in enumerate(read_video(open_video(clip)), start=1) if number in shown}
    found, scorer = load(bundle)
    threshold = found.manifest.calibration.threshold
    figure = Figure(figsize=(2.6 * max(len(shown), 3), 6), layout="constrained")
    grid = figure.add_gridspec(2, len(shown), height_ratios=(1, 1.2))
    for column, (number, place) in enumerate(shown.items()):
        axes = figure.add_subplot(grid[0, column])
        image = frames[number]
        distances = scorer.whole(scorer.embed(scorer.preprocess(image))).distance
        heat = anomaly_map(distances, scorer.grid, image.shape[:2])
        axes.imshow(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
        axes.imshow(heat, cmap="inferno", alpha=0.55, vmin=0.3 * threshold, vmax=1.5 * threshold)
        axes.add_patch(Rectangle((place.x, place.y), place.width, place.height, fill=False, edgecolor="white"))
        axes.set_title(f"{place.name}, frame {number}", fontsize=9)
        axes.axis("off")
    axes = figure.add_subplot(grid[1, :])
    axes.plot([score.frame_id for score in scores], [score.score or np.nan for score in scores], linewidth=0.8)
    axes.axhline(threshold, color="tab:red", linewidth=0.8, label="threshold")
    for number, frame in enumerate(sorted({place.frame for place in truth})):
        label = "an object is in view" if number == 0 else None
        axes.axvspan(frame - 0.5, frame + 0.5, color="tab:orange", alpha=0.2, linewidth=0, label=label)
    axes.set(xlabel="frame", ylabel="published score", xlim=(1, len(scores)))
    axes.legend(loc="upper left", fontsize=8)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=110)
    put(path, drawn.getvalue())


def _strangest(scores: list[ScoreMessage], truth: list[Sighting]) -> dict[int, Sighting]:
    """Return for each object the frame with the highest score while it is in view."""
    by_frame = {score.frame_id: score.score or 0.0 for score in scores}
    best: dict[str, Sighting] = {}
    for place in truth:
        if place.name not in best or by_frame.get(place.frame, 0) > by_frame.get(best[place.name].frame, 0):
            best[place.name] = place
    return {place.frame: place for place in best.values()}
