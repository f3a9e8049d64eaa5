"""What both commands say of themselves: the overview, `--help` with its defaults, `--version`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from types import ModuleType

import pytest

import export.cli.main
import runtime.cli.main
from edge_config.installed import version
from edge_config.settings.device import Settings
from edge_config.settings.sections import Camera, Events
from runtime.cli.app import build_parser
from tests.support.processes import DEVICE, EXPORT, call

PROGRAMS = {"patchedge": (runtime.cli.main, DEVICE), "patchedge-export": (export.cli.main, EXPORT)}
LINE = 100
"""A line of the overview is no longer: it fits half of a wide screen."""


def parsers(main: ModuleType) -> Iterator[argparse.ArgumentParser]:
    """Yield the parsers of all verbs, and of their actions."""
    waiting = [build_parser("program", "", main.VERBS)]
    for parser in waiting:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                waiting += action.choices.values()
    yield from waiting


ALL = [(parser.prog, parser) for main, _ in PROGRAMS.values() for parser in parsers(main)]


@pytest.mark.parametrize("parser", [parser for _, parser in ALL], ids=[name for name, _ in ALL])
def test_help_shows_real_defaults(parser: argparse.ArgumentParser) -> None:
    """A default that is a value is shown once; no option is said to have the default None."""
    words = " ".join(parser.format_help().split())
    assert "None" not in words
    assert "default: False" not in words
    for action in parser._actions:
        if type(action.default) in {str, int, float} and argparse.SUPPRESS not in {action.default, action.help}:
            assert f"(default: {action.default})" in words, action


def test_help_of_run_shows_the_defaults_of_the_settings() -> None:
    """Where an option of `run` is left out the settings decide, so the defaults shown are theirs."""
    (run,) = [parser for name, parser in ALL if name == "program run"]
    words = " ".join(run.format_help().split())
    shown = dict(re.findall(r"(--[a-z-]+) (?:(?!--).)*?\(default: ([^)]*)\)", words))
    defaults = {
        field: default
        for struct in (Settings, Camera, Events)
        for field, default in zip(
            struct.__struct_fields__[-len(struct.__struct_defaults__) :], struct.__struct_defaults__, strict=True
        )
    }
    expected = {"--pace", "--device", "--bind", "--wait-subscribers", "--threads"}
    assert expected <= set(shown)
    for flag in expected:
        assert shown[flag] == str(defaults[flag.removeprefix("--").replace("-", "_")])


@pytest.mark.parametrize("program", PROGRAMS)
def test_command_alone_lists_its_verbs_by_purpose(program: str) -> None:
    """Without a verb every verb is named with its purpose, one line each, on stderr, with the code of wrong usage."""
    main, command = PROGRAMS[program]
    done = call(*command)
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert max(map(len, lines)) <= LINE
    for purpose, verbs in main.VERBS.items():
        at = lines.index(f"{purpose}:")
        assert [line.split()[0] for line in lines[at + 1 : at + 1 + len(verbs)]] == [verb.NAME for verb in verbs]


@pytest.mark.parametrize("program", PROGRAMS)
def test_version_is_that_of_the_package(program: str) -> None:
    """`--version` is one line, name and version as installed, and code 0."""
    done = call(*PROGRAMS[program][1], "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{program} {version()}\n", "")
    assert re.fullmatch(r"\d+(\.\d+)+", version() or "")


def test_unknown_verb_is_one_of_the_usage_errors() -> None:
    """A verb that there is not is named with the nearest one, or else with all that there are, in one line; code 2."""
    for verb, told in (("lern", "did you mean `learn`?"), ("zzz", "known: record, learn, ")):
        done = call(*DEVICE, verb)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert f"`{verb}` is not known; {told}" in done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["learn", "--imags", "x"], "learn: `--imags` is not an argument; did you mean `--images`?"),
        (
            ["replay", "--zzz=1"],
            "`--zzz=1` is not an argument (see `patchedge replay --help`)",
        ),
        (
            ["learn", "--coreset", "nan"],
            "'nan' is neither a share between 0 and 1 nor a whole number from 2",
        ),
        (["record", "0"], "the following arguments are required: FOLDER (see `patchedge record --help`)"),
        (["learn", "--out", "x"], "patchedge: --images must be given; such as --images normal/ --out line.bundle"),
        (["probe", "0", "--transport", "tpc"], "--transport: `tpc` is not known; did you mean `tcp`?"),
    ],
)
def test_wrong_argument_is_one_line(words: list[str], told: str) -> None:
    """A line says which argument is wrong, what is allowed, and where to read on; no page of usage hides it."""
    done = call(*DEVICE, *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert told in done.stderr
