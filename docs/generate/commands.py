"""The verbs of both commands, from their parsers."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import export.cli.main
import runtime.cli.main
from docs.generate.describe import allowed, attributes, default, fields, numbers, sentence, table, value
from docs.generate.settings import SECTIONS
from export.options import Options
from runtime.cli.app import Verbs, build_parser
from runtime.learning.options import LearnOptions

PROGRAMS: Mapping[str, Verbs] = {"patchedge": runtime.cli.main.VERBS, "patchedge-export": export.cli.main.VERBS}

_OPTIONS: Mapping[str, type[LearnOptions]] = {
    "patchedge learn": LearnOptions,
    "patchedge-export fit": Options,
    "patchedge-export network": Options,
}

_SETTINGS = {
    "--bundle": "top-level.bundle",
    "--device": "top-level.device",
    "--threads": "top-level.threads",
    "--source": "cameras.source",
    "--pace": "cameras.pace",
    "--fps": "cameras.fps",
    "--bind": "events.bind",
    "--insecure": "events.insecure",
    "--wait-subscribers": "events.wait_subscribers",
    "--key": "trust.keys",
    "--rebuild-index": "trust.rebuild_index",
}
"""Options of `run` -> section of the settings page and key that they override."""

_PAGES = {
    **dict.fromkeys(
        ("page", "watch", "replay", "bridge", "schema", "ask", "configure", "inspect", "forget"), "patchedge-remote.md"
    ),
    **dict.fromkeys(
        ("learn", "teach", "learn-on", "versions", "rollback", "burn-in", "delete-pictures"), "patchedge-learning.md"
    ),
    "fleet": "patchedge-fleet.md",
}
"""Verb of `patchedge` that is on another page -> its page."""

_ARTICLE = re.compile(r"^an? ")
_DEFAULT = re.compile(r" \(default: (.*)\)\Z")


class _Argument(NamedTuple):
    """A row of a table: how an argument is written, what it may be, its default, its meaning."""

    written: str
    allowed: str
    default: str
    meaning: str


def overview(program: str) -> str:
    """Return a table of the verbs by purpose."""
    rows = []
    for purpose, verbs in PROGRAMS[program].items():
        for number, one in enumerate(verbs):
            place = _PAGES.get(one.NAME, "") if program == "patchedge" else ""
            rows.append(("" if number else purpose, f"[`{one.NAME}`]({place}#{one.NAME})", sentence(one.HELP)))
    return table(("Group", "Verb", "What it does"), rows)


def verb(program: str, name: str) -> str:
    """Return purpose, usage and arguments of a verb; of each of its actions, if it has some."""
    parser = _parsers(build_parser(program, "", PROGRAMS[program]))[name]
    parts = [sentence(parser.description or "")]
    actions = _parsers(parser)
    for action, sub in actions.items():
        usage = f"{program} {name} {action}"
        parts += [f"### {name} {action}", sentence(sub.description or ""), *_of_parser(sub, usage)]
    own = [] if any(kind.required for kind in _kinds(parser)) else _of_parser(parser, f"{program} {name}")
    return "\n\n".join([*parts[:1], *own, *parts[1:]])


def _of_parser(parser: argparse.ArgumentParser, called: str) -> Iterator[str]:
    arguments = [one for one in parser._actions if one.dest != "help" and one not in _kinds(parser)]  # noqa: SLF001
    required = [one for one in arguments if one.required and one.option_strings]
    positional = [one for one in arguments if not one.option_strings]
    words = [called, *(["[OPTION ...]"] if len(arguments) > len(required) + len(positional) else [])]
    yield f"```text\n{' '.join([*words, *map(_usage, [*required, *positional])])}\n```"
    if arguments:
        yield table(
            ("Argument", "Allowed", "Default", "Meaning"),
            [_row(one, called) for one in [*positional, *(x for x in arguments if x.option_strings)]],
        )


def _usage(action: argparse.Action) -> str:
    written = _written(action)
    return {"?": f"[{written}]", "*": f"[{written} ...]"}.get(str(action.nargs), written)


def _written(action: argparse.Action) -> str:
    takes = action.nargs != 0
    name = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if not action.option_strings:
        return name
    shown = f"[{name}]" if action.nargs == "?" else name
    return f"{action.option_strings[-1]} {shown}" if takes else action.option_strings[-1]


def _row(action: argparse.Action, called: str) -> _Argument:
    if not action.help:
        raise KeyError(f"{called} {_written(action)}: no help")
    meaning = sentence(_DEFAULT.sub("", action.help))
    if (kind := _OPTIONS.get(called)) and action.dest in kind.__struct_fields__:
        return _of_learning(action, kind)
    if called == "patchedge run" and action.option_strings and action.option_strings[-1] in _SETTINGS:
        return _of_run(action, meaning)
    return _Argument(f"`{_written(action)}`", _values(action), _default(action), meaning)


def _of_learning(action: argparse.Action, kind: type[LearnOptions]) -> _Argument:
    """Describe an option by the docstring of the options, which says more than its help."""
    (field,) = (one for one in fields(kind) if one.name == action.dest)
    shown = "**required**, here or in the file" if field.required else _default(action) or default(field)
    said = attributes(LearnOptions) | attributes(kind)
    return _Argument(f"`{_written(action)}`", _values(action), shown, said[action.dest])


def _of_run(action: argparse.Action, meaning: str) -> _Argument:
    """Describe an option of `run`, and the setting that it overrides."""
    section, key = _SETTINGS[action.option_strings[-1]].split(".")
    (field,) = (one for one in fields(SECTIONS[section]) if one.name == key)
    once = action.nargs != 0 and not action.default and "repeatable" not in meaning
    path = {"top-level": key, "cameras": f"cameras.NAME.{key}"}.get(section, f"{section}.{key}")
    meaning = f"{meaning} Overrides [`{path}`](settings.md#{section})."
    return _Argument(f"`{_written(action)}`", allowed(field.type) if once else "", _default(action), meaning)


def _default(action: argparse.Action) -> str:
    """Return the default: the one that the help names in words, or that of the parser."""
    given = action.default
    if action.required and action.option_strings:
        return "**required**"
    if said := _DEFAULT.search(action.help or ""):
        default = said[1].replace("%%", "%")
        return default if " " in default else f"`{default}`"
    absent = given is None or given is False or given in (argparse.SUPPRESS, [])
    return "" if absent else value(given)


def _values(action: argparse.Action) -> str:
    """Return the values that an argument allows, as its type says it: `Parse ...` is what its docstring begins with."""
    if action.choices is not None:
        return " or ".join(f"`{one}`" for one in action.choices)
    if action.type in (None, str, Path):
        return ""
    plain: dict[object, str] = {int: "whole number", float: "number"}
    if action.type in plain:
        return plain[action.type]
    said = inspect.getdoc(action.type) or ""
    if not said.startswith("Parse "):
        raise KeyError(f"{action.dest}: the docstring of its type does not begin with Parse")
    return _ARTICLE.sub("", numbers(said.removeprefix("Parse ").rstrip(".")))


def _parsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of the verbs of a command, or of the actions of a verb, by name."""
    return {name: sub for kind in _kinds(parser) for name, sub in kind.choices.items()}


def _kinds(parser: argparse.ArgumentParser) -> list[argparse._SubParsersAction[argparse.ArgumentParser]]:
    kinds = parser._actions  # noqa: SLF001 - there is no other way
    return [one for one in kinds if isinstance(one, argparse._SubParsersAction)]  # noqa: SLF001


FILLERS: dict[str, Callable[..., str]] = {"verbs": overview, "verb": verb}
