"""Requests to judge a picture: it comes in parts into one bounded buffer, and is scored between two frames."""

from __future__ import annotations

import itertools
import math
import mmap
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from edge_config.bundle.held_out import excess
from edge_config.wire.inspect import (
    MAX_PICTURE_BYTES,
    MAX_PICTURE_PART_BYTES,
    InspectPicture,
    PictureReceived,
    PictureVerdict,
)
from runtime.app.channel import Channel
from runtime.events import Asked, Scored
from runtime.frame import PICTURE, SharedFrame, Wanted
from runtime.messaging.control_socket import Control
from runtime.process.token_bucket import Bucket, Rate

UPLOAD_S = 10.0
"""Time-out of the next part of a picture, seconds; then another picture may come."""

OF_DEVICE = Rate(2, 4)
"""Pictures a second, and at once after a while without: each takes the worker as long as a frame, or longer."""


class Scorers(Protocol):
    """What scores pictures, as `Engine`."""

    def attach(self, memory: int, descriptor: int, size: int) -> None:
        """As of `Engine`."""

    def detach(self, memory: int) -> None:
        """As of `Engine`."""

    def submit(self, camera: str, frame: SharedFrame, wanted: Wanted) -> None:
        """As of `Engine`."""


class _Upload:
    """A picture that is being sent, in memory that the worker can share."""

    def __init__(self, asked: Asked, request: InspectPicture, memory: int) -> None:
        self.of = _whose(asked, request)
        self.request, self.memory = request, memory
        self.got, self.since_s = 0, 0.0
        self.descriptor = os.memfd_create("patchedge picture", os.MFD_CLOEXEC)
        try:
            os.ftruncate(self.descriptor, request.size)  # memory is taken as the parts come
            self._mapping = mmap.mmap(self.descriptor, request.size)
        except BaseException:
            os.close(self.descriptor)
            raise

    def put(self, part: bytes) -> None:
        """Add the next part, which has room."""
        self._mapping[self.got : self.got + len(part)] = part
        self.got += len(part)

    def close(self) -> None:
        self._mapping.close()
        os.close(self.descriptor)


@dataclass(frozen=True, slots=True)
class _Inspection:
    """A picture in the worker."""

    asked: Asked
    upload: _Upload
    threshold: float


class InspectRequests:
    """Answers requests to judge pictures, one picture at a time. Use it from the main loop's thread."""

    def __init__(
        self,
        channels: Mapping[str, Channel],
        control: Control,
        engine: Scorers,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the cameras, where the answers go, what scores, and a monotonic clock, seconds."""
        self._channels = channels
        self._control = control
        self._engine = engine
        self._clock = clock
        self._rate = Bucket(OF_DEVICE, clock())
        self._memories = itertools.count(-1, -1)  # those of cameras are above 0
        self._upload: _Upload | None = None
        self._judged: _Inspection | None = None

    def answer(self, asked: Asked) -> bool:
        """Take in a part of a picture; return whether it is one."""
        request = asked.request
        if not isinstance(request, InspectPicture):
            return False
        if problem := self._problem(asked, request):
            self._control.refuse(asked, problem)
            return True
        if request.offset == 0 and (problem := self._begin(asked, request)):
            self._control.refuse(asked, problem)
            return True
        assert self._upload is not None  # noqa: S101 - otherwise there was a problem
        self._upload.put(asked.part)
        self._upload.since_s = self._clock()
        if self._upload.got < request.size:
            self._control.reply(asked, PictureReceived(received=self._upload.got))
        else:
            self._judge(asked, request)
        return True

    def handle(self, event: Any) -> bool:
        """Answer with the verdict of a picture; return whether the event is one."""
        if not isinstance(event, Scored) or event.frame.frame_id != PICTURE:
            return False
        judged, self._judged = self._judged, None
        if judged is None:
            return True
        self._engine.detach(judged.upload.memory)
        judged.upload.close()
        if event.result is None or event.result.value is None or event.result.peak_xy is None:
            self._control.refuse(judged.asked, f"the picture cannot be judged: {event.reason or 'it has no score'}")
            return True
        camera, result, score = self._channels[event.camera].camera, event.result, event.result.value
        verdict = PictureVerdict(
            camera=event.camera,
            bundle=camera.bundle.id,
            score=score,
            threshold=judged.threshold,
            label="anomalous" if score > judged.threshold else "normal",
            excess=excess(score, judged.threshold, camera.bundle.median),
            p_value=result.p_value,
            peak_xy=event.result.peak_xy,
            boxes=result.boxes,
            frame_hw=(judged.upload.request.height, judged.upload.request.width),
            parts=result.parts,
        )
        reply = PictureReceived(received=judged.upload.got, verdict=verdict)
        self._control.reply(judged.asked, reply, event.attached)
        return True

    def turn(self) -> None:
        """Forget a picture whose next part does not come."""
        if self._upload is not None and self._clock() - self._upload.since_s > UPLOAD_S:
            self._drop()

    def close(self) -> None:
        """Free the memory; the worker is gone, or answers no more."""
        self._drop()
        if self._judged is not None:
            self._judged.upload.close()
            self._judged = None

    def _problem(self, asked: Asked, request: InspectPicture) -> str:
        """Return why a part is refused, before memory is taken; empty if it is not."""
        if request.size > MAX_PICTURE_BYTES:
            return f"a picture of {request.size} bytes, at most {MAX_PICTURE_BYTES}: reduce it first"
        if not 0 < len(asked.part) <= min(MAX_PICTURE_PART_BYTES, request.size - request.offset):
            return f"a part of {len(asked.part)} bytes, at most {MAX_PICTURE_PART_BYTES}, and not beyond the picture"
        self.turn()
        if request.offset == 0:
            return ""
        if self._upload is None or self._upload.of != _whose(asked, request):
            return "no such picture, or it took too long: begin again with its first part"
        if self._upload.got != request.offset:
            return f"the next part of this picture begins at {self._upload.got}"
        return ""

    def _begin(self, asked: Asked, request: InspectPicture) -> str:
        """Make room for a picture; return why that is refused, or nothing."""
        if not self._channels[request.camera].camera.bundle.id:
            return f"camera `{request.camera}` has no bundle in service"
        if self._judged is not None or (self._upload is not None and self._upload.of != _whose(asked, request)):
            return "busy: another picture is inspected; retry in a second"
        if wait_s := self._rate.wait_s(self._clock()):
            return f"too many requests to inspect, retry in {wait_s * 1000:.0f} ms"
        self._rate.take()
        self._drop()
        try:
            self._upload = _Upload(asked, request, next(self._memories))
        except OSError as error:
            return f"no memory for the picture ({error.strerror})"
        return ""

    def _judge(self, asked: Asked, request: InspectPicture) -> None:
        """Have the worker score what is complete; it is told by a `Scored`, in any case."""
        upload, self._upload = self._upload, None
        assert upload is not None  # noqa: S101 - it is complete
        threshold, now_ns = self._channels[request.camera].camera.threshold, time.monotonic_ns()
        self._judged = _Inspection(asked, upload, threshold)
        self._engine.attach(upload.memory, upload.descriptor, request.size)
        frame = SharedFrame(upload.memory, 0, (request.height, request.width), PICTURE, time.time_ns(), now_ns)
        self._engine.submit(request.camera, frame, Wanted(threshold, math.inf))

    def _drop(self) -> None:
        if self._upload is not None:
            self._upload.close()
            self._upload = None


def _whose(asked: Asked, request: InspectPicture) -> tuple[str, ...]:
    """Return what all parts of a picture have in common."""
    return asked.key, request.upload, request.camera, f"{request.height} x {request.width}"
