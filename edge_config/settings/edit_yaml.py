"""Change values of one camera in the text of a settings file; all other bytes, comments too, stay as they are.

The places of keys and values come from the YAML parser. What was changed must be parsed again and compared by the
caller: text with anchors can say more with one value than is seen where it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import yaml

from edge_config.errors import SettingsError
from edge_config.settings.problems import KeyPath, dotted
from edge_config.settings.reading import compose, plain_key

ABSENT: Final = object()
"""In place of a value: the key is removed."""

_STEP = 2
"""Columns that a new section is indented further than its key."""


def edit(text: str, section: KeyPath, changes: Mapping[KeyPath, Any], where: str) -> str:
    """Return the text of a settings file with other values in a section.

    Args:
        text: YAML.
        section: path of the section, such as ("cameras", "top"); it must be there.
        changes: path of a key in the section -> its new value, or `ABSENT`.
        where: the file, for errors.

    Raises:
        SettingsError: there is no such section, or it is written elsewhere, behind an alias.
    """
    for path, value in changes.items():
        text = _edit(text, section, path, value, where)
    return text


def _edit(text: str, section: KeyPath, path: KeyPath, value: Any, where: str) -> str:
    """Change one value."""
    node: yaml.Node | None = compose(text)
    for depth, key in enumerate((*section, *path[:-1])):
        entry = _entry(node, key)
        if entry is None or _is_null(entry[1]):
            if depth < len(section):
                raise SettingsError(f"has no section `{dotted(section)}`", where=where, remedy="write it there by hand")
            if value is ABSENT:
                return text
            inner = path[depth - len(section) + 1 :]
            nested = value
            for name in reversed(inner):
                nested = {name: nested}
            return _put(text, node, key, nested)
        if entry[1].start_mark.index < entry[0].end_mark.index or not isinstance(entry[1], yaml.MappingNode):
            said = f"section `{dotted((*section, *path)[: depth + 1])}` is an alias, which may stand for others as well"
            raise SettingsError(said, where=where, remedy="write it out, or change the file by hand")
        node = entry[1]
    return _remove(text, node, path[-1]) if value is ABSENT else _put(text, node, path[-1], value)


def _put(text: str, mapping: Any, key: Any, value: Any) -> str:
    """Set a key of a mapping to a value; a new key is appended."""
    entry = _entry(mapping, key)
    if entry is not None:
        return _replace(text, entry[0], entry[1], value)
    if mapping.flow_style:
        at = mapping.start_mark.index + 1
        return f"{text[:at]}{_flow({key: value})[1:-1]}{', ' if mapping.value else ''}{text[at:]}"
    last, end = mapping.value[-1][1], _end(mapping)
    column, newline = mapping.start_mark.column, _newline(text)
    if isinstance(last, yaml.ScalarNode) and last.style in {"|", ">"}:  # where it ends, a blank line decides
        at = mapping.value[0][0].start_mark.index
        return f"{text[:at]}{_block(key, value, column, newline)}{newline}{' ' * column}{text[at:]}"
    at = text.find("\n", end)
    at = len(text) if at < 0 else at
    at -= text[:at].endswith("\r")
    return f"{text[:at]}{newline}{' ' * column}{_block(key, value, column, newline)}{text[at:]}"


def _replace(text: str, key: yaml.Node, old: yaml.Node, value: Any) -> str:
    """Put a value in the place of an old one."""
    if old.start_mark.index < key.end_mark.index:  # an alias: its value stands further up, and stays there
        start = text.index("*", key.end_mark.index)
        stop = start + 1
        while stop < len(text) and not (text[stop].isspace() or text[stop] in ",]}"):
            stop += 1
    else:
        start, stop = old.start_mark.index, _end(old)
    block = isinstance(old, yaml.CollectionNode) and not old.flow_style
    if isinstance(value, list) and value and block:
        lines = [f"- {_flow(one)}" for one in value]
        new = f"{_newline(text)}{' ' * old.start_mark.column}".join(lines)
    else:
        new = _flow(value)
    return f"{text[:start]}{' ' if start == key.end_mark.index + 1 == stop else ''}{new}{text[stop:]}"


def _remove(text: str, mapping: Any, key: Any) -> str:
    """Remove a key of a mapping, if it is there."""
    entries = mapping.value
    at = next((at for at, (one, _) in enumerate(entries) if _name(one) == key), None)
    if at is None:
        return text
    start, stop = entries[at][0].start_mark.index, _value_end(text, *entries[at])
    if len(entries) == 1:
        return f"{text[:start]}{'' if mapping.flow_style else '{}'}{text[stop:]}"
    if mapping.flow_style:
        before, after = entries[at - 1], entries[(at + 1) % len(entries)]
        if at + 1 < len(entries):
            return text[:start] + text[after[0].start_mark.index :]
        return text[: _value_end(text, *before)] + text[stop:]
    line, after = text.rfind("\n", 0, start) + 1, text.find("\n", stop)
    after = len(text) if after < 0 else after + 1
    if text[line:start].strip() or text[stop:after].strip():  # `- key: value`, or a comment behind it: a line is left
        return text[:start] + text[stop:].lstrip(" \t")
    return text[:line] + text[after:]


def _entry(node: yaml.Node | None, key: Any) -> tuple[yaml.Node, yaml.Node] | None:
    """Return key and value of an entry of a mapping; None if it is not there itself: what `<<` merges is elsewhere."""
    if not isinstance(node, yaml.MappingNode):
        return None
    return next(((one, value) for one, value in node.value if _name(one) == key), None)


def _name(key: yaml.Node) -> Any:
    return plain_key(key) if isinstance(key, yaml.ScalarNode) else None


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _value_end(text: str, key: yaml.Node, value: yaml.Node) -> int:
    """Return where a value ends; that of an alias stands elsewhere."""
    if value.start_mark.index >= key.end_mark.index:
        return _end(value)
    at = text.index("*", key.end_mark.index)
    return at + len(text[at:].split(maxsplit=1)[0].rstrip(",]}"))


def _end(node: yaml.Node) -> int:
    """Return where a node ends; the parser counts the comments behind a block to it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        key, value = last if isinstance(last, tuple) else (None, last)
        inner = _end(value)
        return inner if key is None else max(inner, key.end_mark.index)
    return int(node.end_mark.index)


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _block(key: Any, value: Any, column: int, newline: str) -> str:
    """Return a new entry of a block mapping; its first line is indented by the caller."""
    inner = newline + " " * (column + _STEP)
    if isinstance(value, dict):
        return f"{_flow(key)}:{inner}" + inner.join(f"{_flow(one)}: {_flow(its)}" for one, its in value.items())
    if isinstance(value, list) and value:
        return f"{_flow(key)}:{inner}" + inner.join(f"- {_flow(one)}" for one in value)
    return f"{_flow(key)}: {_flow(value)}"


def _flow(value: Any) -> str:
    """Return a value in one line."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=1 << 30, sort_keys=False, allow_unicode=True)
    return text.removesuffix("...\n").strip()
