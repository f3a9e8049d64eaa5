"""Real brokers in processes of their own: mosquitto and nats-server, which tests kill and start again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.processes import ENOUGH_S

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
NATS_SERVER = shutil.which("nats-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

LOOPBACK = "127.0.0.1"

needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not here: apt-get install mosquitto")
needs_nats = pytest.mark.skipif(NATS_SERVER is None, reason="nats-server is not here: apt-get install nats-server")


class Broker:
    """A broker on a port of its own; `start` returns when it takes connections."""

    def __init__(self, ready: str, address: str = LOOPBACK, port: int = 0) -> None:
        """Take a free port unless one is given; `ready` is in the line that it logs when it is up."""
        self.address, self.port = address, port or free_port()
        self._ready = ready
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self.log: list[str] = []
        self._logged = threading.Condition()

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        """Start it, once more where it was killed."""
        begin = len(self.log)
        self._process = subprocess.Popen(
            self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), name="broker-log")
        self._reader.start()
        self.until_logs(self._ready, begin)

    def until_logs(self, words: str, begin: int = 0) -> None:
        """Wait for a line of its log."""
        with self._logged:
            assert self._logged.wait_for(lambda: any(words in line for line in self.log[begin:]), ENOUGH_S), self.log

    def send(self, number: signal.Signals) -> None:
        """Send a signal, such as SIGSTOP."""
        assert self._process is not None
        self._process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it, by default as by a loss of power for the process."""
        if self._process is None or self._reader is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(number)
        self._process.wait(ENOUGH_S)
        self._reader.join(ENOUGH_S)
        self._process = self._reader = None

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        with process.stderr:
            for line in process.stderr:
                with self._logged:
                    self.log.append(line.rstrip())
                    self._logged.notify_all()


class Mosquitto(Broker):
    """An MQTT broker that remembers sessions over an orderly end; more of its settings in `extra`."""

    def __init__(
        self, folder: Path, extra: str = "allow_anonymous true", *, at: tuple[str, int] = (LOOPBACK, 0)
    ) -> None:
        super().__init__(" running", *at)
        self._config = folder / "mosquitto.conf"
        # Without bounds on what is in flight a subscriber that is connected is sent each message before its publisher
        # is told that it was taken: what a killed broker forgets is with the subscriber then.
        self._config.write_text(
            f"listener {self.port} {self.address}\n{extra}\nuser root\nlog_dest stderr\n"
            f"persistence true\npersistence_location {folder}/\nmax_inflight_messages 0\nmax_queued_messages 0\n"
        )

    def command(self) -> list[str]:
        return [MOSQUITTO or "", "-c", str(self._config)]


class NatsServer(Broker):
    """A NATS server with JetStream on the disk; more of its configuration in `config`."""

    def __init__(self, folder: Path, config: str = "", *, at: tuple[str, int] = (LOOPBACK, 0)) -> None:
        super().__init__("Server is ready", *at)
        self._folder = folder
        self._config = folder / "nats.conf"
        folder.mkdir(exist_ok=True)
        self._config.write_text(f"{config}\n")

    def command(self) -> list[str]:
        return [
            *(NATS_SERVER or "", "-c", str(self._config)),
            *("-a", self.address, "-p", str(self.port), "-js", "-sd", str(self._folder)),
        ]


@contextmanager
def nats_cluster(folder: Path, count: int = 3) -> Iterator[list[NatsServer]]:
    """Yield the servers of a cluster, which tests kill and start again; it has a leader."""
    ports = [free_port() for _ in range(count)]
    routes = ", ".join(f'"nats://{LOOPBACK}:{port}"' for port in ports)
    nodes = []
    for number, port in enumerate(ports):
        cluster = f'cluster {{ name: fleet, listen: "{LOOPBACK}:{port}", routes: [{routes}] }}'
        nodes.append(NatsServer(folder / f"node-{number}", f"server_name: node-{number}\n{cluster}"))
    try:
        for node in nodes:
            node.start()
        nodes[0].until_logs("metadata leader")
        yield nodes
    finally:
        for node in nodes:
            node.end()
