"""A cluster of NATS servers with JetStream, whose nodes are killed and started again."""

from __future__ import annotations

import threading
import time
import urllib.request
from pathlib import Path

from tests.support.brokers import NATS_SERVER, Broker
from tests.support.ports import free_port

NODES = 3

_pause = threading.Event()


class ClusterNode(Broker):
    """One server of a cluster."""

    def __init__(self, folder: Path, name: str, address: str, routes: list[int], own_route: int) -> None:
        super().__init__("Server is ready", address)
        self.name, self._folder, self._own_route = name, folder, own_route
        self._routes = ",".join(f"nats://{address}:{port}" for port in routes)
        self._monitor = free_port()

    def command(self) -> list[str]:
        at = ["-a", self.address, "-p", str(self.port), "-m", str(self._monitor), "--server_name", self.name]
        routes = ["--cluster_name", "fleet", "--cluster", f"nats://{self.address}:{self._own_route}"]
        # Without --no_advertise a client would learn of more servers, and of other addresses than those it was given.
        store = ["--routes", self._routes, "--no_advertise", "-js", "-sd", str(self._folder / self.name)]
        return [NATS_SERVER or "", *at, *routes, *store]

    def is_whole(self) -> bool:
        """Return whether it has all that the others have: only then may the next one die."""
        try:
            with urllib.request.urlopen(f"http://{self.address}:{self._monitor}/healthz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


class NatsCluster:
    """Three servers.

    Attributes:
        nodes: the servers.
        urls: their addresses.
    """

    def __init__(self, folder: Path, address: str) -> None:
        """Set them up."""
        ports = [free_port() for _ in range(NODES)]
        self.nodes = [ClusterNode(folder, f"n{at}", address, ports, port) for at, port in enumerate(ports)]
        self.urls = [f"nats://{node.address}:{node.port}" for node in self.nodes]

    def start(self) -> None:
        """Start all of them; they find one another by themselves."""
        for node in self.nodes:
            node.start()

    def until_whole(self, seconds: float) -> None:
        """Wait until all of them have all that there is, but no longer than some seconds."""
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s and not all(node.is_whole() for node in self.nodes):
            _pause.wait(0.3)

    def close(self) -> None:
        """End all of them."""
        for node in self.nodes:
            node.end()
