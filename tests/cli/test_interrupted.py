"""Ctrl-C while modules are imported: a second on a workstation, several on a small device."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys

import pytest

from runtime.cli.app import run_app
from runtime.cli.interrupt import INTERRUPTED

IMPORT = """
import sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
import {main}
"""


@pytest.mark.parametrize(
    ("main", "module", "said"),
    [
        ("runtime.cli.main", "runtime.cli.record", "patchedge: interrupted\n"),
        ("export.cli.main", "runtime.cli.app", "patchedge-export: interrupted\n"),
    ],
)
def test_interrupt_of_the_first_imports(main: str, module: str, said: str) -> None:
    """Before there is a handler it is one line and 130, too, and no traceback."""
    program = IMPORT.format(module=module, main=main)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (INTERRUPTED, said)


class Importing:
    """A verb that imports a module in C, the beginning of which is interrupted: Python makes an ImportError of it."""

    NAME, HELP, TALKS = "import", "import", True
    interrupt = True

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """There are none."""

    def run(self, _: argparse.Namespace) -> int:
        """Import."""
        try:
            if self.interrupt:
                signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as interrupt:
            raise ImportError("initialization failed") from interrupt
        raise ImportError("initialization failed")


class Slow(Importing):
    """A verb during whose declaration a signal comes, as on a busy device."""

    def add_arguments(self, _: argparse.ArgumentParser) -> None:
        """Be stopped."""
        signal.raise_signal(signal.SIGTERM)


def test_signal_while_arguments_are_declared(capsys: pytest.CaptureFixture[str]) -> None:
    """It is one line and 130, and no traceback."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)}
    try:
        assert run_app("patchedge", "", "cpu", {"Run": [Slow()]}, ["import"]) == INTERRUPTED
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert capsys.readouterr().err == "patchedge: interrupted\n"


def test_interrupt_that_a_library_makes_an_import_error_of(capsys: pytest.CaptureFixture[str]) -> None:
    """It is still an interrupt; without one the error is a fault, and shown as such."""
    verb = Importing()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)}
    try:
        assert run_app("patchedge", "", "cpu", {"Run": [verb]}, ["import"]) == INTERRUPTED
        assert capsys.readouterr().err == "patchedge: interrupted\n"
        verb.interrupt = False
        with pytest.raises(ImportError, match="initialization failed"):
            run_app("patchedge", "", "cpu", {"Run": [verb]}, ["import"])
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
