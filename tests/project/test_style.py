"""Docstrings and names in the English that people search for."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.programs import house

ROOT = Path(__file__).parents[2]
PYTHON = subprocess.check_output(["git", "ls-files", "*.py"], cwd=ROOT, text=True).split()  # noqa: S607 - of the developer

BARE_WHO = re.compile(
    r"(?:\A|[.:;,(]|\b(?:and|as|by|for|from|is|of|off|or|than|those|to|unless|with))\s*\bwho(?:ever)?\b", re.IGNORECASE
)
"""`who` with no noun before it that says who it is, as in `to who`, `those who`, or a sentence that begins with it. A
client that, somebody who, and a question (`ask who may connect`) are English."""


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
    """README's code map has a line for every room, and each path in it is there."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Code map")[2].partition("\n## ")[0]
    rooms = {f"{path.rpartition('/')[0]}/" for path in PYTHON if path.split("/")[0] in {*house.PACKAGES, "patchedge"}}
    nested = {room for room in rooms if room.count("/") > 2}
    assert rooms - nested <= set(re.findall(r"^\| `([\w/]+/)` \|", text, re.MULTILINE))
    paths = re.findall(r"`((?:export|runtime|edge_config|patchedge|tests)/[\w/.]*)`", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []
