"""Building blocks of self-contained HTML pages: tables, charts as SVG, pictures with heat maps; for light and dark."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import cv2
import numpy as np

from export.thumbnail import Thumbnail
from runtime.frame import Image

if TYPE_CHECKING:  # matplotlib takes half a second: only what draws loads it
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize

P = ParamSpec("P")

COLDEST, HOTTEST = 0.5, 1.5
"""The colours of all heat maps go from here to there, in thresholds: what is normal everywhere stays dark."""

HEAT_OPACITY = 0.7  # of the hottest places; what is cold stays as it is
SMALLEST = 1e-9  # a scale where the threshold is 0: something to divide by
COLOURS = "inferno"
NORMAL_COLOUR, ANOMALOUS_COLOUR = "tab:blue", "tab:orange"
OUTLINE_BGR = (0, 255, 0)
JPEG_QUALITY = 85

_INK = "#000000"
"""The colour that charts draw text and lines in: on the page it becomes that of the text, light or dark."""

_SVG: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "patchedge", "legend.frameon": False}

_SOFT, _NUMBER = ' class="soft"', ' class="number"'

_STYLE = """
:root { color-scheme: light dark; --text: #222; --back: #fff; --line: #ddd; --bad: #b00; --soft: #666; }
@media (prefers-color-scheme: dark) {
  :root { --text: #ddd; --back: #181818; --line: #444; --bad: #ff7b6b; --soft: #999; }
}
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1080px; margin: 2em auto; padding: 0 1em;
  color: var(--text); background: var(--back); }
table { border-collapse: collapse; margin: 1em 0; }
th, td { text-align: left; vertical-align: top; padding: .25em 1.2em .25em 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
img, svg { max-width: 100%; height: auto; }
svg text { fill: currentColor; }
figure { display: inline-block; margin: 0 1em 1em 0; vertical-align: top; max-width: 490px; }
figcaption { font-size: 13px; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
.soft { color: var(--soft); }
.missed { color: var(--bad); font-weight: 600; }
"""


def document(title: str, sections: Iterable[str]) -> str:
    """Return a whole page, its title as the heading; empty sections are left out."""
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
    )
    body = "\n".join([f"<h1>{escape(title)}</h1>", *filter(None, sections)])
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>\n{body}\n</body></html>\n'


def section(title: str, *parts: str) -> str:
    """Return a section under a heading of the second level; `parts` are HTML."""
    return "\n".join([f"<h2>{escape(title)}</h2>", *filter(None, parts)])


def paragraph(text: str, *, soft: bool = False) -> str:
    """Return a paragraph of plain text; `soft` for a remark."""
    return f"<p{_SOFT if soft else ''}>{escape(text)}</p>"


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Return a table of names and texts."""
    cells = (f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows)
    return f"<table>{''.join(cells)}</table>"


def grid(head: Sequence[str], rows: Iterable[Sequence[str]], *, text_columns: int = 1) -> str:
    """Return a table with a heading for each column, in which all but the first columns are numbers."""

    def row(tag: str, cells: Sequence[str]) -> str:
        written = (
            f"<{tag}{'' if column < text_columns else _NUMBER}>{escape(cell)}</{tag}>"
            for column, cell in enumerate(cells)
        )
        return f"<tr>{''.join(written)}</tr>"

    return f'<div class="wide"><table>{row("th", head)}{"".join(row("td", cells) for cells in rows)}</table></div>'


def chart(
    draw: Callable[Concatenate[Axes, P], None],
    size: tuple[float, float],
    what: str,
    *args: P.args,
    **kwargs: P.kwargs,
) -> str:
    """Draw into axes of their own, of a size in inches, and return the SVG; `what` describes it for screen readers."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_SVG):
        figure = Figure(figsize=size, layout="constrained", facecolor="none")
        axes = figure.add_subplot(facecolor="none")
        draw(axes, *args, **kwargs)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _inline(stream.getvalue(), what)


def _inline(svg: str, what: str) -> str:
    """Return the SVG for the inside of a page: no prolog, no names of schemas, ink in the colour of the text."""
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r' id="[A-Za-z0-9.]+_\d+"', "", svg)  # of groups: they are the same in each chart
    svg = re.sub(r"(font: [\d.]+px) [^;\"]*", r"\1 system-ui, sans-serif", svg)
    return svg.replace(_INK, "currentColor").replace("<svg", f'<svg role="img" aria-label="{escape(what)}"', 1)


def picture(image: Image, what: str) -> str:
    """Return an image as a small JPEG inside the page."""
    data = bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1])
    return f'<img src="data:image/jpeg;base64,{base64.b64encode(data).decode()}" alt="{escape(what)}">'


def with_heat(shown: Thumbnail, threshold: float, name: str, caption: str) -> str:
    """Return a picture, and beside it the same with its heat map and ground truth; `caption` is HTML."""
    both = picture(np.hstack([shown.image, _overlay(shown, threshold)]), f"{name} and its heat map")
    return f"<figure>{both}<figcaption>{caption}</figcaption></figure>"


def colour_scale(threshold: float) -> str:
    """Return the colours of all heat maps of a page."""
    return chart(_draw_colours, (6.0, 0.9), "colour scale", threshold)


def _draw_colours(axes: Axes, threshold: float) -> None:
    from matplotlib.cm import ScalarMappable

    colours = ScalarMappable(_scale(threshold), COLOURS)
    bar = axes.figure.colorbar(colours, cax=axes, orientation="horizontal", label="patch distance")
    bar.ax.axvline(threshold, color="white", linestyle="--", linewidth=1)


def _overlay(shown: Thumbnail, threshold: float) -> Image:
    """Lay the heat map over the picture, the more opaque the hotter, and draw the outline of the truth."""
    from matplotlib import colormaps

    share = np.clip(_scale(threshold)(shown.heat), 0, 1)
    colours = colormaps[COLOURS](share)[..., 2::-1] * 255
    opacity = HEAT_OPACITY * share[..., None]
    blend = np.ascontiguousarray((shown.image * (1 - opacity) + colours * opacity).astype(np.uint8))
    if shown.mask is not None:
        outlines, _ = cv2.findContours(shown.mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(blend, outlines, -1, OUTLINE_BGR, 1)
    return blend


def _scale(threshold: float) -> Normalize:
    from matplotlib.colors import Normalize

    unit = max(threshold, SMALLEST)
    return Normalize(COLDEST * unit, HOTTEST * unit)
