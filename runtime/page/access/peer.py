"""The other end of a connection: the address of the browser, and whether it is encrypted, also behind a proxy."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import Scope

from edge_config.errors import SettingsError
from runtime.page.refused import Refused

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAX_HOPS = 32
_BY_A_PROXY = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip", "forwarded", "via")
"""Headers that a proxy adds, and no browser."""


@dataclass(frozen=True, slots=True)
class RemoteEnd:
    """The other end of a request.

    Attributes:
        address: of the browser or program.
        scheme: http or https, as the browser sees it.
        proxied: the request came by a proxy that is trusted.
        strange_proxy: a proxy that the settings do not name has passed it on.
    """

    address: str
    scheme: str
    proxied: bool = False
    strange_proxy: bool = False


class Proxies:
    """The proxies whose word is believed."""

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        """Read their addresses, or networks such as 10.0.0.0/24.

        Raises:
            SettingsError: one is neither.
        """
        self._networks = [_network(text) for text in trusted]

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self._networks)

    def peer(self, scope: Scope, headers: Headers) -> RemoteEnd:
        """Return who is at the other end; headers of a proxy count only if it is trusted.

        Raises:
            Refused: a trusted proxy has sent headers that cannot be read.
        """
        client = scope.get("client")
        address = str(client[0]) if client else ""
        scheme = str(scope.get("scheme", "http"))
        if not self._trusts(address):
            return RemoteEnd(address, scheme, strange_proxy=any(name in headers for name in _BY_A_PROXY))
        said = headers.get("x-forwarded-proto", "").split(",")[-1].strip().lower() or "https"
        if said not in {"http", "https"}:
            raise Refused(400, "X-Forwarded-Proto of the proxy is neither http nor https")
        return RemoteEnd(self._first_stranger(headers, address), said, proxied=True)

    def _first_stranger(self, headers: Headers, address: str) -> str:
        """Return the last address of X-Forwarded-For that is not a trusted proxy: those before it may be invented."""
        hops = [hop.strip() for line in headers.getlist("x-forwarded-for") for hop in line.split(",")]
        for hop in reversed(hops[-_MAX_HOPS:]):
            plain = _without_port(hop)
            if _parsed(plain) is None:
                return address
            address = plain
            if not self._trusts(plain):
                break
        return address

    def _trusts(self, address: str) -> bool:
        found = _parsed(address)
        return found is not None and any(found in network for network in self._networks)


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        what = f"key `access.proxy.trusted`: {text} is not an address"
        raise SettingsError(what, remedy="write such as 10.0.0.7 or 10.0.0.0/24") from error


def is_loopback(address: str) -> bool:
    """Return whether an address is of this machine alone."""
    found = _parsed(address)
    return found is not None and found.is_loopback


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _without_port(hop: str) -> str:
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
