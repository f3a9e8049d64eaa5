"""Sentences about a fit that the summary and the page share."""

from __future__ import annotations

from export.report.facts import Faults, Found, Patch

_ACROSS = {"spot": "spots", "stain": "stains", "scratch": "scratches"}


def smallest(faults: Faults) -> str:
    """Return which synthetic faults are likely found, and which are too small."""
    kinds = list(dict.fromkeys(row.kind for row in faults.found))
    found = {row.kind: row for row in faults.smallest}
    likely = ", ".join(f"{_ACROSS[kind]} from {_size(found[kind])}" for kind in kinds if kind in found)
    none = ", ".join(_ACROSS[kind] for kind in kinds if kind not in found)
    parts = [
        f"synthetic {likely} are likely found at {max(faults.contrasts)} grey levels" if likely else "",
        f"{none} of every size tried (up to {max(faults.sizes)} pixels) are likely missed" if none else "",
        "smaller or fainter ones are likely missed" if likely else "",
    ]
    return "; ".join(part for part in parts if part)


def patch(seen: Patch) -> str:
    """Return what one patch stands for."""
    (height, width), (rows, columns) = seen.picture_hw, seen.cell_hw
    return f"one patch covers {columns:.3g} x {rows:.3g} pixels of a picture of {width} x {height}"


def _size(row: Found) -> str:
    return f"{row.width} x {row.size} pixels" if row.kind == "scratch" else f"{row.size} pixels across"
