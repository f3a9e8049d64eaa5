"""Report of an evaluation: text for a terminal, and one self-contained HTML page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable
from html import escape
from typing import Concatenate, ParamSpec

import cv2
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from edge_config.bundle import promise
from export.evaluation import metrics
from export.evaluation.evaluate import Example, Outcome
from export.evaluation.figures import Evaluation, ScoredPicture
from runtime.frame import Image

P = ParamSpec("P")

COLDEST, HOTTEST = 0.5, 1.5
"""The colours of all heat maps go from here to there, in thresholds: what is normal everywhere stays dark."""

HEAT_OPACITY = 0.7  # of the hottest places; what is cold stays as it is
BINS = 40
SMALLEST = 1e-9  # a scale where the threshold is 0: something to divide by
COLOURS = "inferno"
NORMAL_COLOUR, ANOMALOUS_COLOUR = "tab:blue", "tab:orange"
OUTLINE_BGR = (0, 255, 0)
ROC_LABEL = "ROC curve"

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1080px; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; margin: 1em 0; }
th, td { text-align: left; padding: .25em 1.2em .25em 0; border-bottom: 1px solid #ddd; }
th { font-weight: 600; }
img { max-width: 100%; height: auto; }
figure { display: inline-block; margin: 0 1em 1em 0; vertical-align: top; max-width: 490px; }
figcaption { font-size: 13px; overflow-wrap: anywhere; }
.missed { color: #b00; font-weight: 600; }
"""


def in_words(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Return the figures as rows of a name and a text."""
    found = evaluation
    promised = promise.in_words(found.promised_alpha, found.upper_alpha)
    left_out = f", {found.left_out} left out" if found.left_out else ""
    rows = [
        ("bundle", found.bundle[:12]),
        ("data set", found.dataset),
        ("pictures", f"{found.normal} normal, {found.anomalous} anomalous{left_out}"),
        ("threshold", f"{found.threshold:.4f} on the score `{found.score_mode}`"),
        (
            "false alarms",
            f"{_percent(found.false_alarm_rate)} of normal pictures (promised: {promised})",
        ),
        ("detected", f"{_percent(found.detection_rate)} of anomalous pictures"),
        ("image AUROC", _number(found.image_auroc)),
        ("image AP", _number(found.average_precision)),
        ("best F1", _number(found.f1_max)),
        ("pixel AUROC", _number(found.pixel_auroc)),
        ("AUPRO", f"{_number(found.aupro)} up to a false-positive rate of {metrics.PRO_LIMIT}"),
    ]
    for name, kind in found.kinds.items():
        rows.append((name, f"{kind.detected} of {kind.count} detected, image AUROC {_number(kind.image_auroc)}"))
    rows.append(("time", ", ".join(f"{stage} {spent:.1f} ms" for stage, spent in found.stage_ms.items())))
    return rows + [("note", note) for note in found.notes]


def as_html(outcome: Outcome) -> str:
    """Write the page: figures, curves, and the pictures that the bundle judges worst."""
    found = outcome.evaluation
    title = f"Evaluation of bundle {found.bundle[:12]}"
    missed = found.anomalous - sum(kind.detected for kind in found.kinds.values())
    alarms = sum(result.label == "anomalous" and not result.anomalous for result in outcome.results)
    sections = [
        f"<h1>{title}</h1>",
        _table(in_words(found)),
        "<h2>Scores</h2>",
        *_charts(outcome),
        f"<h2>Anomalous pictures with the lowest scores ({missed} of {found.anomalous} missed)</h2>",
        *_gallery(outcome.weakest, found.threshold),
        f"<h2>Normal pictures with the highest scores ({alarms} of {found.normal} false alarms)</h2>",
        *_gallery(outcome.loudest, found.threshold),
        "<h2>Colours of the heat maps</h2>",
        _image(_plot(_draw_colours, (6.0, 0.9), found.threshold), "colour scale"),
        "<p>Green outlines are the ground truth. Pictures and maps show what the network sees of a frame.</p>",
    ]
    head = f'<meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(sections) + "\n</body></html>\n"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"


def _number(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.4f}"


def _table(rows: Iterable[tuple[str, str]]) -> str:
    cells = (f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows)
    return f"<table>{''.join(cells)}</table>"


def _charts(outcome: Outcome) -> list[str]:
    results, threshold = outcome.results, outcome.evaluation.threshold
    charts = [_image(_plot(_draw_histogram, (5.2, 3.6), results, threshold), "histogram of the scores")]
    if (curve := metrics.roc_points(*_scores_and_truth(results))) is not None:
        charts.append(_image(_plot(_draw_roc, (3.8, 3.6), curve), ROC_LABEL))
    if outcome.places is not None:
        charts.append(_image(_plot(_draw_time, (10.5, 3.2), results, outcome.places, threshold), "score over time"))
    return charts


def _plot(
    draw: Callable[Concatenate[Axes, P], None], size: tuple[float, float], *args: P.args, **kwargs: P.kwargs
) -> bytes:
    """Draw into axes of their own, of this size in inches, and give the PNG."""
    figure = Figure(figsize=size, layout="constrained")
    draw(figure.add_subplot(), *args, **kwargs)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=100)
    return stream.getvalue()


def _scores_and_truth(results: list[ScoredPicture]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    return np.array([result.score for result in results]), np.array([result.anomalous for result in results])


def _draw_histogram(axes: Axes, results: list[ScoredPicture], threshold: float) -> None:
    scores, anomalous = _scores_and_truth(results)
    edges = np.linspace(0, max(scores.max(), threshold, SMALLEST) * 1.02, BINS + 1)
    for own, label, colour in (~anomalous, "normal", NORMAL_COLOUR), (anomalous, "anomalous", ANOMALOUS_COLOUR):
        axes.hist(scores[own], bins=edges.tolist(), alpha=0.6, label=f"{label} ({own.sum()})", color=colour)
    axes.axvline(threshold, color="black", linestyle="--", linewidth=1, label="threshold")
    axes.set(xlabel="score", ylabel="pictures")
    axes.legend(fontsize=8)


def _draw_roc(axes: Axes, curve: tuple[NDArray[np.float64], NDArray[np.float64]]) -> None:
    axes.plot([0, 1], [0, 1], color="lightgrey", linewidth=1)
    axes.plot(*curve, color=ANOMALOUS_COLOUR)
    axes.set(xlabel="false alarms", ylabel="detected", title=ROC_LABEL, aspect="equal")


def _draw_time(axes: Axes, results: list[ScoredPicture], places: list[int], threshold: float) -> None:
    """Draw score and truth over time; where frames were left out, the line has a gap."""
    scores, anomalous = _scores_and_truth(results)
    time = np.arange(places[0], places[-1] + 1)
    line, truth = np.full(len(time), np.nan), np.zeros(len(time), dtype=bool)
    line[np.array(places) - places[0]] = scores
    truth[np.array(places) - places[0]] = anomalous
    top = max(scores.max(), threshold, SMALLEST) * 1.05
    axes.fill_between(
        time,
        0,
        top,
        where=truth.tolist(),
        step="mid",
        color=ANOMALOUS_COLOUR,
        alpha=0.2,
        linewidth=0,
        label="anomalous",
    )
    axes.plot(time, line, color=NORMAL_COLOUR, linewidth=0.8, marker=".", markersize=2, label="score")
    axes.axhline(threshold, color="black", linestyle="--", linewidth=1, label="threshold")
    axes.set(xlabel="frame", ylabel="score", xlim=(places[0] - 0.5, places[-1] + 0.5), ylim=(0, top))
    axes.legend(fontsize=8, loc="upper left")


def _draw_colours(axes: Axes, threshold: float) -> None:
    colours = ScalarMappable(_scale(threshold), COLOURS)
    bar = axes.figure.colorbar(colours, cax=axes, orientation="horizontal", label="patch distance")
    bar.ax.axvline(threshold, color="white", linestyle="--", linewidth=1)


def _gallery(shown: list[Example], threshold: float) -> list[str]:
    return [_pair(each, threshold) for each in shown] or ["<p>There is none.</p>"]


def _pair(shown: Example, threshold: float) -> str:
    """Show a picture, and beside it the same with its heat map and ground truth."""
    result = shown.result
    right = result.anomalous == (result.label == "anomalous")
    verdict = result.label if right else f'<span class="missed">{result.label}</span>'
    png = bytes(cv2.imencode(".png", np.hstack([shown.image, _overlay(shown, threshold)]))[1])
    both = _image(png, f"{result.name} and its heat map")
    caption = f"{escape(result.name)} ({escape(result.kind)}): score {result.score:.3f}, judged {verdict}"
    return f"<figure>{both}<figcaption>{caption}</figcaption></figure>"


def _overlay(shown: Example, threshold: float) -> Image:
    """Lay the heat map over the picture, the more opaque the hotter, and draw the outline of the truth."""
    share = np.clip(_scale(threshold)(shown.heat), 0, 1)
    colours = colormaps[COLOURS](share)[..., 2::-1] * 255
    opacity = HEAT_OPACITY * share[..., None]
    blend = np.ascontiguousarray((shown.image * (1 - opacity) + colours * opacity).astype(np.uint8))
    if shown.mask is not None:
        outlines, _ = cv2.findContours(shown.mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(blend, outlines, -1, OUTLINE_BGR, 1)
    return blend


def _scale(threshold: float) -> Normalize:
    unit = max(threshold, SMALLEST)
    return Normalize(COLDEST * unit, HOTTEST * unit)


def _image(png: bytes, what: str) -> str:
    return f'<img src="data:image/png;base64,{base64.b64encode(png).decode()}" alt="{escape(what)}">'
