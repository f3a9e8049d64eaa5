"""Hide secrets in what leaves a device or the page: in values of any depth, and in texts that are JSON themselves."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from edge_config.redact import HIDDEN, redact, scrub

_SECRET = (
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "credential",
    "authorization",
    "api_key",
    "apikey",
    "api-key",
    "private",
    "cookie",
    "signature",
)
"""Parts of names whose values are hidden, whatever they are."""

_SOURCE = re.compile(r"(?i)(gst:.*|[a-z][a-z0-9+.-]{0,15}://\S+)", re.DOTALL)
_PAIR = re.compile(rf"""(?i)([\w-]*(?:{"|".join(_SECRET)})[\w-]*["']?\s*[:=]\s*)("[^"]*"?|'[^']*'?|[^\s,;}}\]]+)""")
_KEY = re.compile(
    r"ed25519:[0-9A-Fa-f]{16,}|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*-----|\Z)", re.DOTALL
)


def hidden(value: Any, name: str = "") -> Any:
    """Return plain values without secrets: those of URLs, pipelines, assignments, and of names that say so.

    Args:
        value: plain values, as of JSON.
        name: name of the value.
    """
    if any(word in name.lower() for word in _SECRET) and value not in (None, "", False, True):
        return HIDDEN
    if isinstance(value, dict):
        return {hidden_text(str(key)): hidden(one, str(key)) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [hidden(one, name) for one in value]
    return hidden_text(value) if isinstance(value, str) else value


def hidden_text(text: str) -> str:
    """Return a text without secrets; one that is JSON, such as a line of a log, is taken apart for that."""
    if text.lstrip()[:1] in {"{", "["}:
        try:
            return msgspec.json.encode(hidden(msgspec.json.decode(text))).decode()
        except (msgspec.DecodeError, RecursionError):
            pass  # such as one that was cut off
    if _SOURCE.fullmatch(text):
        return _KEY.sub(HIDDEN, redact(text))
    return _KEY.sub(HIDDEN, _PAIR.sub(rf"\1{HIDDEN}", scrub(text)))
