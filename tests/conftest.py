"""What tests share: markers, the tiny bundle, and a look for threads that a test left behind."""

from __future__ import annotations

import importlib.util
import itertools
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog

from tests.support.tiny import make_bundle
from tests.support.workshop import needs_workshop

for _number in signal.valid_signals():  # what `make test &` and nohup ignore would be ignored by all that tests start
    if signal.getsignal(_number) == signal.SIG_IGN and _number not in {signal.SIGPIPE, signal.SIGXFSZ}:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_SETMASK, ())

# Other tests run at the same time. A check before a merge draws the same examples each time; at a desk they are new.
hypothesis.settings.register_profile("no deadline", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("no deadline")

_states = itertools.count()

THREAD_END_S = 5.0
"""A thread that was told to end and has not after so long is a leak."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out, on a device, what needs the packages of the workshop; with `-m alone`, files without that mark."""
    if collection_path.suffix != ".py":
        return None
    on_device = importlib.util.find_spec("torch") is None
    unmarked = config.getoption("markexpr") == "alone" and "mark.alone" not in collection_path.read_text("utf-8")
    return unmarked or (on_device and needs_workshop(collection_path)) or None


def pytest_itemcollected(item: pytest.Function) -> None:
    """Mark what needs the workshop; keep together, in one process of pytest-xdist, what shares a fixture of its module.

    Quick tests of a file stay together, too: to hand each out by itself would take as long as to run it.
    """
    if needs_workshop(item.path):
        item.add_marker(pytest.mark.torch)
    fixtures = [definition for found in item._fixtureinfo.name2fixturedefs.values() for definition in found]
    file = str(item.path.relative_to(item.config.rootpath))
    if any(one.scope in {"module", "class"} and one.baseid for one in fixtures):
        item.add_marker(pytest.mark.xdist_group(file))
    elif item.get_closest_marker("slow") is None:
        item.add_marker(pytest.mark.xdist_group(f"{file}, quick"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest where several processes share the tests, so that all end at about the same time.

    Those are the tests with a time-out of their own, then slow ones; of both, and of the quick ones, first those of
    which many stay in one process.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return

    def kind(item: pytest.Item) -> tuple[bool, bool, str]:
        own, slow, group = (item.get_closest_marker(marker) for marker in ("timeout", "slow", "xdist_group"))
        return own is None, slow is None, str(group.args[0]) if group else item.nodeid

    together = Counter(map(kind, items))
    items.sort(key=lambda item: (*kind(item)[:2], -together[kind(item)]))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Name a test without the group that pytest-xdist adds, or `--last-failed` looks for it in vain."""
    if "PYTEST_XDIST_WORKER" not in os.environ and "@" in report.nodeid and not report.nodeid.endswith("]"):
        report.nodeid = report.nodeid.rpartition("@")[0]


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a whole, valid bundle; copy it before changing it."""
    return make_bundle(tmp_path_factory.mktemp("bundle") / "tiny.bundle")


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle that `fit` made from pictures in colours, larger than the network's input; copy it likewise."""
    from tests.support.small import call_export, small_options  # needs the workshop

    folder = tmp_path_factory.mktemp("small")
    done = call_export("fit", *small_options(folder, folder / "small.bundle"))
    assert done.code == 0, done.err
    return folder / "small.bundle"


@pytest.fixture(autouse=True)
def no_journal_of_the_user(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the runtimes of a test write their journals where only that test finds them."""
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / f"state-{next(_states)}"))


@pytest.fixture(autouse=True)
def same_log() -> Iterator[None]:
    """Undo what a command that ran in this process has set up: later tests read lines that it would drop."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """Fail a test that leaves a thread behind."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(THREAD_END_S)
        assert not thread.is_alive(), f"left behind: {thread.name}"
