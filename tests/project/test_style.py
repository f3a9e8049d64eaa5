"""Docstrings and names in the English that people search for."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.programs import house

ROOT = Path(__file__).parents[2]
PYTHON = subprocess.check_output(["git", "ls-files", "*.py"], cwd=ROOT, text=True).split()  # noqa: S607 - of the developer
SOURCES = {path: (ROOT / path).read_text(encoding="utf-8") for path in PYTHON}

BARE_WHO = re.compile(
    r"(?:\A|[.:;,(]|\b(?:and|as|by|for|from|is|of|off|or|than|those|to|unless|with))\s*\bwho(?:ever)?\b", re.IGNORECASE
)
"""A `who` without a noun before it, such as one that begins a sentence. Plain: clients that, a person who."""

DIALECT = {
    "begins with Give: write Return": re.compile(r"\AGive\b"),
    "begins with Tell whether: write Return whether": re.compile(r"\ATell whether\b"),
    "has a bare who: name who it is, as in `clients that`": BARE_WHO,
}


SUSPECT = re.compile(r"\b[Ww]ho(?:ever)?\b|\bGive\b|Tell whether")
"""Text without it needs no parsing."""


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Return line and text, spaces made one, of every docstring: of modules, classes, functions and constants."""
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else ():
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                value = statement.value.value
                if isinstance(value, str):
                    yield statement.lineno, " ".join(value.split())


def test_docstrings_are_plain() -> None:
    """No docstring begins with `Give` or `Tell whether`, and none has a `who` without a noun before it."""
    found = [
        f"{path}:{line}: {what}: {text[:80]}"
        for path, source in SOURCES.items()
        if SUSPECT.search(source)
        for line, text in docstrings(source)
        for what, pattern in DIALECT.items()
        if pattern.search(text)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("text", "is_bare"),
    [
        ("Who has not asked is cut off.", True),
        ("The keys of those who may look.", True),
        ("It is sent on to who waits.", True),
        ("Whoever hears nothing looks again.", True),
        ("Clients that are not on the list receive nothing.", False),
        ("A person who stands in the view.", False),
        ("Ask who may connect.", False),
    ],
)
def test_a_bare_who_is_told_from_a_relative_clause(text: str, is_bare: object) -> None:
    """Sentences of the house's page are found, ordinary relative clauses and questions are not."""
    assert bool(BARE_WHO.search(text)) == is_bare


def test_bounds_are_called_max() -> None:
    """No constant is called MOST_..., as others are called MAX_...."""
    named = re.compile(r"^ *_?MOST_[A-Z_]+ *[:=]", re.MULTILINE)
    assert [path for path, source in SOURCES.items() if named.search(source)] == []


def test_a_class_name_means_one_thing() -> None:
    """No two classes of the packages have one name, private ones included."""
    named = re.compile(r"^class (\w+)", re.MULTILINE)
    sources = (source for path, source in SOURCES.items() if path.split("/")[0] in house.PACKAGES)
    found = Counter(name for source in sources for name in named.findall(source))
    assert [name for name, count in found.items() if count > 1] == []


def test_large_modules_and_folders_are_found(tmp_path: Path) -> None:
    """`make lint` names a module of 301 lines and a folder of 17 modules, and nothing that is within the limits."""
    for package in house.PACKAGES:
        (tmp_path / package / "room").mkdir(parents=True)
    (tmp_path / "export/long.py").write_text("\n" * 301)
    (tmp_path / "export/short.py").write_text("\n" * 300)
    for number in range(17):
        (tmp_path / f"runtime/room/m{number}.py").touch()
        (tmp_path / f"edge_config/room/m{number % 16}.py").touch()
    assert list(house.too_large(tmp_path)) == [
        "runtime/room: 17 modules, at most 16",
        "export/long.py: 301 lines, at most 300",
    ]


def test_the_code_map_is_complete() -> None:
    """The docs' code map has a line for every room, and each path in it is there."""
    text = (ROOT / "docs" / "explain" / "code-map.md").read_text(encoding="utf-8")
    rooms = {f"{path.rpartition('/')[0]}/" for path in PYTHON if path.split("/")[0] in {*house.PACKAGES, "patchedge"}}
    nested = {room for room in rooms if room.count("/") > 2}
    assert rooms - nested <= set(re.findall(r"^\| `([\w/]+/)` \|", text, re.MULTILINE))
    paths = re.findall(r"`((?:export|runtime|edge_config|patchedge|tests)/[\w/.]*)`", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []
