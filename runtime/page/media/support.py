"""A support archive: what is known of a device, without secrets, and without pictures unless they are asked for."""

from __future__ import annotations

import platform
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import msgspec

from edge_config.errors import PatchedgeError
from edge_config.hide import hidden, hidden_text
from edge_config.installed import version
from runtime.page.media.zipping import ZipPieces
from runtime.page.refused import Refused

Get = Callable[[], Awaitable[Any]]
"""Gets the content of a file: plain values or structs for JSON, a text, or the bytes of a picture."""

PACKAGES = ("patchedge", "numpy", "pyzmq", "msgspec", "starlette", "uvicorn", "av", "onnxruntime")


def of_page(settings: msgspec.Struct) -> dict[str, Any]:
    """Return what is known of the page itself."""
    return {
        "versions": {name: version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "system": platform.platform(),
        "settings": msgspec.to_builtins(settings),
    }


async def archive(parts: Mapping[str, Get], head: str) -> AsyncIterator[bytes]:
    """Yield the archive: a file for each part, and a README that says what could not be had.

    Args:
        parts: name of a file -> what gets its content. Secrets in JSON and texts are hidden here.
        head: first lines of the README.
    """
    pieces, missing = ZipPieces(), list[str]()
    for name, get in parts.items():
        try:
            content = await get()
        except (PatchedgeError, Refused) as error:
            missing.append(f"    {name}: {hidden_text(str(error))}")
            continue
        yield pieces.add(name, _as_bytes(content), compressed=not isinstance(content, bytes))
    said = [head, ""]
    if missing:
        said += ["What could not be had:", "", *missing, ""]
    yield pieces.add("README.txt", "\n".join(said).encode("utf-8", "backslashreplace"), compressed=True)
    yield pieces.end()


def _as_bytes(content: Any) -> bytes:
    """Return the bytes of a file, without secrets; those of a picture as they are."""
    if isinstance(content, bytes):
        return content
    if isinstance(content, str):
        return "".join(map(hidden_text, content.splitlines(keepends=True))).encode("utf-8", "backslashreplace")
    return msgspec.json.format(msgspec.json.encode(hidden(msgspec.to_builtins(content))), indent=1) + b"\n"
