"""What README shows: its fenced blocks, and the commands in them and between them."""

from __future__ import annotations

import argparse
import itertools
import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

import export.cli.main
import runtime.cli.main
from runtime.cli.app import build_parser

ROOT = Path(__file__).parents[2]
VERBS = {"patchedge": runtime.cli.main.VERBS, "patchedge-export": export.cli.main.VERBS}
OWNER = {verb.NAME: command for command, groups in VERBS.items() for verbs in groups.values() for verb in verbs}

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[^\n`]*)\n(?P<body>.*?)^ *```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`]+)`")
_PLACEHOLDER = re.compile(r"[A-Z][A-Z_]*")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*")
_SEPARATORS = {"&&", "||", ";", "|", "&", "(", ")"}
_BEFORE_COMMANDS = {"sudo", "$", "exec", "nohup"}


class Block(NamedTuple):
    """A fenced block: the line of README that it begins after, its language, its text."""

    line: int
    language: str
    text: str

    def __str__(self) -> str:
        """Return where it is."""
        return f"README.md:{self.line}"


class Command(NamedTuple):
    """A command of ours: where README has it, the words of it, and whether it is all of them or a part."""

    where: str
    words: tuple[str, ...]
    whole: bool

    def __str__(self) -> str:
        """Return where it is, and what it says."""
        return f"{self.where}: {' '.join(self.words)}"


def text() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(*languages: str) -> list[Block]:
    """Return the fenced blocks, all of them or those in some languages; "" is what a program prints."""
    readme = text()
    found = [
        Block(readme[: match.start()].count("\n") + 1, match["language"].strip(), match["body"])
        for match in _FENCE.finditer(readme)
    ]
    return [block for block in found if not languages or block.language in languages]


def commands() -> list[Command]:
    """Return every command of `patchedge` and `patchedge-export`, in blocks and between them."""
    found = []
    for block in blocks("sh", ""):
        for number, line in _logical_lines(block):
            if block.language == "sh" or line.startswith("$ "):
                found += [Command(f"README.md:{number}", words, whole=True) for words in _commands_of(line)]
    return [*found, *_inline()]


def _logical_lines(block: Block) -> Iterator[tuple[int, str]]:
    """Return the lines with their numbers, those that end in a backslash joined with the next."""
    joined, first = "", 0
    for number, line in enumerate(block.text.splitlines(), block.line + 1):
        first = first if joined else number
        joined += line.removesuffix("\\")
        if not line.endswith("\\"):
            yield first, joined
            joined = ""


def simple_commands(line: str) -> Iterator[list[str]]:
    """Split a line of shell into its commands, each in words, without comments."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="();&|")
    lexer.whitespace_split, lexer.commenters = True, "#"
    words: list[str] = []
    for word in (*_split(lexer), ";"):
        if word in _SEPARATORS:
            yield words
            words = []
        elif words or not (word in _BEFORE_COMMANDS or _ASSIGNMENT.fullmatch(word)):
            words.append(word)


def _split(words: Iterable[str]) -> list[str]:
    try:
        return list(words)
    except ValueError:  # a quotation that does not end: so said to whoever parses it
        return ["patchedge", "a quotation that does not end"]


def _commands_of(line: str) -> Iterator[tuple[str, ...]]:
    for words in simple_commands(line):
        if words[:2] == ["docker", "run"]:  # the name of the image, and what it is to do
            at = next((at for at, pair in enumerate(itertools.pairwise(words)) if _of_image(*pair)), None)
            words = [] if at is None else words[at:]  # noqa: PLW2901 - what is left of it
        if words and Path(words[0]).name in VERBS:
            yield Path(words[0]).name, *words[1:]


def _of_image(word: str, verb: str) -> bool:
    return word == "patchedge" and OWNER.get(verb) == word


def _inline() -> Iterator[Command]:
    """Return the commands between the blocks, such as `patchedge watch`, or only `run --key KEY`."""
    between = _FENCE.sub(lambda match: "\n" * match[0].count("\n"), text())
    for match in _SPAN.finditer(between):
        where = f"README.md:{between[: match.start()].count(chr(10)) + 1}"
        line = " ".join(match[1].split())
        first, _, rest = line.partition(" ")
        if rest.split(" ")[0].endswith(":"):
            continue  # a line that the program prints
        if first == "docker":
            yield from (Command(where, words, whole=True) for words in _commands_of(line))
        elif rest and Path(first).name in VERBS:
            yield Command(where, (Path(first).name, *_plain(rest)), whole=False)
        elif rest and first in OWNER:
            yield Command(where, (OWNER[first], first, *_plain(rest)), whole=False)


def _plain(words: str) -> list[str]:
    lexer = shlex.shlex(words.replace("[", "").replace("]", ""), posix=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    return _split(lexer)


class Wrong(Exception):
    """The parser refuses a command."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Wrong(message)


def check(command: Command) -> None:
    """Have the real parser take a command; names in capitals stand for anything.

    Raises:
        Wrong: it does not.
    """
    program, *words = command.words
    parser = build_parser(program, "", VERBS[program])
    _each(parser, partial=not command.whole)
    try:
        parser.parse_args(["1" if _PLACEHOLDER.fullmatch(word) else word for word in words if word != "..."])
    except SystemExit as leaving:  # --help
        if leaving.code:
            raise Wrong(str(leaving.code)) from leaving


def _each(parser: argparse.ArgumentParser, *, partial: bool) -> None:
    """Have a parser and those of its verbs raise; `partial`: and let what is required be left out."""
    parser.__class__ = _Parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                _each(sub, partial=partial)
        if partial:
            action.required = False
            action.nargs = "?" if not action.option_strings and action.nargs is None else action.nargs
