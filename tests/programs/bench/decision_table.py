"""The rows of `tests.programs.bench.decisions` in Markdown, and the floors that the defaults must hold."""

from __future__ import annotations

from typing import Any

from scipy.stats import beta, betabinom

FLOORS = {
    "bottle": (1.0, 1.0),
    "cookie": (0.998, 1.0),
    "pill": (0.975, 0.70),
    "cells": (0.965, 0.82),
    "transistor": (0.98, 0.95),
    "office": (1.0, 1.0),
}
"""Set -> image AUROC, and share of the faults over the threshold, that the defaults must reach."""

LIMIT = 0.99
"""Quantile of the number of false alarms that the promise allows on a test of this size."""

CONFIDENCE = 0.95
OK, FAIL = "ok  ", "FAIL"


def most_false_alarms(row: dict[str, Any]) -> int:
    """Return the `LIMIT` quantile of false alarms on m new normal pictures: beta-binomial(m; n + 1 - r, r)."""
    over = row["promised"] * (row["held_out"] + 1)  # n + 1 - r
    return int(betabinom(row["good"], over, row["held_out"] + 1 - over).ppf(LIMIT))


def interval(found: int, of: int) -> tuple[float, float]:
    """Return the Clopper-Pearson interval of a share."""
    tail = (1 - CONFIDENCE) / 2
    low = 0.0 if found == 0 else float(beta.ppf(tail, found, of - found + 1))
    high = 1.0 if found == of else float(beta.ppf(1 - tail, found + 1, of - found))
    return low, high


def as_markdown(rows: list[dict[str, Any]]) -> str:
    """Write the rows, with the means of each variant over its sets."""
    head = (
        "| variant | set | image AUROC | threshold | detected | 95 % interval | false alarms | at most | bank | fit s |"
    )
    lines = [head, "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|"]
    for variant in dict.fromkeys(row["variant"] for row in rows):
        own = [row for row in rows if row["variant"] == variant]
        lines += [_line(row) for row in own]
        auroc, detected = (sum(values) / len(own) for values in zip(*map(_figures, own), strict=True))
        lines.append(f"| {variant} | mean of {len(own)} | {auroc:.4f} | | {detected:.1%} | | | | | |")
    return "\n".join(lines)


def _line(row: dict[str, Any]) -> str:
    low, high = interval(row["detected"], row["faults"])
    cells = (
        row["variant"],
        row["set"],
        f"{row['auroc']:.4f}",
        f"{row['threshold']:.4g}",
        f"{row['detected'] / row['faults']:.1%}",
        f"{low:.1%} to {high:.1%}",
        f"{row['false_alarms']} of {row['good']}",
        str(most_false_alarms(row)),
        f"{row['bank']:,}",
        f"{row['fit_s']:.0f}",
    )
    return f"| {' | '.join(cells)} |"


def _figures(row: dict[str, Any]) -> tuple[float, float]:
    return row["auroc"], row["detected"] / row["faults"]


def in_words(row: dict[str, Any]) -> str:
    """Write a row on a line, while others are still measured."""
    return (
        f"{row['variant']:<15} {row['set']:<11} AUROC {row['auroc']:.4f}, {row['detected']} of {row['faults']} found, "
        f"{row['false_alarms']} of {row['good']} false alarms (at most {most_false_alarms(row)}), "
        f"bank {row['bank']:,}, fit {row['fit_s']:.0f} s and {row['peak_mb']:.0f} MB, test {row['test_s']:.0f} s"
    )


def verdicts(rows: list[dict[str, Any]]) -> list[str]:
    """Compare the defaults with the floors, a line for each."""
    lines = []
    for row in rows:
        if row["set"] not in FLOORS:
            continue
        (auroc, detected), (floor, share) = _figures(row), FLOORS[row["set"]]
        most = most_false_alarms(row)
        for holds, text in (
            (auroc >= floor, f"image AUROC {auroc:.4f}, at least {floor}"),
            (detected >= share, f"detected {detected:.1%}, at least {share:.0%}"),
            (row["false_alarms"] <= most, f"false alarms {row['false_alarms']} of {row['good']}, at most {most}"),
        ):
            lines.append(f"{OK if holds else FAIL} {row['set']:<11} {text}")
    return lines
