"""Learn on, compare versions of a camera, and go back."""

from __future__ import annotations

import msgspec

from edge_config.wire.versions import (
    BundleId,
    LearningProgress,
    LearnOn,
    Rollback,
    RolledBack,
    StopLearning,
    Versions,
    VersionsKept,
)
from runtime.page.api.endpoint import Call, Endpoint
from runtime.page.api.of_device.to_device import LONG_S, ask_camera


class HowToLearn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to learn on.

    Attributes:
        force: put the version that waits into service in spite of its problems; if none waits, learn, and put the
            result into service in any case.
    """

    force: bool = False


class WhereTo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which version to go back to.

    Attributes:
        to: id of the version, or `root` for the bundle of the settings; by default the parent of the one in service.
    """

    to: BundleId | None = None


async def _versions(call: Call) -> VersionsKept:
    return await ask_camera(call, Versions, VersionsKept)


async def _learn(call: Call) -> LearningProgress:
    return await ask_camera(call, LearnOn, LearningProgress, force=call.body(HowToLearn).force)


async def _stop(call: Call) -> LearningProgress:
    return await ask_camera(call, StopLearning, LearningProgress)


async def _roll_back(call: Call) -> RolledBack:
    return await ask_camera(call, Rollback, RolledBack, timeout_s=LONG_S, to=call.body(WhereTo).to)


_LEARN = "/cameras/{key}/learn-on"
_DEVICE = (409, 502, 503)

ROUTES = [
    Endpoint(
        "GET",
        "/cameras/{key}/versions",
        _versions,
        "List the versions of a camera with their safety reports, and the progress of learning.",
        reply=VersionsKept,
        statuses=_DEVICE,
    ),
    Endpoint(
        "POST",
        _LEARN,
        _learn,
        "Learn the accepted pictures in the background.",
        reply=LearningProgress,
        body=HowToLearn,
        role="operator",
        statuses=_DEVICE,
    ),
    Endpoint(
        "DELETE",
        _LEARN,
        _stop,
        "Stop learning; the accepted pictures remain accepted.",
        reply=LearningProgress,
        role="operator",
        statuses=_DEVICE,
    ),
    Endpoint(
        "POST",
        "/cameras/{key}/rollback",
        _roll_back,
        "Put an earlier version into service.",
        reply=RolledBack,
        body=WhereTo,
        role="operator",
        statuses=_DEVICE,
    ),
]
