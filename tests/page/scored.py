"""Score messages of a camera, made one after the other."""

from __future__ import annotations

import time
from typing import Any

from edge_config.wire.messages import AlertMessage, ScoreMessage

NOW_NS = time.time_ns() // 10**9 * 10**9 - 3600 * 10**9
"""An hour ago: what is older than the store's bounds is deleted."""

STEP_NS = 40_000_000  # 25 frames a second


def score(number: int, value: float | None = 1.25, **fields: Any) -> ScoreMessage:
    """Return the message about a frame; times follow from its number."""
    return ScoreMessage(**{**_of_frame(number, value), **_HEAD, "schema": "patchedge.score.v1", **fields})


def alert(alert_id: str, seq: int, **fields: Any) -> AlertMessage:
    """Return a message about an alert, whose frame is that of this `seq`."""
    said = {"phase": "start", "peak_score": 9.0, "peak_frame_id": 1, "t_start_ns": NOW_NS, **fields}
    return AlertMessage(
        **{**_of_frame(seq, 9.0), **_HEAD, "schema": "patchedge.alert.v1", "alert_id": alert_id, "seq": seq, **said}
    )


_HEAD: dict[str, Any] = {
    "device": "edge",
    "camera": "top",
    "epoch": "first",
    "seq": 1,
    "t_publish_ns": NOW_NS,
    "bundle": "",
    "state": "live",
}


def _of_frame(number: int, value: float | None) -> dict[str, Any]:
    return {
        "frame_id": number + 1,
        "t_capture_ns": NOW_NS + number * STEP_NS,
        "t_mono_ns": 7_000_000_000 + number * STEP_NS,
        "age_ms": 1.0,
        "score": value,
        "threshold": 3.0,
        "label": "unknown" if value is None else "normal" if value <= 3 else "anomalous",
        "peak_xy": None,
    }
