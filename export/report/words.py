"""Sentences about a fit that the summary and the page share."""

from __future__ import annotations

from export.report.facts import Faults, Found, Patch

_ACROSS = {"spot": "spots", "stain": "stains", "scratch": "scratches"}


def smallest(faults: Faults) -> str:
    """Return which synthetic faults are likely found, and which are too small."""
    kinds = list(dict.fromkeys(row.kind for row in faults.found))
    found = {row.kind: row for row in faults.smallest}
    likely = ", ".join(f"{_ACROSS[kind]} from {_likely(found[kind], faults)}" for kind in kinds if kind in found)
    none = ", ".join(_ACROSS[kind] for kind in kinds if kind not in found)
    parts = [
        f"synthetic {likely} are likely found at {max(faults.contrasts)} grey levels" if likely else "",
        f"{none} of every size tried (up to {max(faults.sizes)} pixels) are likely missed" if none else "",
        "smaller or fainter ones are likely missed" if likely else "",
    ]
    return "; ".join(part for part in parts if part)


def _likely(row: Found, faults: Faults) -> str:
    """Return a size, and how many were found of the next smaller one that was tried."""
    same = [one for one in faults.found if (one.kind, one.contrast) == (row.kind, row.contrast) and one.size < row.size]
    if not same:
        return f"{_size(row)} pixels"
    smaller = max(same, key=lambda one: one.size)
    return f"{_size(row)} pixels ({_size(smaller)}: {smaller.share.found} of {smaller.share.of})"


def patch(seen: Patch) -> str:
    """Return what one patch stands for."""
    (height, width), (rows, columns) = seen.picture_hw, seen.cell_hw
    return f"one patch covers {columns:.3g} x {rows:.3g} pixels of a picture of {width} x {height}"


def _size(row: Found) -> str:
    return f"{row.width} x {row.size}" if row.kind == "scratch" else str(row.size)
