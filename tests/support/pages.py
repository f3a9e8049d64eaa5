"""What the pages show: their fenced blocks, and the commands in them and between them. See tests/docs/test_pages.py."""

from __future__ import annotations

import argparse
import ast
import itertools
import re
import shlex
import textwrap
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple, NoReturn

import export.cli.main
import runtime.cli.main
from runtime.cli.app import build_parser

ROOT = Path(__file__).parents[2]
VERBS = {"patchedge": runtime.cli.main.VERBS, "patchedge-export": export.cli.main.VERBS}
OWNER = {verb.NAME: command for command, groups in VERBS.items() for verbs in groups.values() for verb in verbs}

ALL = ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))]
RUN = [page for page in ALL if page in {"README.md", "docs/tutorial.md"} or page.startswith("docs/guide/")]
"""Pages whose blocks run."""

_FENCE = re.compile(
    r"(?:^ *\*Not run here: (?P<reason>[^*\n]*)\.\*\n+)?"
    r"^(?P<indent> *)(?P<fence>```+)(?P<language>[^\n`]*)\n(?P<body>.*?)^ *(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
_SPAN = re.compile(r"`([^`]+)`")
_PLACEHOLDER = re.compile(r"[A-Z][A-Z_]*")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*")
_FILE = re.compile(r"(?:#|//) ([\w./-]+\.\w+)(?:[ :,\n]|$)")
_PATH = re.compile(r"(?:(?:export|runtime|edge_config|tests|docs|examples)/[\w/.-]*|patchedge/[\w/]+\.py)")
_SEPARATORS = {"&&", "||", ";", "|", "&", "(", ")"}
_BEFORE_COMMANDS = {"sudo", "$", "exec", "nohup"}


class Block(NamedTuple):
    """A fenced block.

    Attributes:
        page: relative to the repository.
        line: of the page, at which the fence begins.
        language: that of the fence.
        text: without the fence.
        reason: why it does not run; "" if it does.
    """

    page: str
    line: int
    language: str
    text: str
    reason: str

    def __str__(self) -> str:
        """Return where it is."""
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str:
        """Return the name of the file that it is, by its first line, as in `# settings.yaml`; else ""."""
        named = _FILE.match(self.text)
        return named[1] if named and self.language not in {"sh", "console"} else ""


class Command(NamedTuple):
    """A command of ours: where a page has it, the words of it, and whether it is all of them or a part."""

    where: str
    words: tuple[str, ...]
    whole: bool

    def __str__(self) -> str:
        """Return where it is, and what it says."""
        return f"{self.where}: {' '.join(self.words)}"


@cache
def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, *languages: str) -> list[Block]:
    """Return the fenced blocks of a page, all of them or those in some languages."""
    found = [
        Block(
            page,
            text(page)[: match.start("fence")].count("\n") + 1,
            match["language"].strip(),
            textwrap.dedent(match["body"]),
            match["reason"] or "",
        )
        for match in _FENCE.finditer(text(page))
    ]
    return [block for block in found if not languages or block.language in languages]


def between(page: str) -> str:
    """Return a page without its fenced blocks, all lines where they were."""
    return _FENCE.sub(lambda match: "\n" * match[0].count("\n"), text(page))


def spans(page: str) -> Iterator[tuple[str, str]]:
    """Return what stands in backticks between the blocks, with its place."""
    prose = between(page)
    for match in _SPAN.finditer(prose):
        yield f"{page}:{prose[: match.start()].count(chr(10)) + 1}", " ".join(match[1].split())


def paths(page: str) -> Iterator[tuple[str, str]]:
    """Return the files and folders of the repository that are named in backticks, each with its place."""
    for where, span in spans(page):
        if _PATH.fullmatch(span):
            yield where, span


def commands(page: str) -> list[Command]:
    """Return every command of `patchedge` and `patchedge-export`, in blocks and between them."""
    found = []
    for block in blocks(page, "sh", "console", ""):
        for number, line in logical_lines(block):
            if block.language == "sh" or line.startswith("$ "):
                found += [Command(f"{page}:{number}", words, whole=True) for words in commands_of(line)]
    return [*found, *_inline(page)]


def logical_lines(block: Block) -> Iterator[tuple[int, str]]:
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


def commands_of(line: str) -> Iterator[tuple[str, ...]]:
    """Return the commands of ours in a line of shell, the words after `patchedge` in `docker run` too."""
    for words in simple_commands(line):
        if words[:2] == ["docker", "run"]:  # the name of the image, and what it is to do
            at = next((at for at, pair in enumerate(itertools.pairwise(words)) if _of_image(*pair)), None)
            words = [] if at is None else words[at:]  # noqa: PLW2901 - what is left of it
        if words and Path(words[0]).name in VERBS:
            yield Path(words[0]).name, *_without_redirections(words[1:])


def _without_redirections(words: list[str]) -> Iterator[str]:
    """Leave out `> FILE` and what is like it: the shell takes that away."""
    pending = False
    for word in words:
        if redirection := re.match(r"\d?(>>?|<)(&\d)?", word):
            pending = redirection.end() == len(word) and not redirection[2]
        elif pending:
            pending = False
        else:
            yield word


def _of_image(word: str, verb: str) -> bool:
    return word == "patchedge" and OWNER.get(verb) == word


def _inline(page: str) -> Iterator[Command]:
    """Return the commands between the blocks, such as `patchedge watch`, or only `run --key KEY`."""
    for where, line in spans(page):
        first, _, rest = line.partition(" ")
        if rest.split(" ")[0].endswith(":"):
            continue  # a line that the program prints
        if first == "docker":
            yield from (Command(where, words, whole=True) for words in commands_of(line))
        elif rest and Path(first).name in VERBS:
            yield Command(where, (Path(first).name, *_plain(rest)), whole=False)
        elif rest and first in OWNER:
            yield Command(where, (OWNER[first], first, *_plain(rest)), whole=False)


def _plain(words: str) -> list[str]:
    lexer = shlex.shlex(words.replace("[", "").replace("]", ""), posix=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    return _split(lexer)


def has_loop(code: str) -> bool:
    """Return whether a Python program has a loop over what comes."""
    return any(isinstance(node, ast.While | ast.For | ast.AsyncFor) for node in ast.walk(ast.parse(code)))


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
