"""Secrets in what leaves the page."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge_config.hide import hidden, hidden_text

SECRET = "hunter2-Zx9"  # noqa: S105 - of nobody


@pytest.mark.parametrize(
    "value",
    [
        {"source": f"rtsp://admin:{SECRET}@10.0.0.7/stream1"},
        {"source": f"http://10.0.0.7/video?user=admin&password={SECRET}"},
        {"source": f"gst:rtspsrc location=rtsp://10.0.0.7/s user-id=admin user-pw={SECRET} ! decodebin"},
        {"mqtt": {"password": SECRET, "host": "broker"}},
        {"access_token": SECRET},
        {"deep": [{"tls": {"private_key": SECRET}}]},
        {"secret_key": [SECRET]},
        {"text": f'public-key = "abc"\nsecret-key = "{SECRET}"'},
        {"text": json.dumps({"event": "opened", "url": f"rtsp://u:{SECRET}@cam/1", "level": "info"})},
        {"text": f"cannot open rtsp://admin:{SECRET}@10.0.0.7/stream1 (timeout), again in 5 s"},
        {"text": f"login with password={SECRET} failed"},
        {"text": f'{{"request": "configure", "password": "{SECRET}", "cut off": "he'},
        {"text": f"Authorization: Bearer {SECRET}"},
        {f"rtsp://admin:{SECRET}@10.0.0.7/stream1": 1},
        {"pem": f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----"},
    ],
)
def test_secret_is_hidden(value: Any) -> None:
    """A secret in a URL, a pipeline, a text, JSON in a text, or under a name that says so does not leave the page."""
    assert SECRET not in json.dumps(hidden(value))


def test_secret_key_of_signatures_is_hidden() -> None:
    """The secret key of a device, wherever it stands, is hidden."""
    assert hidden({"text": f"key ed25519:{'0a1b' * 16} is used"}) == {"text": "key *** is used"}


@pytest.mark.parametrize(
    "value",
    [
        {"device": "press-3", "cameras": {"belt": {"state": "live", "score": 1.5, "alert": None, "paced": False}}},
        {"text": "camera belt is live after 3.2 s"},
        {"key": "3f" * 20, "user": "anna", "request": "teach"},
        {"id": "c444e0aa369ba4e3375770b920a91fa850658d8092faa9760ddcfa420c099560"},
        {"password": None, "token": ""},
    ],
)
def test_what_is_no_secret_stays(value: Any) -> None:
    """States, scores, names, ids of bundles and public keys are what the archive is for."""
    assert hidden(value) == value


def test_line_of_a_log_stays_json() -> None:
    """A line that is a JSON object is one afterwards, with its harmless values."""
    line = json.dumps({"event": "state", "camera": "belt", "api_key": SECRET, "seconds": 3})
    said = json.loads(hidden_text(line))
    assert said == {"event": "state", "camera": "belt", "api_key": "***", "seconds": 3}
