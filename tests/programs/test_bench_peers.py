"""The figures beside a peer: what the page and its chart say is what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from tests.programs.bench.peer_report import (
    ALERT,
    CHART,
    FIGURES,
    MAP,
    NONE,
    OURS,
    PAGE,
    PEER,
    SCORE,
    best,
    chart,
    publish,
    report,
)

DOCS = Path(__file__).parents[2] / "docs"


def row(who: str, engine: str, made: str, ratio: float, **changed: Any) -> dict[str, Any]:
    found = {"who": who, "engine": engine, "made": made, "threads": 1, "ratio": ratio, "p50_ms": 10 * ratio}
    found |= {"p95_ms": 12 * ratio, "score_difference": 1e-6, "equal": True, "start_s": 1.0, "memory_mb": 100}
    return found | {"in_force": "f32"} | changed


def rows() -> list[dict[str, Any]]:
    made = [row("network alone", "ONNX Runtime", NONE, 0.8, score_difference=None, equal=False)]
    made += [row(OURS, engine, makes, ratio) for makes in (SCORE, ALERT, MAP) for engine, ratio in ENGINES.items()]
    made += [row(PEER, "torch", makes, 7.0) for makes in (SCORE, MAP)]
    made += [row(PEER, "ONNX Runtime", makes, 4.5) for makes in (SCORE, MAP)]
    return [*made, row(PEER, "OpenVINO", MAP, 3.0, equal=False, score_difference=0.3, in_force="bf16")]


ENGINES = {"ONNX Runtime": 1.0, "OpenVINO": 0.9}


def test_the_best_of_the_peer_is_one_with_equal_scores() -> None:
    """The fastest whose scores are ours counts, over ours on the same or on another engine; a faster other does not."""
    found = best(rows(), MAP, 1)
    assert found is not None
    assert (found[0], found[1]["engine"]) == (4.5, "ONNX Runtime")
    beside = best(rows(), SCORE, 1, "OpenVINO")
    assert beside is not None
    assert beside[0] == 4.5 / 0.9


def test_what_was_not_run_is_said() -> None:
    """Without our rows on OpenVINO there is no ratio to them."""
    left = [one for one in rows() if (one["who"], one["engine"]) != (OURS, "OpenVINO")]
    assert best(left, SCORE, 1, "OpenVINO") is None


def test_the_chart_is_whole() -> None:
    """It is XML, has four texts for each contender, and pale bars are those of other scores alone."""
    tree = ET.fromstring(chart(rows()))  # noqa: S314 - our own
    texts = [one.text or "" for one in tree.iter("{http://www.w3.org/2000/svg}text")]
    for label in {f"{one['who']}: {one['engine']}" for one in rows() if one["who"] == PEER}:
        assert any(label in text for text in texts)
    pale = [one for one in tree.iter("{http://www.w3.org/2000/svg}rect") if "other" in (one.get("class") or "")]
    assert len(pale) == len(("ms", "start", "memory"))
    described = tree.find("{http://www.w3.org/2000/svg}desc")
    assert described is not None
    assert "4.5 times on 1 thread" in (described.text or "")


def test_page_and_chart_are_of_the_figures(tmp_path: Path) -> None:
    """What the page and the chart in the docs show is what its file of figures holds."""
    figures = json.loads((DOCS / FIGURES).read_text(encoding="utf-8"))
    for name in ("evidence", "images"):
        (tmp_path / name).mkdir()
    (tmp_path / PAGE).write_text((DOCS / PAGE).read_text(encoding="utf-8"), encoding="utf-8")
    publish(figures, tmp_path)
    for name in (FIGURES, PAGE, CHART):
        assert (tmp_path / name).read_text(encoding="utf-8") == (DOCS / name).read_text(encoding="utf-8")
    assert "\n".join(report(figures)) in (DOCS / PAGE).read_text(encoding="utf-8")
