"""Reader: requests to the control socket."""

from __future__ import annotations

import contextlib

from edge_config.errors import PatchedgeError
from edge_config.wire import replies, requests
from tests.programs.fuzz.mutate import mutate_json

FOUND: tuple[bytes, ...] = ()


def seeds() -> list[bytes]:
    """Return a request of each kind, and such as tests know."""
    fields = {
        "status": "",
        "reload": ', "camera": "top", "path": "/new.bundle"',
        "snapshot": ', "camera": "top"',
        "after": ', "row": 7, "epoch": "e", "topics": ["v1/alert/"], "limit": 9',
        "replay": ', "topic": "v1/alert/edge/top/", "epoch": "e", "from_seq": 3, "limit": 9',
        "pending": ', "subscriber": "me", "after": 3',
        "ack": ', "subscriber": "me", "alert_id": "a", "epoch": "e", "seq": 4',
        "configure": ', "camera": "top", "alerts": {"threshold": 3.5, "attach": ["jpeg"]}, '
        '"regions": [[[0, 0], [9, 0], [9, 9]]], "ignore": null, "keep": true, "user": "Anna"',
        "undo": ', "camera": "top", "user": "Anna"',
        "changes": ', "camera": "top"',
        "fetch": ', "camera": "top", "clip": "top-20261127T084611Z-0b6c7f0e-5b0c-4f0e-8a53-9a3d1c2b4e5f.avi"',
        "inspect": ', "camera": "top", "height": 48, "width": 64, "offset": 131072, "upload": "u"',
        "logs": ', "after": 7, "limit": 9',
        "metrics": "",
        "orders": ', "limit": 9',
        "doctor": "",
        "settings": "",
        "doctor_report": "",
        "picture": ', "camera": "top", "width": 640, "quality": 50',
        "pause": ', "camera": "top"',
        "resume": ', "camera": "top"',
        "forget": ', "subscriber": "me"',
        "report_gap": ', "topic": "t", "missed": 3, "subscriber": "me"',
        "teach": ', "camera": "top", "frames": 20, "every_ms": 500',
        "stop_teaching": ', "camera": "top"',
        "pictures": ', "camera": "top", "kinds": ["aside"], "limit": 9',
        "fetch_picture": ', "camera": "top", "picture": "20261127T084611204Z-5d0c8f3a"',
        "accept": ', "camera": "top", "all": true',
        "reject": ', "camera": "top", "pictures": ["20261127T084611204Z-5d0c8f3a"]',
        "false_alarm": ', "camera": "top", "alert_id": "a"',
        "delete_pictures": ', "camera": "top", "kinds": ["peak"]',
        "learn_on": ', "camera": "top", "force": true',
        "stop_learning": ', "camera": "top"',
        "versions": ', "camera": "top"',
        "rollback": ', "camera": "top", "to": "root"',
        "burn_in": ', "camera": "top", "do": "start", "duration": "24h"',
        "stage": ', "camera": "top", "path": "/var/lib/patchedge/fleet/3f2c.bundle"',
        "staged": ', "camera": "top"',
        "shadow": ', "camera": "top", "seconds": 60.5',
        "activate": ', "camera": "top", "bundle": "' + "3f2c" * 16 + '"',
        "go_back": ', "camera": "top", "user": "Anna"',
        "unstage": ', "camera": "top"',
    }
    assert set(fields) == set(requests.REQUESTS)
    good = [
        f'{{"schema": "{requests.SCHEMA}", "id": "7", "request": "{name}"{more}}}'.encode()
        for name, more in fields.items()
    ]
    return [*good, b"", b"[" * 5000, b'{"schema": "patchedge.control.v9"}', b"\xff" * 9, b" " * 70_000]


def check(data: bytes) -> None:
    """Read a request, and the id that a refusal would name."""
    replies.encode_refusal(requests.request_id(data), "x")
    with contextlib.suppress(PatchedgeError):
        found = requests.decode_request(data)
        replies.encode_reply(found.id, found)


def mutate(data: bytes, seed: int) -> bytes:
    """Change the JSON."""
    return mutate_json(data, seed)
