"""The figures of `peers.py` for readers: tables in Markdown, and a chart as SVG, readable in light and dark.

Usage: python -m tests.programs.bench.peer_report FIGURES.json DOCS_FOLDER writes both into the docs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

OURS, PEER = "patchedge", "anomalib"
SCORE, ALERT, MAP, NONE = "score", "score and map of an alert", "score and map", "features"
BEGIN, END = "<!-- written by make bench-peers -->", "<!-- end of what make bench-peers writes -->"
FIGURES, PAGE, CHART = "evidence/peers.json", "evidence/peers.md", "images/peers.svg"

BUSY = 3.0
"""Load of two cores at the beginning, from which on others have most of them."""

Row = Mapping[str, Any]


class Named(NamedTuple):
    """A contender: whose it is, on what it runs, what it makes of a picture."""

    who: str
    engine: str
    made: str

    @classmethod
    def of(cls, row: Row) -> Named:
        """Return the contender of a row."""
        return cls(row["who"], row["engine"], row["made"])


def report(figures: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of the page that hold figures."""
    frames, coreset = figures["frames"], figures["coreset"]
    versions = ", ".join(f"{tool} {version}" for tool, version in figures["versions"].items())
    yield "| | |"
    yield "|---|---|"
    yield f"| date | {figures['date'][:10]}, patchedge at {figures['commit']} |"
    yield f"| machine | {figures['processor']}, {figures['machine'].split(', Python')[0]}; load {figures['load']} |"
    yield f"| versions | {versions}{_versions_in_force(frames)} |"
    network = f"{figures['network']} with {figures['weights']}"
    yield f"| network | {network}; {' + '.join(figures['layers'])}, {figures['size']} px |"
    yield f"| bank | the same {figures['entries']:,} entries in both |"
    rounds = f"{figures['rounds']} rounds of {figures['frames_a_round']} pictures"
    yield f"| frames | medians over {rounds}, each contender in each round; start: median of {figures['starts']} |"
    if figures["load"] > BUSY:
        yield from ("", "**Other programs took most of the machine: times say little, and ratios are rough.**")
    if frames:
        yield from ("", "## At equal score", "", *_best(frames))
        yield from ("", "## All of them", "", *_all(frames))
    if coreset:
        yield from ("", "## The coreset", "", *_coreset(coreset))


def publish(figures: Mapping[str, Any], docs: Path) -> None:
    """Write figures, chart, and the part of the page between its two marks."""
    (docs / FIGURES).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    (docs / CHART).write_text(chart(figures["frames"]), encoding="utf-8")
    before, _, rest = (docs / PAGE).read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    block = "\n".join(report(figures))
    (docs / PAGE).write_text(f"{before}{BEGIN}\n\n{block}\n\n{END}{after}", encoding="utf-8")


def best(frames: Sequence[Row], made: str, threads: int, engine: str = "ONNX Runtime") -> tuple[float, Row] | None:
    """Return the peer's least time over ours on an engine, at equal scores, and its row; None if ours was not run.

    Beside our map of an alert is the peer's map: it makes no other.
    """
    rows = [row for row in frames if row["threads"] == threads and row["equal"]]
    ours = [row["ratio"] for row in rows if Named.of(row) == Named(OURS, engine, made)]
    theirs = [row for row in rows if row["who"] == PEER and row["made"] == (MAP if made == ALERT else made)]
    if not (ours and theirs):
        return None
    fastest = min(theirs, key=lambda row: float(row["ratio"]))
    return fastest["ratio"] / ours[0], fastest


def _best(frames: Sequence[Row]) -> Iterator[str]:
    """Yield a table of the best of the peer's over ours."""
    counts = list(dict.fromkeys(row["threads"] for row in frames))
    yield "The time of the fastest of anomalib's that has the same scores, over ours:"
    yield ""
    yield "| | ours on | " + " | ".join(_threads(count) for count in counts) + " |"
    yield "|---|---|" + "--:|" * len(counts)
    for made in (SCORE, ALERT, MAP):
        for engine in ("ONNX Runtime", "OpenVINO"):
            found = [best(frames, made, count, engine) for count in counts]
            cells = [f"{one[0]:.1f} ({one[1]['engine']})" if one else "not run" for one in found]
            yield f"| {made} | {engine} | {' | '.join(cells)} |"


def _all(frames: Sequence[Row]) -> Iterator[str]:
    """Yield a table with a line for each contender; start and memory are those of the first number of threads."""
    counts = list(dict.fromkeys(row["threads"] for row in frames))
    columns = [cell for count in counts for cell in (f"ms p50 / p95, {_threads(count)}", "times ours")]
    yield f"| | makes | {' | '.join(columns)} | start, s | memory, MB | score differs by |"
    yield "|---|---" + "|--:" * (len(columns) + 3) + "|"
    for name in dict.fromkeys(map(Named.of, frames)):
        mine = {row["threads"]: row for row in frames if Named.of(row) == name}
        cells = [
            cell
            for row in map(mine.get, counts)
            for cell in ((f"{row['p50_ms']:.1f} / {row['p95_ms']:.1f}", f"{row['ratio']:.2f}") if row else ("-", "-"))
        ]
        first = mine[counts[0]]
        apart = [row["score_difference"] for row in mine.values() if row["score_difference"] is not None]
        cells += [f"{first['start_s']:.1f}", f"{first['memory_mb']}", f"{max(apart):.0e}" if apart else "-"]
        yield f"| {_label(name, first)} | {name.made} | {' | '.join(cells)} |"


def _coreset(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a table of the time to select a coreset."""
    counts = list(dict.fromkeys(row["threads"] for row in rows))
    first = rows[-1]
    yield f"{first['entries']:,} entries out of {first['patches']:,} features of {first['dimension']} numbers."
    if first["measured_entries"] < first["entries"]:
        yield f"The peer's time is extrapolated from its first {first['measured_entries']:,}: each costs it the same."
    yield ""
    yield "| | " + " | ".join(f"s, {_threads(count)} | times ours" for count in counts) + " | covering radius |"
    yield "|---" + "|--:" * (2 * len(counts) + 1) + "|"
    for name in dict.fromkeys(row["contender"] for row in rows):
        mine = [row for row in rows if row["contender"] == name]
        cells = [cell for row in mine for cell in (f"{row['seconds']:.2f}", f"{row['ratio']:.0f}")]
        radius = mine[-1]["radius"]
        yield f"| {name} | {' | '.join(cells)} | {'-' if radius is None else f'{radius:.3f}'} |"


def _versions_in_force(frames: Sequence[Row]) -> str:
    found = {row["in_force"] for row in frames if row["who"] == OURS and row["engine"] == "OpenVINO"}
    return f"; ours on OpenVINO: {', '.join(sorted(found))}" if found else ""


def _label(name: Named, row: Row) -> str:
    precision = f" ({row['in_force']})" if "OpenVINO" in name.engine and name.who != OURS else ""
    return f"{name.who}: {name.engine}{precision}"


def _threads(count: int) -> str:
    return f"{count} thread" + ("s" if count > 1 else "")


LABELS, BAR, GAP, ROW, TOP = 276, 64, 44, 20, 62
"""Of the chart, in pixels: the labels' width, the longest bar, room for its figure, a row, and where rows begin."""

STYLE = """
    text { font-family: sans-serif; font-size: 12px; fill: #1f2933; }
    .card { fill: #ffffff; stroke: #d5dbe3; }
    .head { font-weight: bold; }
    .end { text-anchor: end; }
    .patchedge { fill: #2563eb; }
    .alone { fill: #9aa5b1; }
    .anomalib { fill: #e07b39; }
    .other { opacity: 0.45; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e4e9f0; }
      .card { fill: #14181d; stroke: #3b4552; }
      .patchedge { fill: #60a5fa; }
      .alone { fill: #616e7c; }
    }
"""


def chart(frames: Sequence[Row]) -> str:
    """Return the chart: a row of bars for each contender, pale where its scores are not ours."""
    counts = list(dict.fromkeys(row["threads"] for row in frames))
    columns: list[tuple[str, Callable[[Mapping[int, Row]], float]]] = [
        (f"ms, {_threads(count)}", lambda mine, count=count: mine[count]["p50_ms"]) for count in counts
    ]
    columns += [("start, s", lambda mine: mine[counts[0]]["start_s"])]
    columns += [("memory, MB", lambda mine: mine[counts[0]]["memory_mb"])]
    parts, y = [], TOP
    for made, title in TITLES.items():
        names = [name for name in dict.fromkeys(map(Named.of, frames)) if name.made == made]
        parts.append(f'<text class="head" x="12" y="{y - 6}">{title}</text>')
        for name in names:
            mine = {row["threads"]: row for row in frames if Named.of(row) == name}
            parts += _bars(name, mine, columns, frames, y)
            y += ROW
        y += ROW + 4
    width, height = LABELS + len(columns) * (BAR + GAP) + 8, y - ROW + 4
    heads = [
        f'<text class="head" x="{LABELS + at * (BAR + GAP)}" y="24">{title}</text>'
        for at, (title, _) in enumerate(columns)
    ]
    body = "\n  ".join(
        [f'<rect class="card" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}"/>', *heads, *parts]
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-labelledby="title desc">\n  <title id="title">patchedge beside anomalib</title>\n'
        f'  <desc id="desc">{escape(in_words(frames))}</desc>\n  <style>{STYLE}  </style>\n  {body}\n</svg>\n'
    )


TITLES = {
    NONE: "The network alone",
    SCORE: "A score",
    ALERT: "A score, and a map exact over the threshold",
    MAP: "A score, and a map exact everywhere",
}


def _bars(
    name: Named,
    mine: Mapping[int, Row],
    columns: Sequence[tuple[str, Callable[[Mapping[int, Row]], float]]],
    frames: Sequence[Row],
    y: int,
) -> Iterator[str]:
    """Yield label, bars and figures of a row of the chart."""
    kind = "alone" if name.made == NONE else name.who
    first = next(iter(mine.values()))
    other = "" if name.made == NONE or all(row["equal"] for row in mine.values()) else " other"
    yield f'<text x="24" y="{y + 13}">{escape(_label(name, first).removeprefix("network alone: "))}</text>'
    every = [{row["threads"]: row for row in frames if Named.of(row) == one} for one in map(Named.of, frames)]
    for at, (_, value) in enumerate(columns):
        x, found = LABELS + at * (BAR + GAP), value(mine)
        length = max(1.0, BAR * found / max(map(value, every)))
        yield f'<rect class="{kind}{other}" x="{x}" y="{y + 3}" width="{length:.1f}" height="{ROW - 7}"/>'
        yield f'<text x="{x + length + 4:.1f}" y="{y + 13}">{found:{".1f" if found < 100 else ",.0f"}}</text>'


def in_words(frames: Sequence[Row]) -> str:
    """Return what the chart shows, in a sentence for readers that do not see it."""
    counts = list(dict.fromkeys(row["threads"] for row in frames))
    said = []
    for made in (SCORE, ALERT, MAP):
        found = [(best(frames, made, count), count) for count in counts]
        times = " and ".join(f"{one[0]:.1f} times on {_threads(count)}" for one, count in found if one)
        said.append(f"for a {made} the fastest of anomalib's with the same scores takes {times}")
    return f"Bars of time, start and memory. Of the time of patchedge, {', '.join(said)}."


if __name__ == "__main__":
    publish(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
