"""What learning comes to: `patchedge learn --json` prints it, and the workshop adds to it."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from edge_config.bundle.manifest import Manifest
from runtime.learning.options import LearnOptions
from runtime.learning.pictures.survey import Survey
from runtime.learning.promise.promise import PromisedAlerts


class StrangePicture(msgspec.Struct, frozen=True, kw_only=True):
    """One of the strangest normal pictures.

    Attributes:
        name: of the picture, below the folder of the pictures.
        score: how strange it is: its score against the bank of the other pictures.
        deviations: how far that is above the median, in median absolute deviations.
        learnt: it is in the bank; false for a held-out picture.
        foreign: the rule calls it foreign.
        excluded: it was left out.
    """

    name: str
    score: float
    deviations: float
    learnt: bool
    foreign: bool
    excluded: bool


@dataclass(slots=True, kw_only=True)
class LearnReport:
    """Result of `learn`.

    Attributes:
        manifest: manifest of the bundle.
        bundle_id: id of the bundle.
        pictures: number of pictures used, including held-out ones.
        skipped: number of pictures that could not be read.
        size_bytes: size of the bundle on disk.
        seconds: time of each stage, in order.
        survey: findings about the pictures.
        options: options.
        warnings: what should be looked at before the bundle is trusted.
        strangest: the strangest normal pictures, those that were left out first.
        alerts: false alerts a day.
    """

    manifest: Manifest
    bundle_id: str
    pictures: int
    skipped: list[str]
    size_bytes: int
    seconds: dict[str, float]
    survey: Survey
    options: LearnOptions
    warnings: list[str] = field(default_factory=list)
    strangest: list[StrangePicture] = field(default_factory=list)
    alerts: PromisedAlerts = field(default_factory=PromisedAlerts)
