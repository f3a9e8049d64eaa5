"""Headers of every reply: what a browser may do with the page, and what it may keep."""

from __future__ import annotations

import re

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Send

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

ALWAYS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

HSTS = "max-age=31536000"
"""For a year, a browser opens this name encrypted only, at all ports; for addresses it has no effect."""

_UNSAFE = re.compile(rb"[\r\n\0]")


def with_headers(send: Send, path: str, *, encrypted: bool) -> Send:
    """Return a `send` that adds the headers of the page to a reply.

    Args:
        send: the one of the server.
        path: of the request.
        encrypted: whether the browser's connection is.
    """

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            _add(MutableHeaders(scope=message), path, encrypted=encrypted)
            if any(_UNSAFE.search(value) for _, value in message["headers"]):
                raise ValueError("a header of a reply has a line break in it")
        await send(message)

    return sending


def _add(headers: MutableHeaders, path: str, *, encrypted: bool) -> None:
    headers.update(ALWAYS)
    if encrypted:
        headers["Strict-Transport-Security"] = HSTS
    may_be_kept = "etag" in headers and not path.startswith("/api/")  # a file that comes with the page
    headers.setdefault("Cache-Control", "no-cache" if may_be_kept else "no-store")
