"""`patchedge page` as a process: how it begins, ends, and what it loads."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_config.errors import SettingsError
from edge_config.settings.device import Settings
from edge_config.settings.page import PageSettings, ShownDevice
from edge_config.settings.parse import parse
from runtime.app.beside import kept_process
from runtime.app.beside.page import PageChild, here, refuse_keys
from runtime.page.priority import NICE
from tests.page.serving import PagedDevice, served, until
from tests.support import keyring
from tests.support.ports import free_port
from tests.support.processes import DEVICE, ENOUGH_S, call, started

MAX_END_S = 3.0
"""Users are promised this from the signal to the end."""

HEAVY = ("cv2", "onnxruntime", "hnswlib", "av", "PIL")


@pytest.fixture
def device(tmp_path: Path) -> Iterator[PagedDevice]:
    """Return a device with cameras `a` and `b`."""
    with PagedDevice(tmp_path / "device") as one:
        yield one


def device_settings(**more: object) -> Settings:
    return parse({"bundle": "x", "device": "line-3", "cameras": {"a": {"source": 0}}, **more})


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Return what listens as systemd does, which processes that are started are told of."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)  # noqa: FBT003 - named so by the library
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


def told(line: str) -> str:
    """Return the address that the line of the log names."""
    said = json.loads(line)
    assert said["event"] == "the page is served"
    return str(said["url"])


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_time(
    device: PagedDevice, tmp_path: Path, systemd: socket.socket, number: signal.Signals
) -> None:
    """It says its address in one line; a signal ends it with 0, although a browser listens, and all is stored.

    Systemd is told when it is ready and when it ends. Beside its device it has the lower priority.
    """
    words = (
        "--bind",
        "127.0.0.1:0",
        "--events",
        device.events,
        "--control",
        device.control,
        "--folder",
        tmp_path / "p",
    )
    with started(*DEVICE, "page", *words) as process:
        assert process.stderr is not None
        host, port = told(process.stderr.readline()).removeprefix("http://").rstrip("/").split(":")
        with socket.create_connection((host, int(port)), ENOUGH_S) as browser:
            browser.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
            assert browser.recv(12) == b"HTTP/1.1 200"
            assert [systemd.recv(99) for _ in range(2)] == [b"READY=1", f"STATUS=http://{host}:{port}/".encode()]
            device.wait_subscribed(["v1/score/"])
            assert os.getpriority(os.PRIO_PROCESS, process.pid) == min(os.getpriority(os.PRIO_PROCESS, 0) + NICE, 19)
            begun_s = time.monotonic()
            process.send_signal(number)
            assert process.wait(ENOUGH_S) == 0
        assert time.monotonic() - begun_s < MAX_END_S
    assert systemd.recv(99) == b"STOPPING=1"
    assert (tmp_path / "p" / "page.sqlite").stat().st_size > 0


def test_an_address_that_is_in_use(tmp_path: Path) -> None:
    """It is said in one line, with exit code 69."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        bind = f"127.0.0.1:{other.getsockname()[1]}"
        done = call(*DEVICE, "page", "--bind", bind, "--folder", tmp_path)
    assert done.returncode == 69
    (line,) = done.stderr.splitlines()
    assert bind in line
    assert "another program listens there" in line


def test_bad_settings(tmp_path: Path) -> None:
    """All mistakes are said, a line each, with exit code 78."""
    config = tmp_path / "page.yaml"
    config.write_text("bind: here\ndevices: {press: {event: 'tcp://press:1'}}\nstore: {hours: 0}\n")
    done = call(*DEVICE, "page", "--config", config)
    assert done.returncode == 78
    assert [line.split(":")[2] for line in done.stderr.splitlines()] == ["1", "2", "3"]


def test_addresses_of_one_device_and_settings_of_two(tmp_path: Path) -> None:
    """`--events` is refused where the settings name several devices, with exit code 2."""
    config = tmp_path / "page.yaml"
    config.write_text("devices:\n  a: {events: 'ipc:///a', control: 'ipc:///b'}\n  b: {events: 'ipc:///c'}\n")
    done = call(*DEVICE, "page", "--config", config, "--events", "ipc:///d")
    assert done.returncode == 2


def test_nothing_heavy_is_loaded() -> None:
    """The process of the page loads neither OpenCV nor ONNX Runtime, nor what decodes pictures and films."""
    code = "import sys, runtime.page.serve, runtime.page.app as app; app.endpoints(); print(*sys.modules)"
    done = call(sys.executable, "-c", code)
    assert not {name.partition(".")[0] for name in done.stdout.split()} & set(HEAVY)
    assert "starlette" in done.stdout.split()


@pytest.mark.parametrize("role", ["view", "operate"])
def test_a_device_that_requires_keys(tmp_path: Path, role: str) -> None:
    """A page whose key is among those of the device connects by it, and finds out the role of its key."""
    device = keyring.Device(tmp_path / "device")
    try:
        its = device.keys_of("page", role=role)
        addresses = {"events": device.publisher.endpoint, "control": device.control.endpoint}
        shown = ShownDevice(**addresses, server_key=str(device.key))
        settings = PageSettings(bind="127.0.0.1:0", devices={"line": shown}, secret_key=str(its.secret_key))
        with served(tmp_path / "page", settings) as page:
            until(lambda: page.get("devices")["devices"][0]["role"] == role)
    finally:
        device.close()


def test_a_page_beside_a_device_with_keys_is_refused() -> None:
    """`run --page` says which verb and which keys are needed, as it has none of its own."""
    refuse_keys(device_settings())
    with pytest.raises(SettingsError, match="patchedge page --config FILE"):
        refuse_keys(device_settings(security={"secret_key": "k", "clients": "c"}))


@pytest.mark.parametrize(
    ("bound", "reached"),
    [
        ("tcp://0.0.0.0:5556", "tcp://127.0.0.1:5556"),
        ("tcp://10.0.0.3:5556", "tcp://10.0.0.3:5556"),
        ("ipc:///run/events", "ipc:///run/events"),
    ],
)
def test_where_the_page_reaches_its_device(bound: str, reached: str) -> None:
    """An address of all interfaces is reached by loopback, any other as it is."""
    assert here(bound) == reached


@pytest.mark.slow
def test_the_page_beside_a_device(
    device: PagedDevice,
    tmp_path: Path,
    systemd: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """It is served under the device's name, starts again when it is killed, and ends with `close` in time.

    It tells systemd nothing, which listens to the device.
    """
    monkeypatch.setattr(kept_process, "RETRY_S", (0.01, 0.02))
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    child = PageChild(device_settings(), f"127.0.0.1:{free_port()}", device.events, device.control)
    try:
        first = until(lambda: child._process)
        device.wait_subscribed(["v1/score/"], ENOUGH_S)
        os.kill(first.pid, signal.SIGKILL)
        device.wait_subscribed(["v1/score/"], ENOUGH_S)
        second = child._process
        assert second is not None
        assert second.pid != first.pid
    finally:
        begun_s = time.monotonic()
        child.close()
    assert time.monotonic() - begun_s < MAX_END_S
    assert second.poll() is not None
    assert '"line-3"' in capfd.readouterr().err
    with pytest.raises(BlockingIOError):
        systemd.recv(99)


@pytest.mark.slow
def test_the_page_ends_with_its_parent(device: PagedDevice, tmp_path: Path) -> None:
    """A page whose parent is killed does not stay."""
    code = f"""
import sys, time
from runtime.app.beside.page import PageChild
from tests.page.test_process import device_settings
child = PageChild(device_settings(), "127.0.0.1:0", {device.events!r}, {device.control!r})
while child._process is None: time.sleep(0.01)
print(child._process.pid, flush=True)
sys.stdin.read()
"""
    environment = os.environ | {"STATE_DIRECTORY": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        device.wait_subscribed(["v1/score/"], ENOUGH_S)
        parent.kill()
    until(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2])


@pytest.mark.slow
def test_hopeless_ends_are_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that is refused because of its settings is not started again, and the device goes on."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    child = PageChild(device_settings(), "nonsense", "ipc:///a", "ipc:///b")
    child._thread.join(ENOUGH_S)
    assert not child._thread.is_alive()
    assert child._process is not None
    assert child._process.returncode == SettingsError.exit_code
    child.close()
