"""Ctrl-C: one line and one exit code, even before there is a handler. This imports nothing that takes time."""

from __future__ import annotations

import sys

INTERRUPTED = 130
"""Exit code of a one-shot verb that was interrupted: 128 and the number of SIGINT."""


def interrupted(prog: str) -> int:
    """Report that a command was interrupted, and return its exit code."""
    print(f"{prog}: interrupted", file=sys.stderr)
    return INTERRUPTED
