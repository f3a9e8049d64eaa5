"""Whether the runtime behaved during a fault, from what its subscriber heard: pure functions of messages and times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge_config.wire.messages import ScoreMessage, StateMessage
from tests.programs.soak.watch import Seen

LEAST_RATE = 0.9
"""Share of its frames that a camera must be judged by while another is struck."""

FEW, ON_THEIR_WAY = 20, 2
"""Fewer frames are no rate, and so many may not have arrived yet."""

RECOVERY_S = 30.0
"""From the end of a fault to a device as it should be, at most."""


@dataclass(frozen=True)
class Outcome:
    """What came of one injection.

    Attributes:
        detected_s: after its beginning, seconds; None if there was nothing to detect, or if it was not.
        recovered_s: after its end, seconds; None if it was not.
        detected_as: by what it was noticed.
        complaints: what was not as it must be.
    """

    detected_s: float | None
    detected_as: str
    recovered_s: float | None
    complaints: Sequence[str]


def first(seen: Iterable[Seen], cameras: Sequence[str], states: Sequence[str]) -> Seen | None:
    """Return the first message on the topic `state` that says one of the states of one of the cameras."""
    told = (one for one in seen if isinstance(one.message, StateMessage) and one.camera in cameras)
    return next((one for one in told if one.message.state in states), None)


def left_live(seen: Iterable[Seen], cameras: Sequence[str]) -> list[str]:
    """Complain of cameras that published another state than live."""
    states = ((one.camera, one.message) for one in seen if one.camera in cameras)
    found = {
        f"{camera} became {message.state} ({message.reason})"
        for camera, message in states
        if isinstance(message, StateMessage) and message.state != "live"
    }
    return sorted(found)


def labelled_normal(seen: Iterable[Seen], camera: str, begin_s: float, end_s: float) -> list[str]:
    """Complain of frames of a camera that were grabbed in that time and called normal."""
    wrong = [
        one
        for one in seen
        if one.camera == camera and one.label == "normal" and begin_s <= (one.captured_s or 0.0) < end_s
    ]
    return [f"{len(wrong)} frames of {camera} labelled normal"] if wrong else []


def slowed(seen: Iterable[Seen], sent: int, camera: str, begin_s: float, end_s: float) -> list[str]:
    """Complain if of the frames that a camera sent in that time too few were judged.

    Args:
        seen: all that was heard.
        sent: frames that it sent.
        camera: its name.
        begin_s: monotonic seconds.
        end_s: monotonic seconds.
    """
    judged = sum(
        isinstance(one.message, ScoreMessage) and one.camera == camera and one.label != "unknown"
        for one in seen
        if begin_s <= (one.captured_s or 0.0) < end_s
    )
    enough = sent < FEW or judged >= LEAST_RATE * sent - ON_THEIR_WAY
    return [] if enough else [f"{camera} slowed down: {judged} of {sent} frames judged"]
