"""Parse settings files (YAML or TOML) into plain values with line numbers; duplicate keys are refused."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from edge_config.errors import SettingsError
from edge_config.settings.problems import KeyPath, Problem, dotted, refusal

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_BYTES = 128 << 10
"""Maximum size of a settings file: the YAML parser is slow, and 64 cameras need a tenth of it."""

_MAX_MERGED = 256
_DEEPEST = 32  # brackets in brackets

_TOML_PLACE = re.compile(r" \(at line (\d+), column \d+\)\Z")
_TOML_TWICE = re.compile(r"Cannot (overwrite|declare|redefine|mutate)|Duplicate")
_TOML_TABLE = re.compile(r"\s*\[\[?([^\[\]#]+)\]\]?\s*(#.*)?\Z")
_TOML_KEY = re.compile(r"\s*((?:[A-Za-z0-9_.\s-]|\"[^\"]*\"|'[^']*')+?)\s*=")
_TOML_WORD = re.compile(r"\"([^\"]*)\"|'([^']*)'|([A-Za-z0-9_-]+)")


class Tree(dict[str, Any]):
    """The content of a settings file.

    Attributes:
        lines: path of a key -> its line, from 1; or another origin of the value.
        twice: duplicate keys; the values of the first ones are lost.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        lines: Mapping[KeyPath, int | str] | None = None,
        twice: Sequence[Problem] = (),
    ) -> None:
        """Store the values, and where they are from."""
        super().__init__(values)
        self.lines: dict[KeyPath, int | str] = dict(lines or {})
        self.twice = list(twice)


def lines_of(tree: Mapping[str, Any]) -> Mapping[KeyPath, int | str]:
    """Return the lines of the keys of a tree; empty if it is not from a file."""
    return tree.lines if isinstance(tree, Tree) else {}


def read_file(path: str, *, tell_later: bool = False) -> Tree:
    """Parse a settings file, by its ending: .yaml, .yml or .toml.

    Args:
        path: path of the file.
        tell_later: put duplicate keys into `Tree.twice` instead of raising, to report them with all other problems.

    Raises:
        SettingsError: the file is absent, of another kind, not valid YAML or TOML, or has a key twice.
    """
    if Path(path).suffix.lower() not in {".yaml", ".yml", ".toml"}:
        raise SettingsError("not a settings file", where=path, remedy="name it .yaml, .yml or .toml")
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"cannot be read ({error.strerror})", where=path) from error
    return read_bytes(data, path, tell_later=tell_later)


def read_bytes(data: bytes, path: str, *, tell_later: bool = False) -> Tree:
    """Parse the content of a settings file; arguments and errors are those of `read_file`."""
    try:
        text = data.decode("utf-8")
        if len(text) > MAX_BYTES:
            raise SettingsError(f"longer than {MAX_BYTES} bytes", where=path)
        if Path(path).suffix.lower() == ".toml":  # the parser itself refuses duplicates
            return Tree(tomllib.loads(text), dict(_toml_keys(text)))
        tree = _read_yaml(text)
    except UnicodeDecodeError as error:
        raise SettingsError("is not UTF-8 text", where=path, remedy="save it as UTF-8") from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:  # TOML's are ValueErrors
        raise _unreadable(error, path) from error
    if tree is None:
        raise SettingsError("holds no settings", where=path, remedy="write `key: value` lines")
    if tree.twice and not tell_later:
        raise refusal(tree.twice, path, tree.lines)
    return tree


def _unreadable(error: Exception, path: str) -> SettingsError:
    """Return the error with its line number, but not the line itself, as YAML's do: it may contain a password."""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        place = f"{path}:{mark.line + 1}" if mark else path
        said = f"{error.context}: {error.problem}" if error.context else f"{error.problem}"
        return SettingsError(f"cannot be parsed ({said}{f', column {mark.column + 1}' if mark else ''})", where=place)
    if found := _TOML_PLACE.search(str(error)):
        said, place = str(error)[: found.start()], f"{path}:{found[1]}"
        if _TOML_TWICE.match(said):
            return SettingsError("duplicate key", where=place, remedy="remove or rename one of them")
        return SettingsError(f"cannot be parsed ({said})", where=place)
    return SettingsError(f"cannot be parsed ({error})", where=path)


def _read_yaml(text: str) -> Tree | None:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        found = [] if node is None else list(_keys(node, (), set()))  # before `<<` is merged, which makes no duplicates
        values = None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()
    if not isinstance(values, dict):
        return None
    tree = Tree(values)
    for path, line, before in found:
        tree.lines[path] = line
        if before is not None:
            said = f"duplicate key `{dotted(path)}`, first in line {before}"
            tree.twice.append(Problem(path, said, "remove or rename one of them", line))
    return tree


def _keys(node: yaml.Node, path: KeyPath, seen: set[int]) -> Iterator[tuple[KeyPath, int, int | None]]:
    """Yield all keys, their lines, and the line of an earlier duplicate; aliases are visited once."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        lines: dict[Any, int] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                inner = (*path, plain_key(key))
                line = key.start_mark.line + 1
                yield inner, line, lines.get(inner[-1])
                lines.setdefault(inner[-1], line)
                yield from _keys(value, inner, seen)
    elif isinstance(node, yaml.SequenceNode):
        for at, value in enumerate(node.value):
            yield from _keys(value, (*path, at), seen)


def compose(text: str) -> yaml.Node | None:
    """Return the nodes of YAML, which know their places in the text; None if there is none."""
    loader = _Loader(text)
    try:
        node: yaml.Node | None = loader.get_single_node()
    finally:
        loader.dispose()
    return node


def plain_key(key: yaml.ScalarNode) -> Any:
    """Return a key as it is in the values: `1` and `01` are the same."""
    with suppress(ValueError, yaml.YAMLError, KeyError, OverflowError):
        return _Loader("").construct_object(key)
    return key.value


_YAML_NUMBERS = {
    "tag:yaml.org,2002:int": re.compile(r"[-+]?(0|[1-9][0-9]*)\Z"),
    "tag:yaml.org,2002:float": re.compile(
        r"[-+]?(([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|\.(inf|Inf|INF))\Z|\.(nan|NaN|NAN)\Z"
    ),
}
"""Numbers as people read them: PyYAML takes 1:30 for 90, and 010 for 8. 1e3 stays text: it may be a name."""


class _Loader(yaml.SafeLoader):
    """Parses YAML in bounded time and memory, with decimal numbers only.

    What `<<` merges may merge in turn, and grow tenfold each time; and each open bracket makes the next one slower. The
    loader in C is no help: deeply nested brackets crash it.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012 - as the library declares it
        first: [(tag, pattern) for tag, pattern in known if tag not in _YAML_NUMBERS]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        if len(node.value) > _MAX_MERGED:
            raise yaml.constructor.ConstructorError(problem="too many keys", problem_mark=node.start_mark)

    def fetch_flow_collection_start(self, token: type[yaml.Token]) -> None:
        if self.flow_level >= _DEEPEST:
            raise yaml.scanner.ScannerError(problem="too many brackets", problem_mark=self.get_mark())
        super().fetch_flow_collection_start(token)


for _tag, _pattern in _YAML_NUMBERS.items():
    _Loader.add_implicit_resolver(_tag, _pattern, list("-+.0123456789"))


def _toml_keys(text: str) -> Iterator[tuple[KeyPath, int]]:
    """Find the line of each key, as far as possible line by line."""
    table: KeyPath = ()
    for number, line in enumerate(text.splitlines(), 1):
        if found := _TOML_TABLE.match(line):
            table = _toml_path(found[1])
            yield table, number
        elif found := _TOML_KEY.match(line):
            yield (*table, *_toml_path(found[1])), number


def _toml_path(text: str) -> KeyPath:
    return tuple("".join(word) for word in _TOML_WORD.findall(text))
