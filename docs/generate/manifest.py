"""manifest.json of a bundle, part by part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args, get_origin

import msgspec

from docs.generate.describe import Field, attributes, default, fields, range_of, summary, table
from edge_config.bundle import lineage, manifest, may_vary, parity_result

PARTS: Mapping[str, type[msgspec.Struct]] = {
    "manifest": manifest.Manifest,
    "files": manifest.FileEntry,
    "preprocessing": manifest.Preprocessing,
    "tiles": manifest.Tiles,
    "features": manifest.Features,
    "int8plan": manifest.Int8Plan,
    "coreset": manifest.Coreset,
    "index": manifest.Index,
    "scoring": manifest.Scoring,
    "calibration": manifest.Calibration,
    "alerts_promise": manifest.AlertsPromise,
    "parity": parity_result.Parity,
    "comparison": parity_result.Comparison,
    "difference": parity_result.Difference,
    "tolerance": parity_result.Tolerance,
    "scene": manifest.Scene,
    "usual": may_vary.Usual,
    "excluded": manifest.Excluded,
    "outlier": manifest.Outlier,
    "may_vary": may_vary.MayVary,
    "lineage": lineage.Lineage,
    "learnt_picture": lineage.LearntPicture,
    "held_out_score": lineage.HeldOutScore,
}
"""Heading on the page -> the part that it describes."""

_ZEROS = "0" * 64
_NAMES = {kind: name for name, kind in PARTS.items()}


def part(name: str) -> str:
    """Return the summary and the table of fields of a part of the manifest."""
    kind = PARTS[name]
    said = {name: _linked(text) for name, text in attributes(kind).items()}
    rows = [(f"`{one.name}`", _type(one.type), _if_left_out(one), said[one.name]) for one in fields(kind)]
    return f"{summary(kind)}\n\n{table(('Field', 'Type', 'If left out', 'Meaning'), rows)}"


def _if_left_out(field: Field) -> str:
    """Return the default of a field; one of zeros is a place that the writer fills."""
    if field.required or field.default == _ZEROS:
        return "**required**"
    return "`null`" if field.default is None else default(field)


def _type(kind: Any) -> str:
    """Return the type of a field, with its range."""
    inner = next((one for one in (kind, *get_args(kind)) if one in _NAMES), None)
    if inner is None:
        return range_of(kind)
    link = f"[{_NAMES[inner]}](#{_NAMES[inner]})"
    if inner is kind or msgspec.UnsetType in get_args(kind):
        return f"object: {link}"
    if type(None) in get_args(kind):
        return f"object or null: {link}"
    return f"list of {link}" if get_origin(kind) is tuple else f"object: name to {link}"


def _linked(text: str) -> str:
    """Write other parts by their headings."""
    for kind, name in _NAMES.items():
        text = text.replace(f"`{kind.__name__}`", f"[{name}](#{name})")
    return text


FILLERS: dict[str, Callable[..., str]] = {"part": part}
