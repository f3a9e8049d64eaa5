"""Report of an evaluation: text for a terminal, and one self-contained HTML page."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_config.bundle import promise
from export import html
from export.evaluation import metrics
from export.evaluation.evaluate import Example, Outcome
from export.evaluation.figures import Evaluation, ScoredPicture
from export.intervals import ALLOWED, share
from export.intervals import in_words as share_in_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BINS = 40
ROC_LABEL = "ROC curve"


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
        ("false alarms", f"{share_in_words(share(found.false_alarms, found.normal))} of normal pictures"),
        ("promised", f"{promised}: {_consistent(found)}"),
        ("detected", f"{share_in_words(share(found.detected, found.anomalous))} of anomalous pictures"),
        ("image AUROC", _number(found.image_auroc)),
        ("image AP", _number(found.average_precision)),
        ("best F1", _number(found.f1_max)),
        ("pixel AUROC", _number(found.pixel_auroc)),
        ("AUPRO", f"{_number(found.aupro)} up to a false-positive rate of {metrics.PRO_LIMIT}"),
    ]
    for name, kind in found.kinds.items():
        low, high = kind.detection_interval
        detected = f"{kind.detected} of {kind.count} detected ({low:.0%} to {high:.0%})"
        rows.append((name, f"{detected}, image AUROC {_number(kind.image_auroc)}"))
    rows.append(("time", ", ".join(f"{stage} {spent:.1f} ms" for stage, spent in found.stage_ms.items())))
    return rows + [("note", note) for note in found.notes]


def as_html(outcome: Outcome) -> str:
    """Write the page: figures, curves, and the pictures that the bundle judges worst."""
    found = outcome.evaluation
    missed, alarms = found.anomalous - found.detected, found.false_alarms
    return html.document(
        f"Evaluation of bundle {found.bundle[:12]}",
        [
            html.table(in_words(found)),
            html.section("Scores", *_charts(outcome)),
            html.section(
                f"Anomalous pictures with the lowest scores ({missed} of {found.anomalous} missed)",
                *_gallery(outcome.weakest, found.threshold),
            ),
            html.section(
                f"Normal pictures with the highest scores ({alarms} of {found.normal} false alarms)",
                *_gallery(outcome.loudest, found.threshold),
            ),
            html.section(
                "Colours of the heat maps",
                html.colour_scale(found.threshold),
                html.paragraph(
                    "Green outlines are the ground truth. Pictures and maps show what the network sees of a frame."
                ),
            ),
        ],
    )


def _consistent(found: Evaluation) -> str:
    """Return whether the false alarms are those of a kept promise."""
    if found.false_alarms_allowed is None:
        return "no normal picture tells whether it is kept"
    limit = f"at most {found.false_alarms_allowed} of {found.normal} with {ALLOWED:.0%} probability"
    if found.promise_kept:
        return f"kept ({limit})"
    return f"broken ({limit}): these normal pictures are not like those that were held out"


def _number(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.4f}"


def _charts(outcome: Outcome) -> list[str]:
    results, threshold = outcome.results, outcome.evaluation.threshold
    charts = [html.chart(_draw_histogram, (5.2, 3.6), "histogram of the scores", results, threshold)]
    if (curve := metrics.roc_points(*_scores_and_truth(results))) is not None:
        charts.append(html.chart(_draw_roc, (3.8, 3.6), ROC_LABEL, curve))
    if outcome.places is not None:
        charts.append(html.chart(_draw_time, (10.5, 3.2), "score over time", results, outcome.places, threshold))
    return charts


def _scores_and_truth(results: list[ScoredPicture]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    return np.array([result.score for result in results]), np.array([result.anomalous for result in results])


def _draw_histogram(axes: Axes, results: list[ScoredPicture], threshold: float) -> None:
    scores, anomalous = _scores_and_truth(results)
    edges = np.linspace(0, max(scores.max(), threshold, html.SMALLEST) * 1.02, BINS + 1)
    for own, label, colour in (
        (~anomalous, "normal", html.NORMAL_COLOUR),
        (anomalous, "anomalous", html.ANOMALOUS_COLOUR),
    ):
        axes.hist(scores[own], bins=edges.tolist(), alpha=0.6, label=f"{label} ({own.sum()})", color=colour)
    axes.axvline(threshold, color="black", linestyle="--", linewidth=1, label="threshold")
    axes.set(xlabel="score", ylabel="pictures")
    axes.legend(fontsize=8)


def _draw_roc(axes: Axes, curve: tuple[NDArray[np.float64], NDArray[np.float64]]) -> None:
    axes.plot([0, 1], [0, 1], color="lightgrey", linewidth=1)
    axes.plot(*curve, color=html.ANOMALOUS_COLOUR)
    axes.set(xlabel="false alarms", ylabel="detected", title=ROC_LABEL, aspect="equal")


def _draw_time(axes: Axes, results: list[ScoredPicture], places: list[int], threshold: float) -> None:
    """Draw score and truth over time; where frames were left out, the line has a gap."""
    scores, anomalous = _scores_and_truth(results)
    time = np.arange(places[0], places[-1] + 1)
    line, truth = np.full(len(time), np.nan), np.zeros(len(time), dtype=bool)
    line[np.array(places) - places[0]] = scores
    truth[np.array(places) - places[0]] = anomalous
    top = max(scores.max(), threshold, html.SMALLEST) * 1.05
    axes.fill_between(
        time,
        0,
        top,
        where=truth.tolist(),
        step="mid",
        color=html.ANOMALOUS_COLOUR,
        alpha=0.2,
        linewidth=0,
        label="anomalous",
    )
    axes.plot(time, line, color=html.NORMAL_COLOUR, linewidth=0.8, marker=".", markersize=2, label="score")
    axes.axhline(threshold, color="black", linestyle="--", linewidth=1, label="threshold")
    axes.set(xlabel="frame", ylabel="score", xlim=(places[0] - 0.5, places[-1] + 0.5), ylim=(0, top))
    axes.legend(fontsize=8, loc="upper left")


def _gallery(shown: list[Example], threshold: float) -> list[str]:
    return [_pair(each, threshold) for each in shown] or [html.paragraph("There is none.")]


def _pair(shown: Example, threshold: float) -> str:
    """Show a picture, and beside it the same with its heat map and ground truth."""
    result = shown.result
    right = result.anomalous == (result.label == "anomalous")
    verdict = result.label if right else f'<span class="missed">{result.label}</span>'
    caption = f"{escape(result.name)} ({escape(result.kind)}): score {result.score:.3f}, judged {verdict}"
    return html.with_heat(shown.thumbnail, threshold, result.name, caption)
