"""Is a request for this page, and from a page of ours? The checks of Host, Origin and Sec-Fetch-Site."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from runtime.page.refused import Refused

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::([0-9]{1,5}))?")
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_OUR_SITE = frozenset({"same-origin", "none"})
"""Values of Sec-Fetch-Site for what a page of ours asks, and for what a person types."""


class Hosts:
    """The names under which this page may be opened.

    Another site can give its own name the address of this machine (DNS rebinding). Its requests then carry that name.
    """

    def __init__(self, bound: str, names: Iterable[str] = ()) -> None:
        """Collect the names.

        Args:
            bound: address or name that the page listens at.
            names: further ones, from the settings.
        """
        self._any_address = False
        self._names = {_bare(name) for name in (*_LOOPBACK, bound, *names)}
        try:
            found = ipaddress.ip_address(_bare(bound))
        except ValueError:
            return
        self._any_address = found.is_unspecified
        if found.is_unspecified:
            self._names.add(socket.gethostname().lower())

    def check(self, headers: Headers) -> str:
        """Return the Host of a request, as a browser writes it.

        Raises:
            Refused: it is missing, or is not a name of this page.
        """
        given = headers.getlist("host")
        found = _HOST.fullmatch(given[0]) if len(given) == 1 else None
        if found is None:
            raise Refused(400, "the request has no valid Host header")
        name = _bare(found[1])
        if name not in self._names and not (self._any_address and _is_address(name)):
            raise Refused(
                421, f"this page is not known as {name}; open it by its address, or add the name to `access.hosts`"
            )
        return given[0].lower()


def check_site(headers: Headers) -> None:
    """Check that a request is not made by a page of another site, as the browser says.

    Raises:
        Refused: it is.
    """
    if headers.get("sec-fetch-site", "none") not in _OUR_SITE:
        raise Refused(403, "this request comes from a page of another site; open the page itself")


def check_origin(headers: Headers, scheme: str, host: str) -> None:
    """Check that a request that changes something was made by a page of ours.

    Raises:
        Refused: its Origin is another one.
    """
    origin = headers.get("origin")
    if origin is not None and _origin(origin) != _origin(f"{scheme}://{host}"):
        raise Refused(
            403,
            f"this request comes from another site than {scheme}://{host}; open the page itself"
            " (a proxy must pass on Host and X-Forwarded-Proto)",
        )


def _origin(text: str) -> tuple[str, str, str]:
    try:
        found = urlsplit(text)
        port = str(found.port or _DEFAULT_PORTS.get(found.scheme, ""))
    except ValueError:
        return "", "", text
    return found.scheme, found.hostname or "", port


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _bare(name: str) -> str:
    return name.strip("[]").rstrip(".").lower()
