"""What tests share: the tiny bundle, and a look for threads that a test left behind."""

from __future__ import annotations

import itertools
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.tiny import make_bundle

for _number in signal.valid_signals():  # what `make test &` and nohup ignore would be ignored by all that tests start
    if signal.getsignal(_number) == signal.SIG_IGN and _number not in {signal.SIGPIPE, signal.SIGXFSZ}:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_SETMASK, ())

_states = itertools.count()

THREAD_END_S = 5.0
"""A thread that was told to end and has not after so long is a leak."""


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a whole, valid bundle; copy it before changing it."""
    return make_bundle(tmp_path_factory.mktemp("bundle") / "tiny.bundle")


@pytest.fixture(autouse=True)
def no_journal_of_the_user(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the runtimes of a test write their journals where only that test finds them."""
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / f"state-{next(_states)}"))


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """Fail a test that leaves a thread behind."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(THREAD_END_S)
        assert not thread.is_alive(), f"left behind: {thread.name}"
