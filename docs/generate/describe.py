"""What docstrings and annotations say, in Markdown."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from edge_config.settings.problems import words

Field = msgspec.structs.FieldInfo

_ATTRIBUTES = "\nAttributes:\n"
_FIELD = re.compile(r" {4}(?P<names>\w+(?:, \w+)*): (?P<text>.*)")
_WHOLE = re.compile(r"(?<![\d.])(\d+)\.0(?![\d.])")
_ENDLESS = re.compile(r" from (\d) to \d+(?:,\d{3}){4,}")
_LONG = re.compile(r"(?<![\w.])\d{5,}(?![\w.])")
_LITERAL = re.compile(r"\S*\w[/_:]\S")
"""A first word that must keep its case."""

_PLAINER = {
    r"^an? ": "",
    r"\blist of a (whole number|number)\b": r"list of \1s",
    r"\blist of a list\b": "list of lists",
    r"\btext that is not empty\b": "text, not empty",
    r" or text\b": ", or text",
    r"^list of an address such as": "list of addresses such as",
    r"^address such as": "an address such as",
    r"^section of its own$": "keys and values",
}
"""What is changed in the words of an error about settings, for a cell of a table."""

_UNITS = {"_ns": "ns", "_ms": "ms", "_s": "s"}
_PLAIN = {str: "text", int: "whole number", float: "number", bool: "true or false", msgspec.Raw: "object", Any: "value"}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a bar in a cell is escaped."""
    lines = [list(head), ["---"] * len(head), *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def summary(kind: type) -> str:
    """Return what a docstring says before its sections, as one paragraph."""
    return " ".join(re.split(r"\n(?:Attributes|Args):\n", inspect.cleandoc(kind.__doc__ or ""))[0].split())


def attributes(kind: type) -> dict[str, str]:
    """Return the meaning of each attribute, those of base classes too."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        names: list[str] = []
        for line in inspect.cleandoc(vars(one).get("__doc__") or "").partition(_ATTRIBUTES)[2].splitlines():
            if match := _FIELD.fullmatch(line):
                names = match["names"].split(", ")
                found |= dict.fromkeys(names, match["text"])
            else:
                found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return {name: sentence(text) for name, text in found.items()}


def sentence(text: str) -> str:
    """Return a text with a capital at its beginning, and a full stop."""
    text = text.strip()
    first = text if _LITERAL.match(text) else text[:1].upper() + text[1:]
    return first + ("" if first.endswith((".", ":")) else ".")


def fields(kind: type[msgspec.Struct]) -> tuple[Field, ...]:
    """Return the fields of a struct."""
    return msgspec.structs.fields(kind)


def allowed(kind: Any) -> str:
    """Return the values that a type of settings allows, in the words of the errors about settings."""
    text = numbers(words(kind))
    for pattern, better in _PLAINER.items():
        text = re.sub(pattern, better, text)
    return text


def numbers(text: str) -> str:
    """Write whole numbers without a point, long ones with commas, and no bound that nobody reaches."""
    grouped = _LONG.sub(lambda found: f"{int(found[0]):,}", _WHOLE.sub(r"\1", text))
    return _ENDLESS.sub(r", at least \1", grouped)


def default(field: Field) -> str:
    """Return the default of a field, as one writes it in a file; empty for none."""
    if field.default_factory is not msgspec.NODEFAULT and not isinstance(field.default_factory(), dict):
        return ""
    if field.required or field.default is None:
        return ""
    return value({} if field.default is msgspec.NODEFAULT else field.default)


def value(given: Any) -> str:
    """Return a value as one writes it in a file."""
    match given:
        case bool():
            return f"`{str(given).lower()}`"
        case "" | msgspec.UNSET:
            return "empty" if given == "" else ""
        case tuple() | frozenset() | list():
            return f"`[{', '.join(str(getattr(one, 'name', one)) for one in given)}]`"
        case _:
            return f"`{numbers(str(given))}`" if not isinstance(given, int | float) else f"`{given:.10g}`"


def json_type(kind: Any, name: str = "") -> str:
    """Return what stands for a value of a type in JSON; the name of its field tells the unit."""
    base = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    unit = next((f", {unit}" for end, unit in _UNITS.items() if name.endswith(end)), "")
    return _json_type(base) + unit


def _json_type(base: Any) -> str:
    parts = get_args(base)
    origin = get_origin(base)
    if origin is Annotated:
        return _json_type(parts[0])
    if origin in {Union, types.UnionType}:
        kinds = [one for one in parts if one not in {types.NoneType, msgspec.UnsetType}]
        return " or ".join([*map(_json_type, kinds), *(["null"] if types.NoneType in parts else [])])
    if origin is Literal:
        return _choice([f"`{one}`" for one in parts])
    if origin is tuple:
        length = "" if parts[-1] is Ellipsis else f"{len(parts)} "
        return f"list of {length}{_plural(_json_type(parts[0]))}"
    if origin is dict:
        return f"object: name to {_json_type(parts[1])}"
    return _PLAIN.get(base, "object")


def _choice(names: list[str]) -> str:
    return f"one of {', '.join(names)}" if len(names) > 3 else " or ".join(names)  # noqa: PLR2004 - easily read


def _plural(words_: str) -> str:
    return words_ if words_.startswith(("list", "`")) or words_ == "text" else f"{words_}s"


def range_of(kind: Any) -> str:
    """Return the type of a value in JSON with its range, such as `number from 0 to 1`."""
    metas = [one for one in getattr(kind, "__metadata__", ()) if isinstance(one, msgspec.Meta)]
    if any(meta.pattern and "{64}" in meta.pattern for meta in metas):
        return "64 hex digits"
    if get_origin(kind) in {Union, types.UnionType}:
        return " or ".join("null" if one is types.NoneType else range_of(one) for one in get_args(kind))
    if any(bound is not None for meta in metas for bound in (meta.ge, meta.le, meta.gt, meta.lt)):
        return allowed(kind)
    return json_type(kind)
