"""The way of a frame: capture -> preprocess -> embed -> search -> score -> decide -> publish."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_config.errors import PatchedgeError
from edge_config.message import State
from runtime.ahead import Ahead
from runtime.capture import Source
from runtime.decide import Decide
from runtime.frame import Alert, Decision, Frame, Score
from runtime.publish import Publisher
from runtime.scorer import Scorer

_BUFFERS = 2  # of features: one is filled while the other is searched


@dataclass(slots=True)
class Summary:
    """What a run did: frames scored, frames that could not be decoded, frames dropped, alerts started."""

    frames: int = 0
    undecodable: int = 0
    dropped: int = 0
    alerts: int = 0


class Pipeline:
    """One camera, from its source to the socket."""

    def __init__(
        self,
        camera: str,
        source: Source,
        scorer: Scorer,
        decide: Decide,
        publisher: Publisher,
        *,
        overlap: bool = False,
    ) -> None:
        """Take the stages; none of them knows another.

        Args:
            camera: its name in topics.
            source: of frames.
            scorer: from a frame to its score.
            decide: from scores to labels and alerts.
            publisher: to subscribers.
            overlap: embed the next frame while this one is searched and published: worth it from two cores on.
        """
        self.camera = camera
        self.threshold = decide.threshold
        self.summary = Summary()
        self._source = source
        self._scorer = scorer
        self._decide = decide
        self._publisher = publisher
        self._overlap = overlap
        self._state: State = "starting"
        self._last: dict[str, Any] = {}
        self._stop = threading.Event()

    def run(self, wait_subscribers: int = 0) -> Summary:
        """Score frames until the source ends or `stop` is called; the first waits for so many subscribers.

        Raises:
            SourceUnavailable: the camera does not open.
            SourceLost: the camera delivers no more; subscribers are told first.
        """
        self._publisher.wait_subscribers(wait_subscribers, self._stop)
        reason = "internal error"
        frames = Ahead(self._frames(), "embed") if self._overlap else self._frames()
        try:
            for frame, features in frames:
                self._set_state("live", "first frame")
                self.publish(frame, None if features is None else self._scorer.judge(features))
            reason = "stopped" if self._stop.is_set() else "end of recording"
        except PatchedgeError as error:
            reason = error.what
            raise
        finally:
            self._end(reason)
            frames.close()
        return self.summary

    def stop(self) -> None:
        """Make `run` return after the frame in hand; may be called from any thread."""
        self._stop.set()
        self._source.close()

    def _frames(self) -> Generator[tuple[Frame, NDArray[np.float32] | None]]:
        """Read and embed frames; None where one could not be decoded."""
        buffers: deque[NDArray[np.float32] | None] = deque([None] * _BUFFERS)
        while not self._stop.is_set() and (frame := self._source.read()) is not None:
            if frame.image is None:
                yield frame, None
                continue
            features = self._scorer.embed(self._scorer.preprocess(frame.image), buffers.popleft())
            buffers.append(features)
            yield frame, features

    def publish(self, frame: Frame, score: Score | None) -> None:
        """Decide on a frame and tell subscribers; None where nothing could be scored."""
        decision = self._decide(frame.frame_id, None if score is None else score.value)
        self._last = self._describe(frame, score, decision)
        self._publisher.send("score", self.camera, **self._last)
        if decision.alert is not None:
            self._publish_alert(decision.alert)
        self.summary.frames += score is not None
        self.summary.undecodable += score is None
        self.summary.dropped = self._source.dropped

    def _describe(self, frame: Frame, score: Score | None, decision: Decision) -> dict[str, Any]:
        """Give the fields that score and alert messages share."""
        return {
            "state": self._state,
            "frame_id": frame.frame_id,
            "t_capture_ns": frame.t_capture_ns,
            "t_mono_ns": frame.t_mono_ns,
            "score": None if score is None else score.value,
            "threshold": self.threshold,
            "label": decision.label,
            "peak_xy": self._peak_xy(frame, score),
        }

    def _publish_alert(self, alert: Alert) -> None:
        """Publish a phase of an alert, with what is known of the last frame."""
        self.summary.alerts += alert.phase == "start"
        fields = {name: getattr(alert, name) for name in alert.__dataclass_fields__}
        self._publisher.send("alert", self.camera, **self._last, **fields)

    def _peak_xy(self, frame: Frame, score: Score | None) -> tuple[int, int] | None:
        if frame.image is None or score is None:
            return None
        height, width = frame.image.shape[:2]
        return self._scorer.preprocess.to_camera(score.patch, self._scorer.grid, (height, width))

    def _set_state(self, state: State, reason: str) -> None:
        if state != self._state:
            self._state = state
            self._publisher.send("state", self.camera, state=state, reason=reason)

    def _end(self, reason: str) -> None:
        """Close what is open, so that no subscriber waits for the end of an alert for ever."""
        if (alert := self._decide.close()) is not None:
            self._publish_alert(alert)
        self._set_state("disconnected", reason)
        self._source.close()
