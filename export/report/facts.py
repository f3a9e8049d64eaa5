"""Facts about a fit: `patchedge-export fit --json` prints them, and the page shows them."""

from __future__ import annotations

from dataclasses import dataclass

from edge_config.bundle.manifest import Manifest
from export.gate.int8_cost import Cost
from export.pictures.survey import Survey


@dataclass(slots=True)
class FitReport:
    """Result of `fit`.

    Attributes:
        manifest: manifest of the bundle.
        bundle_id: id of the bundle.
        pictures: number of pictures used, including held-out ones.
        skipped: number of pictures that could not be read.
        size_bytes: size of the bundle on disk.
        seconds: time of each stage, in order.
        survey: findings about the pictures.
        int8_cost: accuracy cost of int8; None with float32.
    """

    manifest: Manifest
    bundle_id: str
    pictures: int
    skipped: list[str]
    size_bytes: int
    seconds: dict[str, float]
    survey: Survey
    int8_cost: Cost | None = None
