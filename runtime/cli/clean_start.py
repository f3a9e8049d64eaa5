"""Undo what a process inherits by accident: signals ignored or blocked, standard streams closed.

A shell without job control, and so make and CI runners, starts what stands before `&` with SIGINT and SIGQUIT ignored;
nohup ignores SIGHUP, and that is meant: it stays so.
"""

from __future__ import annotations

import os
import signal
import sys

_ENDING = (signal.SIGINT, signal.SIGTERM)
_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def settle() -> None:
    """Have SIGINT and SIGTERM raise KeyboardInterrupt, children be waited for, and all standard streams be open.

    To be called from the main thread, before anything else is opened.
    """
    _open_streams()
    for number in _ENDING:
        signal.signal(number, signal.default_int_handler)  # so that both leave through the same clean-up
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, how a child ended would be unknown
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (*_ENDING, signal.SIGCHLD))


def _open_streams() -> None:
    """Have what is closed lead nowhere: else the next file, such as the journal, would take its number."""
    for number in range(len(_STREAMS)):
        try:
            os.fstat(number)
        except OSError:  # noqa: PERF203 - three times
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003 - it takes the lowest number: this
    for number, (name, mode) in enumerate(_STREAMS):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
