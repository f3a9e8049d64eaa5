"""What the device says of a scene that a camera shows, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator

from edge_config.wire.messages import AlertMessage, ScoreMessage
from runtime.client.subscriber import Subscriber
from tests.page.browser.rig import Rig
from tests.support.processes import ENOUGH_S

FRAMES = 7
"""Frames of a scene that are looked at: 0.7 s, more than an alert needs to begin and to end."""

LATE = 10
"""Frames that may be of the scene before, on a busy machine."""

SEEN = 10.0
"""A score that every object is over, and every picture without one far below, whatever the threshold is."""


def _messages(subscriber: Subscriber, camera: str) -> Iterator[AlertMessage | ScoreMessage]:
    """Yield what is said of a camera."""
    while True:
        received = subscriber.receive(ENOUGH_S)
        assert received is not None
        message = received.message
        if isinstance(message, AlertMessage | ScoreMessage) and message.camera == camera:
            yield message


def alarms(rig: Rig, camera: str, *objects: str) -> None:
    """Show something, and wait until all frames of some time are anomalous."""
    with Subscriber(rig.events, kinds=("score",)) as subscriber:
        rig.cameras[camera].show(*objects)
        in_turn = 0
        for number, message in enumerate(_messages(subscriber, camera)):
            in_turn = in_turn + 1 if message.label == "anomalous" else 0
            if in_turn == FRAMES:
                return
            assert number < 10 * LATE, f"{objects} raise no alarm"


def labels(rig: Rig, camera: str, *objects: str) -> set[str]:
    """Show something, and return the labels of its frames, without those that may be of the scene before."""
    with Subscriber(rig.events, kinds=("score",)) as subscriber:
        rig.cameras[camera].show(*objects)
        messages = _messages(subscriber, camera)
        for _ in range(LATE):
            next(messages)
        return {next(messages).label for _ in range(FRAMES)}


def alerts_of(rig: Rig, camera: str, *objects: str) -> int:
    """Show some objects, one after the other with nothing between; return the number of alerts that begin."""
    count = 0
    with Subscriber(rig.events, kinds=("alert", "score")) as subscriber:
        messages = _messages(subscriber, camera)
        for scene in (shown for name in objects for shown in ((name,), ())):
            rig.cameras[camera].show(*scene)
            frames = 0
            while frames < FRAMES:
                message = next(messages)
                if isinstance(message, AlertMessage):
                    count += message.phase == "start"
                else:
                    frames += (message.score > SEEN) == bool(scene)
    return count
