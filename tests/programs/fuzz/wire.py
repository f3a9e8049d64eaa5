"""Reader: messages as subscribers get them; the topic ends at the first newline."""

from __future__ import annotations

import contextlib

from edge_config.errors import PatchedgeError
from edge_config.wire import messages
from tests.programs.fuzz.mutate import mutate_json

FOUND: tuple[bytes, ...] = ()

_OF_ALL = b'"device": "edge", "camera": "top", "epoch": "e", "seq": 1, "t_publish_ns": 1, "bundle": "", "state": "live"'
_OF_FRAME = (
    b'"frame_id": 1, "t_capture_ns": 1, "t_mono_ns": 1, "age_ms": 1.5, "score": 3.5, "threshold": 2.0, '
    b'"label": "anomalous", "peak_xy": [3, 4]'
)


def seeds() -> list[bytes]:
    """Return a message of each kind."""
    bodies = {
        b"score": _OF_FRAME,
        b"state": b'"reason": "x"',
        b"health": b'"heartbeat_s": 5, "alert_seq": 0, "state_seq": 1, "journal": "on", "journal_reason": ""',
        b"alert": _OF_FRAME + b', "alert_id": "a", "phase": "start", "peak_score": 1, "peak_frame_id": 1, "boxes":'
        b' [[1, 2, 3, 4]], "parts": [{"name": "jpeg", "media_type": "image/jpeg"}]',
        b"preview": _OF_FRAME + b', "boxes": [[1, 2, 3, 4]], "frame_hw": [48, 64], "parts": [{"name": "heat_map",'
        b' "media_type": "application/octet-stream", "dtype": "uint8", "shape": [2, 2], "area": [0, 0, 64, 48]}]',
    }
    return [
        b'v1/%b/edge/top/\n{"schema": "patchedge.%b.v1", %b, %b}' % (kind, kind, _OF_ALL, body)
        for kind, body in bodies.items()
    ]


def check(data: bytes) -> None:
    """Decode a message; one that was decoded can be encoded, unless it is too long for the wire."""
    frames = data.split(b"\n", 1)
    with contextlib.suppress(PatchedgeError):
        topic, found = messages.decode(frames)
        assert messages.decode(messages.encode(topic, found)) == (topic, found)


def mutate(data: bytes, seed: int) -> bytes:
    """Change the JSON behind the topic."""
    topic, _, body = data.partition(b"\n")
    return topic + b"\n" + mutate_json(body, seed)
