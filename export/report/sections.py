"""Sections of the page of a fit: each is a function from the report to HTML, "" where there is nothing to show."""

from __future__ import annotations

from datetime import datetime, timezone
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from edge_config.bundle.may_vary import NOTHING
from edge_config.bundle.promise import CONFIDENCE
from export import html
from export.intervals import Share
from export.options import DEFAULTS
from export.report import words
from export.report.choose import LIKELY
from export.report.facts import Choice, FitReport, Histogram, TradeOff
from export.report.gallery import Gallery
from export.thumbnail import Thumbnail
from runtime.learning.report import StrangePicture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NO_TEST_SET = (
    "These faults are synthetic. They are no test set: real faults look different, and may be harder or easier to "
    "find. Measure real ones with patchedge-export evaluate."
)
_LIKELY = f"Likely found: at least {LIKELY:.0%} of that size and of each larger one."


def faults(report: FitReport, _: Gallery) -> str:
    """Show which synthetic faults are found: how small and how faint a fault may be."""
    if report.choice is None:
        return ""
    found, patch = report.choice.faults, report.choice.patch
    return html.section(
        "Which faults are found",
        html.paragraph(f"{_sentence(words.patch(patch))} {_sentence(words.smallest(found))}"),
        html.paragraph(f"{_LIKELY} {_NO_TEST_SET}", soft=True),
        *(_kind(kind, report.choice) for kind in dict.fromkeys(row.kind for row in found.found)),
        html.paragraph(
            f"{found.frames} faults on {found.pictures} held-out pictures, at the threshold of the bundle. In "
            f"parentheses: the interval of the true share with {CONFIDENCE:.0%} confidence.",
            soft=True,
        ),
    )


def scores(report: FitReport, _: Gallery) -> str:
    """Show how far the normal pictures are below the threshold."""
    if report.choice is None:
        return ""
    shown, threshold = report.choice.scores, report.manifest.calibration.threshold
    learnt = (
        "Pictures that were learnt from are scored against the bank of the others, without those that are most like "
        "each patch: their scores are higher than those of held-out pictures, and are not compared with the threshold."
        if shown.learnt
        else ""
    )
    return html.section(
        "Scores of the normal pictures",
        html.chart(_draw_scores, (9.0, 3.4), "histogram of the scores of the normal pictures", shown, threshold),
        html.paragraph(learnt, soft=True) if learnt else "",
    )


def rates(report: FitReport, _: Gallery) -> str:
    """Show what other rates of false alarms would mean."""
    if report.choice is None:
        return ""
    choice, n = report.choice, report.manifest.calibration.n
    few = [rate for rate in choice.rates if rate.promised_alpha > rate.alpha]
    needed = ", ".join(f"{rate.alpha:.1%} needs {rate.pictures_needed}" for rate in few)
    too_few = f"{n} held-out pictures are too few for some rates ({needed}): there it is the highest score."
    labelled = ["test set: detected", "test set: false alarms"] if choice.test_set else []
    columns = [f"{size} px" for size in choice.faults.sizes] + [f"{each} levels" for each in choice.faults.contrasts]
    return html.section(
        "False alarms against detection",
        html.paragraph("What fit --alpha RATE would mean: the threshold, and the false-alarm rate that it promises."),
        html.grid(
            ["rate", "threshold", "on average", f"with {CONFIDENCE:.0%} confidence", *labelled],
            map(_promise, choice.rates),
        ),
        html.paragraph(too_few) if few else "",
        html.paragraph(
            "The share of the synthetic faults above that threshold: by size over all kinds and contrasts, by contrast "
            "over all kinds and sizes."
        ),
        html.grid(["rate", *columns], map(_found, choice.rates)),
    )


def strangest(report: FitReport, gallery: Gallery) -> str:
    """Show the normal pictures that are least like the others, with their heat maps."""
    if not report.strangest:
        return ""
    threshold = report.manifest.calibration.threshold
    shown = (_strange(*pair, threshold) for pair in zip(report.strangest, gallery.strangest, strict=True))
    return html.section(
        "The strangest normal pictures",
        *(f'<p class="missed">{escape(warning)}</p>' for warning in report.warnings),
        html.paragraph(
            "Each is scored against the bank of the other pictures. Deviations: how far above the median, in median "
            "absolute deviations. Look at them: what is not normal should be removed, or left out with --exclude."
        ),
        *shown,
        html.colour_scale(threshold),
    )


def tolerances(report: FitReport, _: Gallery) -> str:
    """Show what may vary, and what each tolerance costs."""
    costs = report.tolerance_costs
    if report.manifest.may_vary == NOTHING and not costs:
        return ""
    rows = ([one.tolerance, f"{one.found_without:.1%}", f"{one.found:.1%}"] for one in costs)
    said = f"No fault: {report.manifest.may_vary}."
    unmeasured = "" if costs else " What it costs was not measured (--tolerance-cost)."
    return html.section(
        "What may vary",
        html.paragraph(said + unmeasured),
        html.grid(["tolerance", "found without it", "found with it"], rows) if costs else "",
        html.paragraph(f"Of {costs[0].faults} synthetic faults, with small banks.", soft=True) if costs else "",
    )


def regions(report: FitReport, gallery: Gallery) -> str:
    """Show where pictures are neither learnt nor judged."""
    if gallery.view is None:
        return ""
    said = next((note for note in report.survey.notes if note.startswith("`regions`")), "")
    return html.section(
        "Where it looks", html.paragraph(said), html.picture(gallery.view, "a picture with the regions drawn into it")
    )


def pictures(report: FitReport, _: Gallery) -> str:
    """Show what was read, and what was squashed, cropped or left out."""
    survey, calibration = report.survey, report.manifest.calibration
    sizes = ", ".join(f"{count} of {size}" for size, count in survey.sizes.items())
    spec = report.manifest.preprocessing
    rows = [
        ("used", f"{report.pictures}: {report.pictures - calibration.n} learnt from, {calibration.n} held out"),
        ("sizes", f"{sizes} pixels"),
        ("the network sees", f"{spec.crop_hw[1]} x {spec.crop_hw[0]} of {spec.resize_hw[1]} x {spec.resize_hw[0]}"),
        *([("cropped", f"{survey.unseen:.1%} at each end is not seen")] if survey.unseen else []),
        *([("copies", f"{survey.copies} left out")] if survey.copies else []),
        *([("unreadable", f"{len(report.skipped)} left out")] if report.skipped else []),
        *(("note", note) for note in survey.notes),
    ]
    return html.section("The pictures", html.table(rows))


def making(report: FitReport, _: Gallery) -> str:
    """Show how the bundle was made: time of each stage, options, versions."""
    manifest = report.manifest
    given = {name: getattr(report.options, name) for name in report.options.__struct_fields__}
    options = [(f"--{name.replace('_', '-')}", _option(given[name])) for name in given if _differs(name, given[name])]
    stages = [(stage, f"{seconds:.1f} s") for stage, seconds in report.seconds.items()]
    return html.section(
        "How it was made",
        html.table(
            [
                ("bundle", report.bundle_id),
                ("format", str(manifest.format_version)),
                ("on", _now()),
            ]
        ),
        "<h3>Options that differ from the default</h3>",
        html.table(options),
        "<h3>Time</h3>",
        html.table([*stages, ("together", f"{sum(report.seconds.values()):.1f} s")]),
        "<h3>Versions</h3>",
        html.table(manifest.versions.items()),
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _kind(kind: str, choice: Choice) -> str:
    """Show the faults of one kind: a row for each size, a column for each contrast."""
    rows = [row for row in choice.faults.found if row.kind == kind]
    by_place = {(row.size, row.contrast): row for row in rows}
    sizes = {row.size: f"{row.width} x {row.size}" if row.width != row.size else str(row.size) for row in rows}
    head = [f"{kind}, pixels", *(f"{contrast} levels" for contrast in choice.faults.contrasts)]
    cells = (
        [name, *(_share_cell(by_place[size, contrast].share) for contrast in choice.faults.contrasts)]
        for size, name in sizes.items()
    )
    return html.grid(head, cells)


def _share_cell(counted: Share) -> str:
    return f"{counted.found} of {counted.of} ({counted.low:.0%} to {counted.high:.0%})"


def _promise(rate: TradeOff) -> list[str]:
    figures = [f"{rate.alpha:.1%}", f"{rate.threshold:.3f}", f"{rate.promised_alpha:.2%}", f"{rate.upper_alpha:.2%}"]
    return figures + [_share_cell(counted) for counted in (rate.detected, rate.false_alarms) if counted]


def _found(rate: TradeOff) -> list[str]:
    return [f"{rate.alpha:.1%}", *(f"{found:.0%}" for found in (*rate.by_size, *rate.by_contrast))]


def _strange(picture: StrangePicture, shown: Thumbnail, threshold: float) -> str:
    place = "left out" if picture.excluded else "learnt from" if picture.learnt else "held out"
    mark = '<span class="missed">foreign</span>, ' if picture.foreign else ""
    figures = f"score {picture.score:.3f}, {picture.deviations:.1f} deviations"
    return html.with_heat(shown, threshold, picture.name, f"{escape(picture.name)}: {mark}{place}, {figures}")


def _option(value: object) -> str:
    """Return the value of an option, a list as on the command line."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _differs(name: str, value: object) -> bool:
    return name not in DEFAULTS or value != DEFAULTS[name]


def _draw_scores(axes: Axes, shown: Histogram, threshold: float) -> None:
    from matplotlib.ticker import MaxNLocator

    edges = np.array(shown.edges)
    for counts, label, colour in (
        (shown.learnt, "learnt", html.ANOMALOUS_COLOUR),
        (shown.held_out, "held out", html.NORMAL_COLOUR),
    ):
        if counts:
            axes.stairs(counts, edges, fill=True, alpha=0.6, label=f"{label} ({sum(counts)})", color=colour)
    axes.axvline(threshold, color="black", linestyle="--", linewidth=1, label="threshold")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="score", ylabel="pictures")
    axes.legend(fontsize=8)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
