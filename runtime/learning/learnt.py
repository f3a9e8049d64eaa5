"""What was learnt, and from what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.files import Bundle
from edge_config.bundle.manifest import Calibration, Scoring
from runtime.frame import Image
from runtime.learning.bank.bank import MemoryBank
from runtime.learning.gate.parity import MAX_PICTURES
from runtime.learning.gate.synthetic_faults import with_faults
from runtime.learning.learn_bank import Memory
from runtime.learning.network import Network
from runtime.learning.normals.exclude import Judged
from runtime.learning.options import LearnOptions
from runtime.learning.parts.gate import ServedParts
from runtime.learning.pictures.images import Pictures, spread
from runtime.learning.pictures.regions import Looked
from runtime.learning.pictures.survey import Survey
from runtime.learning.promise.promise import PromisedAlerts
from runtime.learning.report import StrangePicture
from runtime.learning.stopwatch import Stopwatch
from runtime.scoring.scorer import Scorer


@dataclass(frozen=True, slots=True)
class LearntBundle:
    """What was learnt, and from what.

    Attributes:
        bundle: the bundle, in the folder that it was written to.
        pictures, survey, looked: the pictures, findings about them, and where they are judged.
        network: adjusted as it is served.
        served: the pictures as a device scores them, wherever they are read.
        held: pictures that are held out, bool [pictures]; those that were left out count for neither kind.
        found: what was found about the pictures.
        scoring, scorer: score mode, and the stages as the device runs them.
        scores: of the held-out pictures, which set the threshold, float64 [n].
        calibration: the threshold.
        alerts: false alerts a day.
        warnings: what should be looked at before the bundle is trusted.
    """

    bundle: Bundle
    pictures: Pictures
    survey: Survey
    looked: Looked
    network: Network
    served: ServedParts
    held: NDArray[np.bool_]
    found: Judged[Memory]
    scoring: Scoring
    scorer: Scorer
    scores: NDArray[np.float64]
    calibration: Calibration
    alerts: PromisedAlerts
    warnings: list[str] = field(default_factory=list)

    @property
    def bank(self) -> MemoryBank:
        """The bank."""
        return self.found.memory[1]

    @property
    def compared(self) -> list[int]:
        """Numbers of the held-out pictures that a gate compares."""
        return spread(self.held, self.network.fewer(MAX_PICTURES))

    def facts(self, options: LearnOptions, timed: Stopwatch) -> dict[str, Any]:
        """Return the fields of a `LearnReport`, by name."""
        return {
            "manifest": self.bundle.manifest,
            "bundle_id": self.bundle.id,
            "pictures": int(self.found.kept.sum()),
            "skipped": list(self.pictures.skipped),
            "size_bytes": sum(entry.stat().st_size for entry in self.bundle.path.iterdir()),
            "seconds": timed.seconds,
            "survey": self.survey,
            "options": options,
            "strangest": msgspec.convert(self.found.strange, list[StrangePicture], from_attributes=True),
            "warnings": self.warnings,
            "alerts": self.alerts,
        }

    def pairs(self, seed: int) -> Iterator[tuple[Image, Image]]:
        """Read these pictures once more: each as it is, and with a synthetic fault."""
        return with_faults(self.pictures.again(self.compared), seed, self.looked.pixels)
