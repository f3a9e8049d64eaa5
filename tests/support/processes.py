"""Run the two commands in processes of their own, as users do."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

EXPORT = (sys.executable, "-m", "export.cli.main")
DEVICE = (sys.executable, "-m", "runtime.cli.main")

_NEGLECT = """
import os, signal, sys
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGCHLD):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
os.execv(sys.argv[1], sys.argv[1:])
"""
NEGLECTED = (sys.executable, "-c", _NEGLECT)
"""Before a command: starts it as a shell does in the background, nohup, and a careless parent, all at once."""

ENOUGH_S = 150.0
"""For anything that a test starts: more means that it hangs. A fit of seconds took over a minute beside much else."""


_PROGRESS = re.compile(r"^patchedge(-export)? [a-z-]+: (.*, )?\d+ s\n", re.MULTILINE)


def without_progress(text: str) -> str:
    """Leave out the lines that say that a command goes on: on a busy machine any takes long enough for one."""
    return _PROGRESS.sub("", text)


def call(*command: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=ENOUGH_S, check=False)
    done.stderr = without_progress(done.stderr)
    return done


@contextmanager
def started(*command: Any) -> Iterator[subprocess.Popen[str]]:
    """Start a command, and end it when the block ends."""
    words = [str(word) for word in command]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=ENOUGH_S)
