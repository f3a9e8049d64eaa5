"""The plain pyzmq loop of docs/guide/subscribe.md, its network cable pulled out, in namespaces of Linux (as root)."""

from __future__ import annotations

import ctypes
import itertools
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from queue import Empty, Queue, SimpleQueue
from typing import Any

import pytest
import zmq

from edge_config.settings.parse import parse
from edge_config.settings.sections import Alerts
from runtime.alerts.monitored_camera import MonitoredCamera
from runtime.frame import BundleInfo, Frame, Result
from runtime.journal.journal_thread import Written
from runtime.messaging import listener
from runtime.messaging.sockets import open_wire

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs/guide/subscribe.md"

IP = shutil.which("ip") or ""

HERE, THERE = "10.213.7.1", "10.213.7.2"
"""Addresses of the device and of the client, in a network of their own."""

FAST_MS = {5000: 200, 15000: 600, 3000: 500}
"""Times of the loop, and those that the test puts in their place, so that a minute becomes two seconds."""

DEVICE_MS = {zmq.HEARTBEAT_IVL: 200, zmq.HEARTBEAT_TIMEOUT: 600, zmq.HEARTBEAT_TTL: 600}
"""The device's own, shortened likewise: it gives connections up while the cable is out, and no client is told."""

SILENT_S = 13.0
"""A network is silent for so long: by then TCP's tries to connect are 8 s apart."""

BACK_S = 2.5
"""A client that retries is back so soon after that (0.3 to 0.8 s were measured); one that waits for TCP after 7.5 s."""

CUTS, BURST = 3, 6
"""So often the cable is pulled out, and so many alerts are raised meanwhile, of two messages each."""

MAX_LINES = 25

WAIT_S = 20.0
"""For an alert after the cable is back: more means that the loop is deaf. ZeroMQ's own reconnect takes 0.1 s, TCP's
first retries after a lost packet 1, 3 and 7 s."""


def loop_of_page() -> str:
    """Return the one block of the page that is a subscriber in plain pyzmq."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    (block,) = [block for block in blocks if "zmq.SUB" in block and "Subscriber" not in block]
    return block


def fast(block: str) -> str:
    """Have the loop talk to the test's device, and shorten each of its times."""
    block = block.replace("tcp://127.0.0.1:", f"tcp://{HERE}:")
    for usual, short in FAST_MS.items():
        block, count = re.subn(rf"\b{usual}\b", str(short), block)
        assert count
    return block


class Cable:
    """Two network namespaces of Linux and a cable between them.

    Attributes:
        here, there: names of the namespaces of the device and of the client, and of the cable's end in each.
    """

    def __init__(self) -> None:
        self.here, self.there = f"dev{os.getpid()}", f"cli{os.getpid()}"
        for name in (self.here, self.there):
            _ip("netns", "add", name)
        _ip("-n", self.here, "link", "add", self.here, "type", "veth", "peer", "name", self.there, "netns", self.there)
        for name, address in ((self.here, HERE), (self.there, THERE)):
            _ip("-n", name, "addr", "add", f"{address}/30", "dev", name)
            _ip("-n", name, "link", "set", name, "up")
        # Of a connection that was closed in vain the device's kernel knows nothing after a second, not after minutes.
        _ip("netns", "exec", self.here, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/tcp_orphan_retries")

    def plug(self, state: str) -> None:
        """Put the cable in ("up"), or pull it out ("down")."""
        _ip("-n", self.here, "link", "set", self.here, state)

    def silence(self, verb: str) -> None:
        """Have the device's end send nothing ("add"), as if a switch between them were off, or send again ("del")."""
        _ip("-n", self.here, "route", verb, "blackhole", f"{THERE}/32")

    def connections(self) -> int:
        """Count the connections that the device's kernel still knows."""
        lines = _ip("netns", "exec", self.here, "cat", "/proc/net/tcp").splitlines()[1:]
        return sum(line.split()[3] != _LISTENS for line in lines)

    @contextmanager
    def at_the_device(self) -> Iterator[None]:
        """Have sockets that this thread binds belong to the device's end."""
        libc = ctypes.CDLL(None, use_errno=True)
        with Path("/proc/thread-self/ns/net").open() as before, Path(f"/run/netns/{self.here}").open() as wanted:
            assert libc.setns(wanted.fileno(), 0) == 0
            try:
                yield
            finally:
                assert libc.setns(before.fileno(), 0) == 0


_LISTENS = "0A"  # state of a socket in /proc/net/tcp


def _ip(*words: str) -> str:
    return subprocess.run([IP, *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def cable() -> Iterator[Cable]:
    """Return a network of two ends; skip where none can be made."""
    if os.geteuid() != 0 or not IP:
        pytest.skip("only root can make a network, with iproute2")
    try:
        yield Cable()
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network can be made here ({error})")
    finally:
        for name in (f"dev{os.getpid()}", f"cli{os.getpid()}"):
            subprocess.run([IP, "netns", "del", name], check=False, capture_output=True)


class Device:
    """Sockets and journal of a device, and a camera whose alerts a test begins."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        tree = {
            "bundle": "none",
            "cameras": {"cam1": {"source": 0}},
            "events": {"bind": f"tcp://{HERE}:5556", "insecure": True},
            "control": {"bind": f"tcp://{HERE}:5557", "insecure": True},
            "journal": {"path": str(folder / "journal.sqlite")},
        }
        self.messages = 0  # of alerts so far
        self._path = folder / "journal.sqlite"
        self._inbox: SimpleQueue[Any] = SimpleQueue()
        self.wire = open_wire(parse(tree), self._inbox.put, stack)
        self._camera = MonitoredCamera("cam1", self.wire.outbox, Alerts(min_frames=1, min_ms=0, merge_ms=0))
        self._camera.serve(BundleInfo("0" * 64, "none", 5.0, 0.01))
        self._camera.status.connect("live", "delivers pictures")
        self._numbers = itertools.count(1)

    def alert(self) -> None:
        """Begin an alert and end it: two messages."""
        self.messages += 2
        for value in (9.0, 1.0):
            frame = Frame(None, next(self._numbers), time.time_ns(), time.monotonic_ns())
            self._camera.publish(frame, Result(value=value, peak_xy=(1, 2)))
        self.serve()

    def rows(self) -> list[int]:
        """Return the rows of all messages of alerts in the journal."""
        with closing(sqlite3.connect(self._path)) as db:
            return [row for (row,) in db.execute("SELECT row FROM entries WHERE kind = 'alert' ORDER BY row")]

    def serve(self) -> None:
        """Publish what the journal has written by now."""
        try:
            while True:
                event = self._inbox.get(timeout=0.05)
                if isinstance(event, Written):
                    self.wire.outbox.written(event.entries)
        except Empty:
            pass

    def alert_until(self, heard: Queue[str]) -> str:
        """Make an alert now and then until the client prints one; return what it printed."""
        end_s = time.monotonic() + WAIT_S
        while time.monotonic() < end_s:
            self.alert()
            try:
                return heard.get(timeout=0.2)
            except Empty:
                continue
        raise AssertionError(f"nothing was heard within {WAIT_S:g} s")


@contextmanager
def running(program: str, namespace: str) -> Iterator[Queue[str]]:
    """Run a program at the other end of the cable; give the lines that it prints."""
    command = [IP, "netns", "exec", namespace, sys.executable, "-u", "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        lines: Queue[str] = Queue()
        reader = threading.Thread(target=lambda: [lines.put(line) for line in process.stdout or ()])
        reader.start()
        try:
            yield lines
        finally:
            process.kill()
            reader.join()


def wait_until_given_up(device: Device, cable: Cable) -> None:
    """Wait until the device has closed its ends of all connections, and its kernel has forgotten them."""
    end_s = time.monotonic() + WAIT_S
    while device.wire.publisher.has_subscribers(1, 50) or cable.connections():
        assert time.monotonic() < end_s


def test_plain_loop_is_short() -> None:
    """The loop of the page that loses nothing has so many lines at most that are not empty."""
    assert sum(bool(line.strip()) for line in loop_of_page().splitlines()) <= MAX_LINES


def test_plain_loop_gives_each_message_once_over_a_cut_cable(
    cable: Cable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever of PUB, of requests and of their answers is lost as the cable is pulled out again and again, also amid a
    burst of alerts: the loop of the page prints each message of the journal once, in its order.
    """
    monkeypatch.setattr(listener, "OPTIONS", {**listener.OPTIONS, **DEVICE_MS})
    with ExitStack() as stack:
        with cable.at_the_device():
            device = Device(tmp_path, stack)
        with running(fast(loop_of_page()), cable.there) as heard:
            printed = [device.alert_until(heard)]
            for burst in range(CUTS):
                for number in range(BURST):
                    if number == burst * BURST // CUTS:
                        cable.plug("down")
                    device.alert()
                wait_until_given_up(device, cable)
                cable.plug("up")
                printed.append(device.alert_until(heard))
            while len(printed) < device.messages:
                printed.append(heard.get(timeout=WAIT_S))
            device.alert()  # what came twice, and late, would come before it
            printed += [heard.get(timeout=WAIT_S) for _ in range(2)]
            assert [int(line.split()[0]) for line in printed] == device.rows()
    assert len(printed) > 2 * CUTS * BURST


SUBSCRIBER = f"""
from runtime.client.subscriber import Subscriber
from runtime.client import connection

connection.HEARTBEAT_MS, connection.HEARTBEAT_TIMEOUT_MS, connection.CONNECT_MS = {tuple(FAST_MS.values())}
for received in Subscriber("tcp://{HERE}:5556", kinds=["alert"]):
    print(received.message.camera, received.message.phase)
"""
"""The same with `Subscriber`."""


def test_who_listens_is_back_soon_after_a_network_that_was_silent(
    cable: Cable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no cable says that it is out, neither the loop nor `Subscriber` waits for ever longer pauses of TCP."""
    monkeypatch.setattr(listener, "OPTIONS", {**listener.OPTIONS, **DEVICE_MS})
    with ExitStack() as stack:
        with cable.at_the_device():
            device = Device(tmp_path, stack)
        programs = [stack.enter_context(running(one, cable.there)) for one in (fast(loop_of_page()), SUBSCRIBER)]
        for heard in programs:
            assert "cam1 start" in device.alert_until(heard)
        cable.silence("add")
        for heard, silent_s in zip(programs, (SILENT_S, 0.1), strict=True):
            with pytest.raises(Empty):
                while heard.get(timeout=silent_s):
                    pass
        wait_until_given_up(device, cable)
        cable.silence("del")
        began_s = time.monotonic()
        for heard in programs:
            assert "cam1 " in device.alert_until(heard)
            assert time.monotonic() - began_s < BACK_S
