"""All texts that an expression of our code can be, found by reading it: what is filled in at run time is {}."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

MAX_TEXTS = 64
"""Texts of one expression that are looked at: those of many alternatives are alike."""

MAX_DEPTH = 6

Values = dict[str, list[tuple[bool, ast.expr]]]
"""Name -> what it is given: whether that is added to it, and the expression."""


def texts_of_calls(path: Path, wanted: Mapping[str, Iterable[int | str]]) -> Iterator[tuple[str, str]]:
    """Yield the texts that a file hands to some functions, each with its remedy, where one is handed over, too.

    Args:
        path: of the Python file.
        wanted: name of a function -> places or names of its arguments.

    Yields:
        The name of the function around the call, and a text.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    module = _given(tree.body)
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
        names = module | _given(sorted(ast.walk(function), key=lambda node: getattr(node, "lineno", 0)))
        for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
            remedies = {f"; {one}" for remedy in _named(call, "remedy") for one in _texts(remedy, names)} or {""}
            for argument in _arguments(call, wanted):
                whole = sorted(text + remedy for text in _texts(argument, names) for remedy in remedies)
                yield from ((function.name, text) for text in whole if text != "{}")


def texts_returned(path: Path, functions: Iterable[str]) -> Iterator[str]:
    """Yield the texts that some functions of a file return."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    module, wanted = _given(tree.body), {*functions}
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and function.name in wanted:
            names = module | _given(sorted(ast.walk(function), key=lambda node: getattr(node, "lineno", 0)))
            for node in ast.walk(function):
                if isinstance(node, ast.Return) and node.value is not None:
                    yield from (text for text in sorted(_texts(node.value, names)) if " " in text)


def _arguments(call: ast.Call, wanted: Mapping[str, Iterable[int | str]]) -> Iterator[ast.expr]:
    called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    for place in wanted.get(called, ()):
        if isinstance(place, int):
            yield from call.args[place : place + 1]
        else:
            yield from _named(call, place)


def _named(call: ast.Call, name: str) -> list[ast.expr]:
    return [one.value for one in call.keywords if one.arg == name]


def _given(nodes: Iterable[ast.AST]) -> Values:
    found: Values = {}
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                pairs = [(name, value, False) for name, value in zip(names, values, strict=True)]
            case ast.Assign(targets=[target]):
                pairs = [(target, node.value, False)]
            case ast.AugAssign():
                pairs = [(node.target, node.value, True)]
            case ast.NamedExpr():
                pairs = [(node.target, node.value, False)]
            case _:
                continue
        for target, value, is_more in pairs:
            if isinstance(target, ast.Name):
                found.setdefault(target.id, []).append((is_more, value))
    return found


def _texts(node: ast.expr, names: Values, depth: int = 0) -> set[str]:  # noqa: C901, PLR0911 - a kind of expression each
    if depth > MAX_DEPTH:
        return {"{}"}

    def go(inner: ast.expr) -> set[str]:
        return _texts(inner, names, depth + 1)

    match node:
        case ast.Constant(value=str(text)):
            return {text}
        case ast.IfExp():
            return go(node.body) | go(node.orelse)
        case ast.BoolOp(values=several):
            return {text for one in several for text in go(one)}
        case ast.BinOp(op=ast.Add()):
            return {one + other for one in go(node.left) for other in go(node.right)}
        case ast.JoinedStr(values=parts):
            choices = [go(part.value) if isinstance(part, ast.FormattedValue) else go(part) for part in parts]
            return {"".join(chosen) for chosen in itertools.islice(itertools.product(*choices), MAX_TEXTS)}
        case ast.Name(id=name) if name in names:
            return _of_name(name, names, go)
        case ast.Call(func=ast.Attribute(value=template, attr="format")):
            return {re.sub(r"\{\w+\}", "{}", text) for text in go(template)}
        case ast.Subscript(value=ast.Name(id=name)) if name in names:
            tables = [value for _, value in names[name] if isinstance(value, ast.Dict)]
            return {text for table in tables for one in table.values for text in go(one)} or {"{}"}
        case _:
            return {"{}"}


def _of_name(name: str, names: Values, go: Callable[[ast.expr], set[str]]) -> set[str]:
    found: set[str] = set()
    for is_more, value in names[name]:
        if isinstance(value, ast.Name) and value.id == name:
            continue
        more = go(value)
        found = found | {one + other for one in found for other in more} if is_more else found | more
    return {*itertools.islice(sorted(found), MAX_TEXTS)} or {"{}"}
