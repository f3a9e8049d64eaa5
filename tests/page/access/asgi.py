"""A client that calls an app in this process, as uvicorn does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message

LOCAL = ("127.0.0.1", 40_000)


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        return ", ".join(value for key, value in self.headers if key.lower() == name.lower())

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    app: ASGIApp,
    method: str,
    target: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    *,
    client: tuple[str, int] = LOCAL,
    scheme: str = "http",
    chunks: int = 1,
    cut: bool = False,
) -> Reply:
    """Return the reply to one request; one that is cut off ends before its body does."""
    return asyncio.run(_ask(app, method, target, headers or {}, body, client, scheme, chunks, cut=cut))


async def _ask(
    app: ASGIApp,
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes,
    client: tuple[str, int],
    scheme: str,
    chunks: int,
    *,
    cut: bool,
) -> Reply:
    path, _, query = target.partition("?")
    given = {"host": "127.0.0.1:8088", **{name.lower(): value for name, value in headers.items()}}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": scheme,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in given.items()],
        "client": client,
        "server": ("127.0.0.1", 8088),
        "state": {},
    }
    size = -(-len(body) // chunks) or 1
    parts = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
    sent: list[Message] = []

    async def receive() -> Message:
        if parts:
            part = parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": cut or bool(parts)}
        if cut:
            return {"type": "http.disconnect"}
        await asyncio.Event().wait()  # the client stays
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start = sent[0]
    heads = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"]]
    return Reply(start["status"], heads, b"".join(one.get("body", b"") for one in sent[1:]))
