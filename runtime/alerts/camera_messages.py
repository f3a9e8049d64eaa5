"""The messages of one camera, composed from frames, alerts and states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from edge_config.bundle.held_out import excess
from edge_config.wire.messages import Kind, Part
from runtime.alerts.camera_state import StateMachine
from runtime.events import Previewed
from runtime.frame import Alert, BundleInfo, Decision, Frame, Result, SharedFrame


class Sender(Protocol):
    """What sends messages."""

    def send(self, kind: Kind, camera: str, attached: Sequence[bytes] = (), **fields: Any) -> None:
        """Send a message; `attached` are the bytes of the parts that it lists."""


class _Parts(NamedTuple):
    """What was made of a frame for an alert, until it is sent."""

    frame_id: int = 0
    parts: tuple[Part, ...] = ()
    attached: tuple[bytes, ...] = ()


class CameraMessages:
    """Composes and sends the messages of one camera. Use it from one thread.

    Attributes:
        bundle: in service; its id is empty before there is one.
        degraded: level of degradation.
        last: fields of the last score message that an alert has too; fields of a score alone go to `send`.
    """

    def __init__(self, camera: str, sender: Sender, status: StateMachine) -> None:
        """Send the messages of `camera` by `sender`; its state is in each of them."""
        self.bundle = BundleInfo(id="", path="", threshold=0.0, promised_alpha=1.0)
        self.degraded = 0
        self.last: dict[str, Any] = {}
        self._camera = camera
        self._sender = sender
        self._status = status
        self._peak = _Parts()

    def score(self, frame: Frame | SharedFrame, result: Result | None, decision: Decision, threshold: float) -> None:
        """Send the score of a frame, and its label; without a result it has no score."""
        self.last = {
            "frame_id": frame.frame_id,
            "t_capture_ns": frame.t_capture_ns,
            "t_mono_ns": frame.t_mono_ns,
            "score": None if result is None else result.value,
            "threshold": threshold,
            "label": decision.label,
            "peak_xy": None if result is None else result.peak_xy,
            "excess": self._excess(None if result is None else result.value, threshold),
            "p_value": None if result is None else result.p_value,
        }
        self.send("score", **self.last, **({"repeated": True} if result is not None and result.repeated else {}))

    def keep_parts(self, frame_id: int, result: Result, attached: tuple[bytes, ...]) -> None:
        """Keep what was made of the frame with the highest score of an alert, or of what may become one."""
        self._peak = _Parts(frame_id, result.parts, attached)

    def alert(self, alert: Alert, clip: str) -> None:
        """Send a phase of an alert, with the fields of the last score message.

        The parts of the peak frame go along with the first message that tells of it, and only then.
        """
        peak = self._peak if self._peak.frame_id == alert.peak_frame_id else _Parts()
        self._peak = _Parts()
        fields = {name: getattr(alert, name) for name in alert.__dataclass_fields__}
        fields["peak_excess"] = self._excess(alert.peak_score, self.last["threshold"])
        self.send("alert", attached=peak.attached, parts=peak.parts, clip=clip, **self.last, **fields)

    def preview(self, made: Previewed) -> None:
        """Send the preview of a frame, with the fields of its score message, which was the last."""
        told = {"boxes": made.boxes, "frame_hw": made.frame.hw, "parts": made.parts}
        self.send("preview", attached=made.attached, **self.last, **told)

    def _excess(self, score: float | None, threshold: float) -> float | None:
        return None if score is None else excess(score, threshold, self.bundle.median)

    def send(self, kind: Kind, **fields: Any) -> None:
        """Send a message of these fields, and of those that every message has."""
        state, bundle = self._status.state, self.bundle.id
        self._sender.send(kind, self._camera, bundle=bundle, state=state, degraded=self.degraded, **fields)
