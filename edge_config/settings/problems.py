"""Report all problems of a settings file at once: line, key, and what is allowed."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Meta

from edge_config.errors import SettingsError
from edge_config.redact import redact

KeyPath = tuple[str | int, ...]
"""Names of keys, and numbers of entries in lists, from the outermost."""

MAX_TOLD = 50
_LONGEST_SHOWN = 60
_UNIONS = (Union, types.UnionType)
_LISTS = (tuple, list, set, frozenset)
_BAD: Any = object()
_MANY = 3  # lists in each other: polygons, and who writes one forgets the outer list
_POLYGONS = "[[[0, 0], [200, 0], [200, 90]]], a list of polygons, each a list of corners"

_GONE: Mapping[KeyPath, str] = {
    ("search",): "leave it out: no score depends on it, and `patchedge bench --search` compares the kinds"
}
"""What to do about keys of earlier versions."""


@dataclass(frozen=True)
class Problem:
    """Something that is wrong.

    Attributes:
        path: of the key that it is about.
        what: is wrong, as in `SettingsError`.
        remedy: how to fix it; empty if that is obvious.
        line: where it stands, where this is another line than that of its key.
    """

    path: KeyPath
    what: str
    remedy: str = ""
    line: int | None = None


def dotted(path: KeyPath) -> str:
    """Return a path as users write it, `cameras.top.regions[1]`."""
    words = (f"[{one}]" if isinstance(one, int) else f".{one}" for one in path)
    return _printable("".join(words).removeprefix("."))


def refusal(
    problems: Iterable[Problem], where: str, lines: Mapping[KeyPath, int | str] = types.MappingProxyType({})
) -> SettingsError:
    """Return one error with all problems, a line each, in the order of the file.

    Args:
        problems: at least one.
        where: the file, or "command line".
        lines: path of a key -> its line in the file, or another place than the file.
    """
    placed = sorted(
        ((_place(one, lines), one) for one in problems), key=lambda each: each[0] if isinstance(each[0], int) else 0
    )
    errors = [
        SettingsError(
            one.what, where=f"{where}:{place}" if isinstance(place, int) else place or where, remedy=one.remedy
        )
        for place, one in placed[:MAX_TOLD]
    ]
    if len(placed) > MAX_TOLD:
        errors.append(SettingsError(f"and {len(placed) - MAX_TOLD} more mistakes", where=where))
    first, *more = errors
    return SettingsError(first.what, where=first.where, remedy=first.remedy, more=more)


def _place(problem: Problem, lines: Mapping[KeyPath, int | str]) -> int | str | None:
    """Return the line of a key, or else of its section."""
    if problem.line is not None:
        return problem.line
    return next((lines[path] for end in range(len(problem.path), 0, -1) if (path := problem.path[:end]) in lines), None)


def look(tree: Mapping[str, Any], kind: type[msgspec.Struct]) -> tuple[list[Problem], dict[str, Any]]:
    """Compare a tree of plain values with a section.

    Returns:
        The problems, and the tree without the invalid values, for further checks; required keys may be missing.
    """
    found = _Checker()
    mended = found.section(dict(tree), kind, ())
    return found.problems, mended


class _Checker:
    """Collects problems; each method returns the value without its invalid parts, or _BAD."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def value(self, value: Any, kind: Any, path: KeyPath) -> Any:
        base = _base(kind)
        if get_origin(base) in _UNIONS:
            return self._union(value, kind, path)
        if isinstance(base, type) and issubclass(base, msgspec.Struct):
            if isinstance(value, dict):
                mended = self.section(value, base, path)
                return mended if _has_all(mended, base) else _BAD
            known = ", ".join(field.encode_name for field in msgspec.structs.fields(base))
            return self._wrong(path, f"{_shown(value)} is not a section; known keys: {known}")
        if get_origin(base) is dict and isinstance(value, dict):
            return self._names(value, kind, path)
        if get_origin(base) in _LISTS and isinstance(value, _LISTS):
            return self._list(list(value), kind, path)
        return self._leaf(value, kind, path)

    def section(self, value: dict[Any, Any], kind: type[msgspec.Struct], path: KeyPath) -> dict[str, Any]:
        fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
        for key in value.keys() - fields.keys():
            near = difflib.get_close_matches(str(key), fields, 1)
            said = f"unknown key `{dotted((*path, str(key)))}`; known here: {', '.join(fields)}"
            remedy = _GONE.get((*path, key)) or (f"did you mean `{near[0]}`?" if near else "")
            self.problems.append(Problem((*path, key), said, remedy))
        for name, field in fields.items():
            if field.required and name not in value:
                said = f"key `{dotted((*path, name))}` is missing"
                self.problems.append(Problem((*path, name), said, f"it is {words(field.type)}"))
        mended = {
            name: self.value(value[name], field.type, (*path, name)) for name, field in fields.items() if name in value
        }
        return {name: one for name, one in mended.items() if one is not _BAD}

    def _names(self, value: dict[Any, Any], kind: Any, path: KeyPath) -> Any:
        of_key, of_value = get_args(_base(kind))
        mended: dict[Any, Any] = {}
        for key, one in value.items():
            if not _fits(key, of_key):
                quote = "" if isinstance(key, str) else ", in quotes where it could be read as something else"
                said = f"name `{_printable(str(key))}` in `{dotted(path)}`: use {words(of_key)}{quote}"
                self.problems.append(Problem((*path, key), said))
            better = self.value(one, of_value, (*path, key))
            if _fits(key, of_key) and better is not _BAD:
                mended[key] = better
        return self._counted(value, mended, kind, path)

    def _list(self, value: list[Any], kind: Any, path: KeyPath) -> Any:
        of = get_args(_base(kind))
        if value and _MANY <= _depth_of(_base(kind)) != (nested := _depth(value)) < _MANY:
            said = f"{nested} list{'s' * (nested > 1)} in each other instead of 3; write such as {_POLYGONS}"
            return self._wrong(path, said)
        open_end = get_origin(_base(kind)) is not tuple or of[-1] is Ellipsis
        if not open_end and len(of) != len(value):
            return self._wrong(path, f"{len(value)} values instead of {len(of)}")
        kinds = [of[0]] * len(value) if open_end else of
        better = [self.value(one, each, (*path, at)) for at, (one, each) in enumerate(zip(value, kinds, strict=True))]
        mended = [one for one in better if one is not _BAD]
        return self._counted(value, mended if open_end or len(mended) == len(value) else _BAD, kind, path)

    def _counted(self, value: Any, mended: Any, kind: Any, path: KeyPath) -> Any:
        """Report too many or too few entries."""
        least, most = _bound(kind, "min_length") or 0, _bound(kind, "max_length")
        if least <= len(value) <= (len(value) if most is None else most):
            return _BAD if mended is _BAD or len(mended) < least else mended
        allowed = f"at least {least}" if most is None else f"{least} to {most}"
        return self._wrong(path, f"{len(value)} entries, where {allowed} are allowed")

    def _union(self, value: Any, kind: Any, path: KeyPath) -> Any:
        """Take the member that the value was meant to be, by its shape."""
        for member in get_args(_base(kind)):
            base = _base(member)
            section = isinstance(base, type) and issubclass(base, msgspec.Struct)
            if (section and isinstance(value, dict)) or (get_origin(base) in _LISTS and isinstance(value, _LISTS)):
                return self.value(value, member, path)
        return self._leaf(value, kind, path)

    def _leaf(self, value: Any, kind: Any, path: KeyPath) -> Any:
        return value if _fits(value, kind) else self._wrong(path, f"{_shown(value)} is not {words(kind)}")

    def _wrong(self, path: KeyPath, said: str) -> Any:
        self.problems.append(Problem(path, f"key `{dotted(path)}`: {said}"))
        return _BAD


def words(kind: Any) -> str:
    """Describe in words the values of a type; one with a pattern by its description."""
    base = _base(kind)
    if description := _bound(kind, "description"):
        return str(description)
    if get_origin(base) in _UNIONS:
        return " or ".join(words(one) for one in get_args(base) if one is not types.NoneType)
    if get_origin(base) is Literal:
        return " or ".join(f"`{one}`" for one in get_args(base))
    if get_origin(base) in _LISTS:
        return f"a list of {words(get_args(base)[0])}"
    if get_origin(base) is dict or (isinstance(base, type) and issubclass(base, msgspec.Struct)):
        return "a section of its own" if base is not dict else "keys and values"
    plain = {bool: "true or false", int: "a whole number", float: "a number"}
    return plain[base] + _range(kind) if base in plain else _text(kind)


def _text(kind: Any) -> str:
    least, most = _bound(kind, "min_length"), _bound(kind, "max_length")
    return "text" + (" that is not empty" if least else "") + (f", at most {most} characters" if most else "")


def _range(kind: Any) -> str:
    least, above = _bound(kind, "ge"), _bound(kind, "gt")
    most, below = _bound(kind, "le"), _bound(kind, "lt")
    if least is not None and most is not None:
        return f" from {least} to {most}"
    least, above, most, below = (_plain(bound) for bound in (least, above, most, below))
    bounds = {"at least": least, "above": above, "at most": most, "below": below}
    told = [f"{word} {bound}" for word, bound in bounds.items() if bound is not None]
    return f", {', '.join(told)}" if told else ""


def _plain(bound: Any) -> Any:
    """Return a bound as people write it, such as 1000000000."""
    return f"{bound:.15g}" if isinstance(bound, float) else bound


def _depth_of(kind: Any) -> int:
    """Return how many lists are in each other in a type."""
    base = _base(kind)
    return 1 + _depth_of(get_args(base)[0]) if get_origin(base) in _LISTS else 0


def _depth(value: Any) -> int:
    """Return the same of a value, by its first entries."""
    return 1 + _depth(value[0] if value else None) if isinstance(value, (list, tuple)) else 0


def _base(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _bound(kind: Any, name: str) -> Any:
    metas = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
    return next(
        (getattr(meta, name) for meta in metas if isinstance(meta, Meta) and getattr(meta, name) is not None), None
    )


def _fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except (msgspec.ValidationError, UnicodeError, OverflowError):  # UnicodeError: half a character, as "\ud800"
        return False
    return True


def _has_all(value: dict[str, Any], kind: type[msgspec.Struct]) -> bool:
    return all(field.encode_name in value for field in msgspec.structs.fields(kind) if field.required)


def _shown(value: Any) -> str:
    """Return a value as the file has it, in short, and without secrets."""
    match value:
        case None | "":
            return "empty"
        case bool():
            return "true" if value else "false"
        case dict():
            return "a section"
        case list() | tuple() | set() | frozenset():
            return "a list"
        case str():
            text = redact(_printable(value))
            return f"`{text[:_LONGEST_SHOWN]}{'...' if len(text) > _LONGEST_SHOWN else ''}`"
        case _:
            return str(value)[:_LONGEST_SHOWN]


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
