"""Make the OpenAPI 3.1 description of operations."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from edge_config.installed import version
from runtime.page.api.endpoint import PREFIX, Endpoint
from runtime.page.api.refusal import ApiError

_REF = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"\{(\w+)\}")

_STATUS_WORDS = {
    400: "The request is invalid.",
    401: "Log in first, or send a valid token.",
    403: "The user, or the key of the page, may not do this.",
    404: "There is no such thing.",
    409: "The device refuses it.",
    413: "The body is too long.",
    415: "The body is not a picture of a kind that is taken.",
    422: "The picture could not be decoded in time.",
    429: "Too many requests: wait.",
    502: "The device answered something that cannot be read.",
    503: "The device does not answer.",
}
_ALWAYS = (401, 403, 429)
PATHS = {
    "key": "camera: `DEVICE:CAMERA`, or the name of the camera where only one device has it",
    "device": "name of the device",
    "id": "id",
}
"""Parameter in the path -> what it is."""


def describe(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Return the description of all operations, as plain values."""
    kinds: list[Any] = [ApiError]
    for one in endpoints:
        kinds += [kind for kind in (one.reply, one.body, one.query) if kind is not None and not isinstance(kind, str)]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    of = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, Any] = {}
    for one in endpoints:
        paths.setdefault(PREFIX + one.path, {})[one.method.lower()] = _operation(one, of, components)
    queries = {kind.__name__ for one in endpoints if (kind := one.query) is not None}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "patchedge page",
            "version": version() or "0",
            "description": "What the page shows and does, for programs. Times are milliseconds since 1970 UTC.",
        },
        "paths": paths,
        "components": {
            "schemas": {name: one for name, one in components.items() if name not in queries},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _operation(one: Endpoint, of: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {
        "summary": one.summary,
        "operationId": f"{one.method.lower()}{re.sub(r'[^A-Za-z0-9]+', '_', one.path).rstrip('_')}",
        "tags": [one.path.split("/")[1].partition(".")[0]],
        "parameters": [*_of_path(one), *_of_query(one, of, components)],
        "responses": _responses(one, of),
    }
    if one.role is None:
        said["security"] = [{}]
    if isinstance(one.body, str):
        said["requestBody"] = {"required": True, "content": {one.body: {}}}
    elif one.body is not None:
        said["requestBody"] = {"required": True, "content": {"application/json": {"schema": of[one.body]}}}
    return said


def _of_path(one: Endpoint) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": PATHS.get(name, name),
            "schema": {"type": "string", "minLength": 1},
        }
        for name in _PARAMETER.findall(one.path)
    ]


def _of_query(one: Endpoint, of: dict[Any, Any], components: dict[str, Any]) -> list[dict[str, Any]]:
    if one.query is None:
        return []
    schema = components[of[one.query]["$ref"].rpartition("/")[2]]
    texts = attributes(one.query)
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "description": texts.get(name, name),
            "schema": its,
        }
        for name, its in schema["properties"].items()
    ]


def _responses(one: Endpoint, of: dict[Any, Any]) -> dict[str, Any]:
    if one.reply is None:
        said: dict[str, Any] = {"204": {"description": "Done."}}
    elif isinstance(one.reply, str):
        said = {"200": {"description": "Done.", "content": {one.reply: {}}}}
    else:
        said = {"200": {"description": "Done.", "content": {"application/json": {"schema": of[one.reply]}}}}
    taken = {*_ALWAYS, *one.statuses}
    if one.query is not None or one.body is not None:
        taken.add(400)
    if one.body is not None:
        taken.add(413)
    if _PARAMETER.search(one.path):
        taken.add(404)
    error = {"application/json": {"schema": of[ApiError]}}
    return said | {
        str(status): {"description": _STATUS_WORDS.get(status, "It is refused."), "content": error}
        for status in sorted(taken)
    }


def attributes(kind: type) -> dict[str, str]:
    """Return what the docstring of a struct says about its fields."""
    text = inspect.getdoc(kind) or ""
    _, _, section = text.partition("Attributes:\n")
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        head = re.match(r"    (\w+): (.*)", line)
        if head:
            name, found[head[1]] = head[1], head[2]
        elif name and line.startswith("        "):
            found[name] += f" {line.strip()}"
    return found
