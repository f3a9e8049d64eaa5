"""The threshold of a bundle: sections `calibration`, `excluded` and `alerts_promise` of the manifest."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from edge_config.bundle.fields import Count, Fraction, ManifestPart, NonNegative
from edge_config.bundle.held_out import MAX_SCORES, p_value


class Calibration(ManifestPart, frozen=True):
    """The threshold, from held-out normal pictures.

    Attributes:
        n: number of held-out pictures.
        alpha: wanted false-alarm rate, 0 to 1.
        promised_alpha: guaranteed false-alarm rate of the threshold, on average over calibrations; above alpha if n is
            too small to guarantee alpha.
        threshold: scores above it are anomalous.
        quantiles: quantiles of the n scores, by level such as "0.5".
        upper_alpha: the rate that this very calibration does not exceed with 95 % confidence.
        foreign: number of the n scores that are far above all others: counted as false alarms, so that they do not set
            the threshold. Its rank is at most n - foreign, and the promise is that of this rank.
        scores: the n scores in ascending order, for p-values; of more than 1,000 those of rank ceil(j n / 1,000), for
            j = 1 to 1,000.
    """

    n: Count
    alpha: Fraction
    promised_alpha: Fraction
    threshold: NonNegative
    quantiles: dict[str, float]
    upper_alpha: Fraction
    foreign: Annotated[int, Meta(ge=0, le=2**31)] = 0
    scores: Annotated[tuple[NonNegative, ...], Meta(max_length=MAX_SCORES)] = ()

    def __post_init__(self) -> None:
        """Check that a search in the scores finds its place."""
        if list(self.scores) != sorted(self.scores) or len(self.scores) > self.n:
            raise ValueError("`scores` are more than n, or not in ascending order")

    @property
    def median(self) -> float | None:
        """Median of the n scores; None if it is not recorded."""
        return self.quantiles.get("0.5")

    def p_value(self, score: float) -> float | None:
        """Return the conformal p-value of a score; None if no scores are recorded."""
        return p_value(score, self.n, self.scores)


class Outlier(ManifestPart, frozen=True):
    """A picture that was left out, because it is strange among the others.

    Attributes:
        name: path below the folder of the pictures, or number of the frame of a video.
        score: how strange it is: the score against the bank of the other pictures.
        deviations: how far the score is above the median of all pictures, in median absolute deviations.
        learnt: it was among the pictures to learn from; false for one to calibrate with.
    """

    name: str
    score: NonNegative
    deviations: float
    learnt: bool


class Excluded(ManifestPart, frozen=True):
    """The pictures that `--exclude` left out of bank, scene and calibration.

    Attributes:
        asked: `auto`, or the number of pictures to leave out.
        rule: how they were chosen, in words.
        pictures: the strangest first.
    """

    asked: Annotated[int, Meta(ge=1)] | Literal["auto"]
    rule: str
    pictures: tuple[Outlier, ...]


class AlertsPromise(ManifestPart, frozen=True):
    """False alerts a day, counted by the alert logic of the runtime over normal video that did not set the threshold.

    Attributes:
        alerts_a_day: expected number of false alerts a day at this frame rate.
        upper: number of false alerts a day that is not exceeded with 95 % confidence.
        basis: `counted` in the video, or `extrapolated` beyond it by a generalised Pareto tail.
        alerts: number of alerts in the video, each stretch of it judged by a threshold that the other stretches set.
        hours: duration of the video that was judged, hours.
        fps: frame rate of the video, frames per second.
        wanted: number of alerts a day that threshold and `min_ms` were chosen for; null if the threshold was set by
            the false-alarm rate of frames.
        min_ms: least duration of an alert, milliseconds, if the settings do not say otherwise; null: that of the
            settings' default.
    """

    alerts_a_day: NonNegative
    upper: NonNegative
    basis: Literal["counted", "extrapolated"]
    alerts: Annotated[int, Meta(ge=0)]
    hours: NonNegative
    fps: NonNegative
    wanted: NonNegative | None = None
    min_ms: Annotated[int, Meta(ge=0, le=3_600_000)] | None = None
