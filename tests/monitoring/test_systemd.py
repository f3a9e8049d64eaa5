"""What systemd hears, by a socket that listens as it does."""

from __future__ import annotations

import os
import re
import select
import shutil
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from importlib import resources
from pathlib import Path

import pytest

from runtime.monitoring.systemd import Notifier

UNITS = resources.files("edge_config") / "systemd"
UNIT = UNITS / "patchedge.service"


class Manager:
    """Listens at NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0", 1) if address.startswith("@") else address)
        self.environment = {"NOTIFY_SOCKET": address}

    def heard(self) -> list[str]:
        """Return what has arrived."""
        words = []
        while select.select([self.socket], [], [], 0)[0]:  # a datagram is here before its sendto returns
            words.append(self.socket.recv(4096).decode())
        return words


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path: Path) -> Iterator[Manager]:
    """Yield a manager that listens at a path, and one in the abstract namespace."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@patchedge-{uuid.uuid4()}"
    manager = Manager(address)
    with closing(manager.socket):
        yield manager


def test_life_of_a_service(manager: Manager) -> None:
    """Start, state, reload and end are told in systemd's words."""
    with closing(Notifier(manager.environment)) as notifier:
        notifier.ready("2 cameras live")
        notifier.status("2 cameras live")
        notifier.status("1 camera live\nREADY=1")
        notifier.reloading()
        notifier.ready()
        notifier.stopping()
    heard = manager.heard()
    assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", heard.pop(3))
    assert heard == ["READY=1", "STATUS=2 cameras live", "STATUS=1 camera live READY=1", "READY=1", "STOPPING=1"]


def test_watchdog_is_fed_by_progress_alone(manager: Manager) -> None:
    """Progress feeds the watchdog three times in its interval at most; without progress nothing does."""
    now_s = 0.0
    environment = {**manager.environment, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}
    with closing(Notifier(environment, lambda: now_s)) as notifier:
        notifier.ready()
        assert manager.heard() == ["READY=1"]
        fed_s = []
        for step in range(700):
            now_s = step / 10
            notifier.progress()
            fed_s += [now_s] * len(manager.heard())
        assert fed_s == [0, 10, 20, 30, 40, 50, 60]
        now_s = 1000.0
        notifier.status("a camera hangs")
        assert manager.heard() == ["STATUS=a camera hangs"]


@pytest.mark.parametrize(
    "watchdog",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "1", "WATCHDOG_PID": ""},
    ],
)
def test_no_watchdog_is_fed_where_none_watches(manager: Manager, watchdog: dict[str, str]) -> None:
    """Without an interval for this process, progress says nothing."""
    with closing(Notifier({**manager.environment, **watchdog})) as notifier:
        notifier.progress()
        notifier.progress()
    assert manager.heard() == []


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nowhere/at/all"}])
def test_nobody_listens(environment: dict[str, str]) -> None:
    """Without systemd, or with one that has gone, everything goes on."""
    with closing(Notifier(environment)) as notifier:
        notifier.ready("on")
        notifier.progress()
        notifier.stopping()


def test_manager_that_does_not_read_is_not_waited_for(manager: Manager) -> None:
    """When the manager's queue is full, words are lost and nobody waits."""
    with closing(Notifier(manager.environment)) as notifier:
        for number in range(5000):
            notifier.status(f"frame {number}")
    assert 0 < len(manager.heard()) < 5000


def test_unit_file_is_shipped_and_goes_with_what_the_runtime_tells() -> None:
    """The unit in the package has the type, reload and restart that the runtime is made for."""
    lines = UNIT.read_text().splitlines()
    for line in ("Type=notify", "ExecReload=kill -HUP $MAINPID", "WatchdogSec=30", "Restart=on-failure"):
        assert line in lines


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
@pytest.mark.parametrize("name", sorted(unit.name for unit in UNITS.iterdir()))
def test_systemd_takes_the_unit_file(tmp_path: Path, name: str) -> None:
    """The units hold nothing that systemd complains about."""
    unit = re.sub("ExecStart=[^ ]+", f"ExecStart={sys.executable}", (UNITS / name).read_text())
    (tmp_path / name).write_text(unit)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / name)],  # noqa: S607 - wherever it is installed
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
