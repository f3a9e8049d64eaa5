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


_FIRST = "http-api.md"
_LEARNING = ("learn-on", "pictures", "rollback", "teaching", "versions")
_PAGES = {"cameras": "http-api-cameras.md", "devices": "http-api-devices.md", "fleet": "http-api-devices.md"}


def operations(page: str) -> str:
    """Return the operations that stand on a page, by subject."""
    by_subject: dict[str, list[Endpoint]] = {}
    for one in endpoints():
        if _page(one) == page:
            by_subject.setdefault(_parts(one)[0], []).append(one)
    parts = []
    for subject, its in by_subject.items():
        parts += [f"## {subject}", *(_operation(one) for one in its)]
    return "\n\n".join(parts)


def objects(page: str) -> str:
    """Return the tables of the objects that stand on a page."""
    its = {kind.__name__: kind for kind, where in _places().items() if where == page}
    return "\n\n".join(f"### {name}\n\n{summary(kind)}\n\n{_fields(kind, page)}" for name, kind in sorted(its.items()))


def _parts(one: Endpoint) -> list[str]:
    return one.path.partition(".")[0].strip("/").split("/")


def _page(one: Endpoint) -> str:
    """Return the page that an operation stands on."""
    subject, *rest = _parts(one)
    if subject == "cameras" and len(rest) > 1 and rest[1] in _LEARNING:
        return "http-api-learning.md"
    return _PAGES.get(subject, _FIRST)


def _places() -> dict[type[msgspec.Struct], str]:
    """Return the page of each object: the first one with an operation that takes or returns it."""
    found: dict[type[msgspec.Struct], str] = {}
    for one in sorted(endpoints(), key=lambda one: (_page(one) != _FIRST, _page(one))):
        for root in (one.body, one.reply):
            for kind in _structs(root):
                found.setdefault(kind, _page(one))
    return found


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
    parts.append(
        " ".join(
            filter(
                None,
                [_told("Body", one.body, _page(one)), _told("Reply", one.reply, _page(one)) or "Reply: none (204)."],
            )
        )
    )
    return "\n\n".join(parts)


def _told(name: str, kind: Any, page: str) -> str:
    if kind is None:
        return ""
    return f"{name}: {f'`{kind}`' if isinstance(kind, str) else _type(kind, name, page)}."


def _link(kind: type[msgspec.Struct], page: str) -> str:
    where = _places()[kind]
    return f"[{kind.__name__}]({'' if where == page else where}#{kind.__name__.lower()})"


def _fields(kind: type[msgspec.Struct], page: str) -> str:
    said = attributes(kind)
    return table(
        ("Field", "Type", "Meaning"),
        [(f"`{field.name}`", _type(field.type, field.name, page), said[field.name]) for field in fields(kind)],
    )


def _type(kind: Any, name: str, page: str) -> str:
    inner = _structs(kind, deep=False)
    first = next(inner, None)
    if first is None:
        return json_type(kind, name)
    many = any(get_origin(one) in {tuple, list} for one in (kind, *get_args(kind)))
    null = get_origin(kind) in {Union, types.UnionType} and types.NoneType in get_args(kind)
    return f"{'list of ' if many else ''}{_link(first, page)}{' or null' if null else ''}"


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
