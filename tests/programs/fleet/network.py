"""Networks of the simulated devices: namespaces of Linux with a cable each to a bridge, which a test can pull out."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

IP = shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


class PlainNetwork:
    """No network of its own: all is on the loopback address, nothing can be cut, and no bytes are counted.

    Attributes:
        address: of the servers.
        how: what it is, in words.
    """

    address = "127.0.0.1"
    how = "loopback only: cables cannot be cut, as this needs root and iproute2"
    can_cut = False

    def prefix(self, host: int) -> list[str]:  # noqa: ARG002 - the same for all
        """Return the words before a command that is to run behind the cable of a host."""
        return []

    def cut(self, host: int) -> None:
        """Have packets of a host vanish, in both directions."""

    def heal(self, host: int) -> None:
        """Undo `cut`."""

    def bytes_of(self, host: int) -> int:  # noqa: ARG002 - as above
        """Return the number of bytes that went through the cable of a host, both directions together."""
        return 0

    def close(self) -> None:
        """Delete all of it."""


class Cables(PlainNetwork):
    """A bridge, and for each host a namespace with a cable to it."""

    can_cut = True

    def __init__(self, hosts: int) -> None:
        """Make it.

        Raises:
            OSError, subprocess.CalledProcessError: it cannot be made here.
        """
        mark, self._hosts = os.getpid(), hosts
        self._bridge, net = f"pf{mark}", f"10.{200 + mark % 50}.{mark // 50 % 250}"
        self.address, self.how = f"{net}.1", f"{hosts} network namespaces, each with a cable (veth) to a bridge"
        self._names = [f"pf{mark}h{host}" for host in range(hosts)]
        try:
            _ip("link", "add", self._bridge, "type", "bridge")
            _ip("addr", "add", f"{self.address}/24", "dev", self._bridge)
            _ip("link", "set", self._bridge, "up")
            for host, name in enumerate(self._names):
                _ip("netns", "add", name)
                _ip("link", "add", name, "type", "veth", "peer", "name", "cable", "netns", name)
                _ip("link", "set", name, "master", self._bridge, "up")
                _ip("-n", name, "addr", "add", f"{net}.{host + 2}/24", "dev", "cable")
                _ip("-n", name, "link", "set", "cable", "up")
                _ip("-n", name, "link", "set", "lo", "up")
        except BaseException:
            self.close()
            raise

    def prefix(self, host: int) -> list[str]:
        return [str(IP), "netns", "exec", self._names[host]]

    def cut(self, host: int) -> None:
        _ip("link", "set", self._names[host], "nomaster")

    def heal(self, host: int) -> None:
        _ip("link", "set", self._names[host], "master", self._bridge)

    def bytes_of(self, host: int) -> int:
        folder = Path(f"/sys/class/net/{self._names[host]}/statistics")
        return sum(int((folder / one).read_text()) for one in ("rx_bytes", "tx_bytes"))

    def close(self) -> None:
        for name in self._names:
            subprocess.run([str(IP), "netns", "del", name], check=False, capture_output=True)
            subprocess.run([str(IP), "link", "del", name], check=False, capture_output=True)
        subprocess.run([str(IP), "link", "del", self._bridge], check=False, capture_output=True)


def network_of(hosts: int) -> PlainNetwork:
    """Return a network with cables where one can be made, else a plain one."""
    if os.geteuid() != 0 or IP is None:
        return PlainNetwork()
    try:
        return Cables(hosts)
    except (OSError, subprocess.CalledProcessError):
        return PlainNetwork()


def _ip(*words: str) -> None:
    subprocess.run([str(IP), *words], check=True, capture_output=True)
