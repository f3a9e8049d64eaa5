"""Requests for a camera's current picture: answered from its next frame, rate limited, or refused with the reason."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass

from edge_config.wire.replies import PictureTaken
from edge_config.wire.requests import Picture
from runtime.app.channel import Channel
from runtime.events import Asked, PictureReady
from runtime.messaging.control_socket import Control
from runtime.process.token_bucket import Bucket, Rate

WAIT_S = 5.0
"""Time-out of a request for a picture, seconds."""

OF_CAMERA = Rate(2, 4)
"""Pictures a second of each camera, and at once after a while without: each costs its capture process some time."""


@dataclass(frozen=True, slots=True)
class _PictureRequest:
    asked: Asked
    camera: str
    until_s: float


class PictureRequests:
    """Answers requests for pictures. Use it from one thread."""

    def __init__(self, channels: Mapping[str, Channel], control: Control) -> None:
        """Take the cameras, and the socket that the answers go to."""
        self._channels = channels
        self._control = control
        now_s = time.monotonic()
        self._rates = {name: Bucket(OF_CAMERA, now_s) for name in channels}
        self._numbers = itertools.count(1)
        self._waiting: dict[int, _PictureRequest] = {}

    def ask(self, asked: Asked, request: Picture) -> None:
        """Request a picture of the camera, or refuse."""
        name, now_s = request.camera, time.monotonic()
        if self._channels[name].camera.status.paused:
            self._control.refuse(asked, f"camera `{name}` is paused; resume it first")
            return
        if wait_s := self._rates[name].wait_s(now_s):
            self._control.refuse(asked, f"too many requests for pictures, retry in {wait_s * 1000:.0f} ms")
            return
        self._rates[name].take()
        number = next(self._numbers)
        if self._channels[name].feed.show(number, request.width, request.quality):
            self._waiting[number] = _PictureRequest(asked, name, now_s + WAIT_S)
        else:
            self._control.refuse(asked, f"no picture: {self._how(name)}")

    def ready(self, event: PictureReady) -> None:
        """Answer with a picture, or with why it could not be made."""
        if (waiting := self._waiting.pop(event.number, None)) is None:
            return
        if event.problem:
            self._control.refuse(waiting.asked, f"no picture of camera `{waiting.camera}`: {event.problem}")
            return
        height, width = event.hw
        taken = PictureTaken(
            camera=waiting.camera,
            frame_id=event.frame_id,
            t_capture_ns=event.t_capture_ns,
            width=width,
            height=height,
        )
        self._control.reply(waiting.asked, taken, [event.jpeg])

    def turn(self, now_s: float) -> None:
        """Refuse those that have waited for too long."""
        for number in [number for number, one in self._waiting.items() if one.until_s <= now_s]:
            waiting = self._waiting.pop(number)
            self._control.refuse(waiting.asked, f"no picture within {WAIT_S:g} s: {self._how(waiting.camera)}")

    def _how(self, name: str) -> str:
        status = self._channels[name].camera.status
        return f"camera `{name}` is {status.state} ({status.reason})"
