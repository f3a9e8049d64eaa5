"""What every verb shares: the parser and its help, errors as one line, exit codes.

A verb is a module with NAME, HELP, `add_arguments(parser)` and `run(args) -> exit code`.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import io
import os
import sys
import threading
import traceback
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from types import TracebackType
from typing import Any, NoReturn, Protocol

from edge_config.errors import PatchedgeError, UsageError, printable
from edge_config.extra import needs_extra
from edge_config.installed import version
from edge_config.redact import scrub
from edge_config.saving import is_full, not_written
from runtime.cli.clean_start import settle
from runtime.cli.interrupt import interrupted
from runtime.process.memory_error import memory_named
from runtime.process.progress import GAUGE, ticking


class Verb(Protocol):
    """A module of this folder or of `export.cli`; one that shows its own progress has a constant TALKS that is true."""

    NAME: str
    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it, and return the exit code."""


Verbs = Mapping[str, Sequence[Verb]]
"""Purpose, such as "Run" -> the verbs that serve it."""


def run_app(prog: str, description: str, extra: str, verbs: Verbs, argv: Sequence[str] | None) -> int:
    """Parse the arguments, run the verb, and turn an error that a user can cause into one line.

    Args:
        prog: name of the command.
        description: what it is for.
        extra: the extra of the distribution that its verbs need.
        verbs: its verbs, by purpose.
        argv: the arguments; None takes those of the process.

    Returns:
        The exit code.
    """
    try:
        _hide_secrets_of_faults()
        settle()  # from here on a signal is a KeyboardInterrupt
        GAUGE.program = prog
        with needs_extra(extra):
            return _run(prog, build_parser(prog, description, verbs), argv)
    except PatchedgeError as error:
        print("\n".join(f"{prog}: {line}" for line in str(error).splitlines()), file=sys.stderr)
        return error.exit_code
    except (KeyboardInterrupt, ImportError) as error:
        if not _was_interrupted(error):
            raise
        return interrupted(prog)
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has seen enough
        _close_stdout()
        return 0
    except OSError as error:  # a disk that is full, a path that is too long: nothing that a traceback would explain
        # Errors of files name them: what is left is standard output.
        told = not_written(error.filename or "standard output", error) if is_full(error) else None
        print(f"{prog}: {told or scrub(str(error))}", file=sys.stderr)
        if told is not None:
            _close_stdout()
        return (told or PatchedgeError).exit_code


def _run(prog: str, parser: _Parser, argv: Sequence[str] | None) -> int:
    """Run the verb, and flush what it printed while an error there can still be reported."""
    try:
        args, unknown = parser.parse_known_args(argv)
        if unknown:
            args.parser.refuse(unknown[0])
    except SystemExit:  # --help, or a mistake
        sys.stdout.flush()
        raise
    if args.show_version:
        print(f"{prog} {version() or 'is not installed: run from a folder of sources'}", flush=True)
        return 0
    if args.verb is None:
        parser.print_help(sys.stderr)
        return UsageError.exit_code
    with memory_named(), nullcontext() if args.talks else ticking(f"{prog} {args.verb}"):
        code = int(args.run(args))
    sys.stdout.flush()
    return code


def _was_interrupted(error: BaseException) -> bool:
    """Return whether an error is a Ctrl-C, or was made of one: modules in C say `initialization failed`."""
    return isinstance(error, KeyboardInterrupt) or (error.__cause__ is not None and _was_interrupted(error.__cause__))


def _close_stdout() -> None:
    """Have the interpreter end without another try to write what is left."""
    with contextlib.suppress(io.UnsupportedOperation):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def build_parser(prog: str, description: str, verbs: Verbs) -> _Parser:
    """Return the parser of a command; `run` of what it returns is the verb's."""
    parser = _Parser(
        prog=prog,
        usage=f"{prog} [-h] [--version] VERB ...",
        description=description,
        epilog=_overview(prog, verbs),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", dest="show_version", action="store_true", help="show the version and exit")
    parser.set_defaults(verb=None, parser=parser)
    choices = parser.add_subparsers(metavar="VERB", prog=prog, help=argparse.SUPPRESS)
    for verb in (verb for group in verbs.values() for verb in group):
        sub = choices.add_parser(verb.NAME, description=verb.HELP)
        verb.add_arguments(sub)
        sub.set_defaults(run=verb.run, verb=verb.NAME, talks=getattr(verb, "TALKS", False), parser=sub)
    return parser


def _overview(prog: str, verbs: Verbs) -> str:
    """Return the verbs by purpose, one line each."""
    width = max(len(verb.NAME) for group in verbs.values() for verb in group)
    lines = []
    for purpose, group in verbs.items():
        lines += [f"{purpose}:", *(f"  {verb.NAME:<{width}}  {verb.HELP}" for verb in group), ""]
    return "\n".join([*lines, f"`{prog} VERB --help` shows the options of a verb."])


class _Help(argparse.HelpFormatter):
    """Shows the default of each option that has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        none = (None, False, argparse.SUPPRESS)
        if not action.help or any(action.default is one for one in none) or action.default == []:
            return action.help
        return f"{action.help} (default: %(default)s)"


class _Parser(argparse.ArgumentParser):
    """Its errors are one line each, without secrets: they quote arguments, and one may be the URL of a camera."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": _Help, **options})

    def error(self, message: str) -> NoReturn:
        line = " ".join(f"{self.prog}: {message} (see `{self.prog} --help`)".split())
        self.exit(UsageError.exit_code, f"{printable(scrub(line))}\n")

    def refuse(self, unknown: str) -> NoReturn:
        """End with the error about an argument that the verb does not take."""
        self.error(f"`{unknown}` is not an argument{_nearest(unknown, self._option_string_actions)}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            meant = _nearest(str(value), known) or f"; known: {', '.join(known)}"
            raise argparse.ArgumentError(action, f"`{value}` is not known{meant}")


def _nearest(word: str, known: Iterable[str]) -> str:
    """Return the end of an error about an unknown word, with the nearest known one; empty if none is near."""
    near = difflib.get_close_matches(word.partition("=")[0], known, 1)
    return f"; did you mean `{near[0]}`?" if near else ""


def _hide_secrets_of_faults() -> None:
    """Have the traceback of a fault of ours show no secret: its text may hold the URL of a camera."""

    def show(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        with contextlib.suppress(OSError, ValueError, AttributeError):  # there may be no stderr
            sys.stderr.write(scrub("".join(traceback.format_exception(kind, error, trace))))

    def show_of_thread(fault: threading.ExceptHookArgs) -> None:
        if not issubclass(fault.exc_type, SystemExit):
            show(fault.exc_type, fault.exc_value, fault.exc_traceback)

    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = show
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = show_of_thread
