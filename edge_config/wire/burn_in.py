"""Burn-in: its request, and what is known of it in replies, in the status and on the disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from edge_config.duration import Duration
from edge_config.wire.request_base import CameraName, Request

ALERTS_PER_DAY = 1.0
"""Default of the wanted number of false alerts a day."""

MIN_BURN_IN_S, MAX_BURN_IN_S = 600.0, 30 * 86_400.0
"""Shortest and longest burn-in, seconds: less says nothing of a day."""

MAX_NAMED = 20
"""Maximum number of alerts that are named, with their times."""


class BurnIn(Request, frozen=True, tag="burn_in"):
    """Watch a camera for a while in the shadow of its threshold, and set another for a wanted number of false alerts.

    Attributes:
        camera: name of the camera.
        do: `start` begins; alerts go on by the threshold in service. `stop` ends it now, and what was watched becomes a
            proposal. `apply` puts the proposal into service. `drop` goes back to the threshold of the bundle, and drops
            the proposal.
        duration: time to watch, such as 24h; for `start`.
        alerts_per_day: wanted number of false alerts a day; for `start`. By default that of the settings.
        apply: put the threshold into service at the end, unless something speaks against it; for `start`.
        all: take the threshold that counts what was set aside as false alerts; for `apply`.
        force: put it into service although something speaks against it; for `apply`.
    """

    camera: CameraName
    do: Literal["start", "stop", "apply", "drop"] = "start"
    duration: Duration = "24h"
    alerts_per_day: Annotated[float, Meta(gt=0, le=1e6)] | None = None
    apply: bool = False
    all: bool = False
    force: bool = False


class Aside(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was far above all other scores, and did not set the threshold.

    Attributes:
        at: wall clock of its first frame (ISO 8601, UTC).
        seconds: how long it lasted.
        peak: its highest score.
    """

    at: str
    seconds: float
    peak: float


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What a burn-in found.

    Attributes:
        bundle: id of the bundle that scored.
        since: wall clock of the first frame (ISO 8601, UTC).
        until: wall clock of the last frame.
        hours: watched time, without gaps.
        gaps: number of interruptions.
        gap_hours: their time.
        fps: usual frame rate, frames per second.
        frames: number of scores.
        was: threshold of the bundle.
        wanted: number of false alerts a day that was asked for.
        threshold: for the wanted number; null if there is none.
        threshold_of_all: the same, if what was set aside were false alerts too; null if nothing was set aside.
        basis: `counted` in the watched time, or `extrapolated` beyond it by a generalised Pareto tail.
        alerts_a_day: expected number of false alerts a day.
        upper: number of false alerts a day that is not exceeded with 95 % confidence.
        alerts: number of alerts in the watched time, each part of it judged by a threshold that the other parts set.
        alerts_at: when they began (ISO 8601, UTC), the first 20.
        aside: what was set aside, the first 20.
        asides: number of times that something was set aside.
        alert_settings: the settings that alerts were counted with.
        problems: what speaks against the threshold: then it is not put into service without `force`.
    """

    bundle: str
    since: str
    until: str
    hours: float
    gaps: int
    gap_hours: float
    fps: float
    frames: int
    was: float
    wanted: float
    threshold: float | None = None
    threshold_of_all: float | None = None
    basis: Literal["counted", "extrapolated"] | None = None
    alerts_a_day: float | None = None
    upper: float | None = None
    alerts: int = 0
    alerts_at: tuple[str, ...] = ()
    aside: tuple[Aside, ...] = ()
    asides: int = 0
    alert_settings: dict[str, Any] = {}
    problems: tuple[str, ...] = ()


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """A threshold that a burn-in set.

    Attributes:
        threshold: scores above it are anomalous, unless the settings have a threshold, or another bundle serves.
        proposal: its evidence.
        at: when it was put into service (ISO 8601, UTC).
        by: key of the client that did it; empty: the end of the burn-in, or a device without keys.
    """

    threshold: float
    proposal: Proposal
    at: str
    by: str = ""


class BurnInStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Status of the burn-in of a camera, as `status` and the request `burn_in` return it.

    Attributes:
        phase: `off`; `running`; or `evaluating`, when the watched scores are being counted.
        silent: no alert is raised while it runs.
        wanted: number of false alerts a day that is asked for.
        watched_s: watched time so far, seconds.
        left_s: watched time that is left, seconds; null if it is not running.
        gaps: number of interruptions so far.
        gap_s: their time, seconds.
        note: what there is to know, in a sentence; empty: nothing.
        proposal: what the last one found, if it is not in service.
        applied: the threshold that a burn-in set; null if there is none.
        in_service: whether that threshold decides: the settings have none, and the bundle is the one that it is for.
    """

    phase: Literal["off", "running", "evaluating"] = "off"
    silent: bool = False
    wanted: float = ALERTS_PER_DAY
    watched_s: float = 0.0
    left_s: float | None = None
    gaps: int = 0
    gap_s: float = 0.0
    note: str = ""
    proposal: Proposal | None = None
    applied: Applied | None = None
    in_service: bool = False


OfBurnIn = BurnIn
"""All requests about burn-in."""

REPLIES: Mapping[str, type[msgspec.Struct]] = {"burn_in": BurnInStatus}
"""Name of a request -> the type of its reply."""
