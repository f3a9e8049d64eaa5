"""The HTTP API of the page: operations, and the objects that they take and return."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Union, get_args, get_origin

import msgspec

from docs.generate.describe import attributes, default, fields, json_type, sentence, summary, table
from runtime.page.api.endpoint import PREFIX, Endpoint
from runtime.page.api.openapi import PATHS
from runtime.page.app import endpoints

_ROLES = {None: "Everybody may call it, even without log-in.", "viewer": "", "operator": "It needs an operator."}


def operations() -> str:
    """Return all operations, by subject."""
    by_subject: dict[str, list[Endpoint]] = {}
    for one in endpoints():
        by_subject.setdefault(one.path.split("/")[1].partition(".")[0], []).append(one)
    parts = []
    for subject, its in by_subject.items():
        parts += [f"## {subject}", *(_operation(one) for one in its)]
    return "\n\n".join(parts)


def objects() -> str:
    """Return the tables of all objects that operations take and return."""
    kinds: dict[str, type[msgspec.Struct]] = {}
    for one in endpoints():
        for root in (one.body, one.reply):
            for kind in _structs(root):
                kinds[kind.__name__] = kind
    return "\n\n".join(f"### {name}\n\n{summary(kinds[name])}\n\n{_fields(kinds[name])}" for name in sorted(kinds))


def _operation(one: Endpoint) -> str:
    parts = [f"### {one.method} {one.path}", " ".join([one.summary, _ROLES[one.role]]).strip()]
    rows = [(f"`{name}`", "in the path", "", sentence(PATHS[name])) for name in re.findall(r"\{(\w+)\}", one.path)]
    if one.query is not None:
        said = attributes(one.query)
        rows += [
            (f"`{field.name}`", json_type(field.type, field.name), default(field), said[field.name])
            for field in fields(one.query)
        ]
    if rows:
        parts.append(table(("Parameter", "Type", "Default", "Meaning"), rows))
    parts.append(" ".join(filter(None, [_told("Body", one.body), _told("Reply", one.reply) or "Reply: none (204)."])))
    return "\n\n".join(parts)


def _told(name: str, kind: Any) -> str:
    if kind is None:
        return ""
    return f"{name}: {f'`{kind}`' if isinstance(kind, str) else _type(kind, name)}."


def _link(kind: type) -> str:
    return f"[{kind.__name__}](#{kind.__name__.lower()})"


def _fields(kind: type[msgspec.Struct]) -> str:
    said = attributes(kind)
    return table(
        ("Field", "Type", "Meaning"),
        [(f"`{field.name}`", _type(field.type, field.name), said[field.name]) for field in fields(kind)],
    )


def _type(kind: Any, name: str) -> str:
    inner = _structs(kind, deep=False)
    first = next(inner, None)
    if first is None:
        return json_type(kind, name)
    many = any(get_origin(one) in {tuple, list} for one in (kind, *get_args(kind)))
    null = get_origin(kind) in {Union, types.UnionType} and types.NoneType in get_args(kind)
    return f"{'list of ' if many else ''}{_link(first)}{' or null' if null else ''}"


def _structs(kind: Any, *, deep: bool = True) -> Iterator[type[msgspec.Struct]]:
    """Yield the structs that a type has inside, those of their fields too."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
        if deep:
            for field in fields(kind):
                yield from _structs(field.type)
    else:
        for one in get_args(kind):
            yield from _structs(one, deep=deep)


def prefix() -> str:
    """Return where the API is."""
    return f"`{PREFIX}`"


FILLERS: Mapping[str, Callable[..., str]] = {"api_operations": operations, "api_objects": objects, "api_prefix": prefix}
