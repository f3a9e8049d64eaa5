"""A reader of a page: types its commands in one terminal, and leaves those that go on running in others."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import IO

from tests.support.pages import ROOT, Block, commands_of, has_loop, logical_lines, simple_commands

RUN = ("sh", "console", "python")
"""Languages of blocks that run."""

ENOUGH_S = 240.0
"""For anything that a page does: more means that it hangs."""

MIN_PICTURES = 12
"""A `patchedge record` that wants more is interrupted once it has as many."""

LINES = 2
"""A Python program that goes on has to print as many: then it has come through what it does with a message."""

GO_ON: dict[str, set[str]] = {
    "run": {"--help"},
    "watch": {"--help", "--count"},
    "bridge": {"--help", "--check"},
    "page": {"--help", "user", "token"},
    "record": {"--help"},
}
"""Verbs that go on until they are interrupted, each with the options that let it end by itself."""

SHOWN = 40
"""Lines of output in the message of a failure."""

INTERRUPTED = {0, 130, -signal.SIGINT}
"""Exit codes of a program of the page's own after SIGINT."""

PREAMBLE = (
    'set -euo pipefail; trap \'pwd > "$PAGE_STATE/cwd"; env -0 > "$PAGE_STATE/env"\' EXIT; '
    "trap 'echo \"line $LINENO, exit code $?: $BASH_COMMAND\" >&2' ERR; "
    f'make() {{ command make -n -C {ROOT} "$@" > /dev/null; }}'
)
"""The first line of each script. Of `make` it is only tested that the target is there."""

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_BEHIND = re.compile(r"\s&\s*(#.*)?$")
_PICTURES = re.compile(r"(\d+) of \d+ pictures")


class Failed(Exception):
    """A page does not do what it says."""

    def __init__(self, where: object, what: str, output: Sequence[str] | str) -> None:
        lines = output.splitlines() if isinstance(output, str) else output
        super().__init__("\n".join([f"{where}: {what}", *(f"    {line}" for line in lines[-SHOWN:])]))


class Running:
    """A command that goes on, its output read by a thread.

    Attributes:
        where: it stands in the page.
        verb: `run`, `watch` and so on; "" for a program of the page's own.
        lines: that it printed so far, stderr among them.
        process: its shell, which leads a process group.
    """

    def __init__(
        self, where: str, verb: str, command: Sequence[str], here: Path, env: dict[str, str], *, terminal: bool = False
    ) -> None:
        self.where, self.verb, self.lines = where, verb, list[str]()
        self._line, self._printed, self._ended = " ".join(command), threading.Condition(), False
        reading, writing = pty.openpty() if terminal else os.pipe()
        self.process = subprocess.Popen(
            command, cwd=here, env=env, stdin=subprocess.DEVNULL, stdout=writing, stderr=writing, start_new_session=True
        )
        os.close(writing)
        self._reader = threading.Thread(target=self._read, args=(os.fdopen(reading, "rb"),))
        self._reader.start()

    def _read(self, stream: IO[bytes]) -> None:
        with stream, contextlib.suppress(OSError):  # a terminal whose other end is closed
            for line in stream:
                with self._printed:
                    self.lines.append(_ANSI.sub("", line.decode(errors="replace").rstrip()).rpartition("\r")[2])
                    self._printed.notify_all()
        with self._printed:
            self._ended = True
            self._printed.notify_all()

    def until(self, met: Callable[[list[str]], bool], what: Callable[[], str]) -> None:
        """Wait until its lines are as wanted.

        Raises:
            Failed: they are not, and it is over or takes too long.
        """
        with self._printed:
            self._printed.wait_for(lambda: met(self.lines) or self._ended, ENOUGH_S)
            ended = self._ended
        if ended:
            self.process.wait(ENOUGH_S)
        if not met(self.lines):
            raise Failed(self.where, f"{self._line}\n  {what()}; it printed", self.lines)

    def over(self) -> bool:
        return self.process.poll() is not None

    def join(self) -> None:
        """Wait for the end of its output."""
        self._reader.join(ENOUGH_S)

    def end(self) -> None:
        """Interrupt it as Ctrl+C does.

        Raises:
            Failed: its exit code is not that of a clean end.
        """
        if not self.over():
            os.killpg(self.process.pid, signal.SIGINT)
        try:
            code = self.process.wait(ENOUGH_S)
        except subprocess.TimeoutExpired:
            raise Failed(self.where, f"{self._line}\n  SIGINT does not end it; it printed", self.lines) from None
        self.join()
        if code not in ({0} if self.verb else INTERRUPTED):
            raise Failed(self.where, f"{self._line}\n  ended with {code}; it printed", self.lines)


class Reader:
    """Runs blocks.

    Attributes:
        running: commands that go on.
        ran: called with the verb of a command that goes on, when it is up.
    """

    def __init__(self, here: Path, state: Path, ran: Callable[[str], None] = lambda _: None) -> None:
        """Begin in the folder `here`; HOME and what the reader's shell leaves are in `state`."""
        self.running: list[Running] = []
        self.ran = ran
        self._here, self._state = here, state
        kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "STATE_DIRECTORY"}}
        self._env = kept | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin",
            "HOME": str(state / "home"),
            "XDG_STATE_HOME": str(state / "home/.local/state"),
            "PAGE_STATE": str(state),
            "PYTHONUNBUFFERED": "1",
        }
        (state / "home").mkdir(parents=True)

    def read(self, block: Block) -> None:
        """Do what a block says.

        Raises:
            Failed: that does not work, or prints something else.
        """
        if block.file:
            path = self._here / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        if block.language == "sh":
            self._shell(block)
        elif block.language == "console":
            self._console(block)
        elif block.language == "python":
            self._python(block)

    def start(self, where: str, verb: str, line: str, *, terminal: bool = False) -> Running:
        """Start a command that goes on; a `run` takes the place of the one before, and so does a `page`."""
        if verb in {"run", "page"}:
            self.end(lambda one: one.verb == verb)
        words = ["bash", "-euo", "pipefail", "-c", _BEHIND.sub("", line)]
        self.running.append(Running(where, verb, words, self._here, self._env, terminal=terminal))
        return self.running[-1]

    def end(self, which: Callable[[Running], bool] = lambda _: True) -> None:
        """End what goes on, the last first."""
        for one in [one for one in reversed(self.running) if which(one)]:
            self.running.remove(one)
            one.end()

    def kill(self) -> None:
        """End what goes on without asking how."""
        for one in self.running:
            if not one.over():
                os.killpg(one.process.pid, signal.SIGKILL)
                one.process.wait(ENOUGH_S)
            one.join()

    def _shell(self, block: Block) -> None:
        waiting: dict[int, str] = {}
        for number, line in logical_lines(block):
            if (verb := goes_on(line, self._here)) is None:
                waiting[number] = line
                continue
            self._script(block, waiting)
            waiting = {}
            self._go_on(f"{block.page}:{number}", verb, line)
        self._script(block, waiting)

    def _go_on(self, where: str, verb: str, line: str) -> None:
        """Start a command, and wait until it is up, or over where it is one that ends."""
        one = self.start(where, verb, line)
        one.until(lambda lines: one.over() or any(UP[verb](said) for said in lines), lambda: "does not get going")
        if verb == "record":
            self.end(lambda other: other is one)
        elif one.over():
            self.running.remove(one)
            one.end()
        self.ran(verb)

    def _script(self, block: Block, lines: dict[int, str]) -> str:
        """Run lines, each at its number of the page; return what they print."""
        if not any(line.strip() for line in lines.values()):
            return ""
        script = self._state / block.page.replace("/", "-")
        script.write_text("\n".join([PREAMBLE, *(lines.get(number, "") for number in range(2, max(lines) + 1)), ""]))
        done = self._call(block, "bash", str(script))
        if done.returncode:
            raise Failed(block, f"exit code {done.returncode}", done.stdout)
        self._here = Path((self._state / "cwd").read_text().rstrip("\n"))
        pairs = (pair.partition("=") for pair in (self._state / "env").read_text().split("\0") if pair)
        self._env = {name: value for name, _, value in pairs}
        return done.stdout

    def _call(self, block: Block, *words: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                words,
                cwd=self._here,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                timeout=ENOUGH_S,
            )
        except subprocess.TimeoutExpired as error:
            said = error.stdout or b""
            raise Failed(block, f"does not end within {ENOUGH_S:g} s", said.decode(errors="replace")) from None

    def _console(self, block: Block) -> None:
        """Type what follows `$ `, and compare what it prints with the lines below."""
        for number, line, wanted in typed(block):
            where = f"{block.page}:{number}"
            verb = goes_on(line, self._here)
            if verb is None:
                said = self._script(block, {number: line}).splitlines()
                if missing := first_missing(said, wanted):
                    raise Failed(where, f"{line}\n  {unlike(missing)}; it printed", said)
                continue
            one = self.start(where, verb, line, terminal=True)
            missing = partial(first_missing, one.lines, wanted)
            one.until(lambda _, missing=missing: not missing(), lambda missing=missing: unlike(missing()))
            self.ran(verb)

    def _python(self, block: Block) -> None:
        """Run a program until it has printed enough; it may complain of nothing."""
        loop, wanted = has_loop(block.text), LINES if has_loop(block.text) else "print(" in block.text
        words = [sys.executable, "-u", "-c", block.text]
        process = subprocess.Popen(
            words, cwd=self._here, env=self._env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        limit = threading.Timer(ENOUGH_S, process.kill)
        limit.start()
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(wanted)]
            if all(lines) and loop:
                process.terminate()
            said, complaints = process.communicate()
        finally:
            limit.cancel()
            process.kill()
        if not all(lines) or complaints or not (loop or process.returncode == 0):
            raise Failed(block, f"ended with {process.returncode}; it printed", "".join(lines) + said + complaints)


UP: dict[str, Callable[[str], bool]] = {
    "run": lambda line: '"event": "running"' in line,
    "bridge": lambda line: '"event": "connected"' in line,
    "page": lambda line: '"event": "the page is served"' in line,
    "watch": lambda line: not line.startswith("patchedge"),
    "record": lambda line: (found := _PICTURES.search(line)) is not None and int(found[1]) >= MIN_PICTURES,
    "": lambda _: True,
}
"""Whether a line that a command printed says that it does its work."""


def goes_on(line: str, here: Path) -> str | None:
    """Return the verb of a command that goes on until it is interrupted, "" for a program in Python; None: it ends."""
    verbs = [
        words[1] for words in commands_of(line) if words[1:2] and words[1] in GO_ON and not GO_ON[words[1]] & {*words}
    ]
    if verbs:
        return verbs[-1]
    for words in simple_commands(line):
        if words and words[0] in {"python", "python3"} and len(words) > 1:
            script = here / words[1]
            if script.suffix == ".py" and script.is_file() and has_loop(script.read_text(encoding="utf-8")):
                return ""
    return None


def typed(block: Block) -> list[tuple[int, str, list[str]]]:
    """Return the commands of a `console` block: the line of the page, the command, and what it prints."""
    found: list[tuple[int, str, list[str]]] = []
    for number, line in logical_lines(block):
        if line.startswith("$ "):
            found.append((number, line.removeprefix("$ "), []))
        elif line.strip() and found:
            found[-1][2].append(line)
    return found


def first_missing(said: Sequence[str], wanted: Sequence[str]) -> str:
    """Return the first of the wanted lines that was not printed after those before it; "" if all were."""
    lines = iter(said)
    for line in wanted:
        if line.strip() != "..." and not any(shape(line).match(one) for one in lines):
            return line
    return ""


def unlike(line: str) -> str:
    return f"does not print a line like `{line}` after the lines before it"


def shape(line: str) -> re.Pattern[str]:
    """Return a pattern for lines like this one: words with digits, and those that are cut short by …, may differ."""
    words = [r"\S+" if re.search(r"\d|…|\.\.\.", word) else re.escape(word) for word in line.split()]
    return re.compile(r"\s*" + r"\s+".join(words))
