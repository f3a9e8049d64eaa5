"""A small client for HTTP and RTSP, which are written alike: bounded in time and in bytes."""

from __future__ import annotations

import re
import socket
import ssl
import time
from dataclasses import dataclass, field
from urllib.parse import unquote

from runtime.camera.diagnosis.login import authorization

MAX_BYTES = 64 << 10
"""A response is read up to this size."""

PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
"""Where FFmpeg connects if a URL names no port."""

_URL = re.compile(
    r"(?P<scheme>rtsps?|https?)://(?:(?P<login>[^/?#]*)@)?(?P<host>\[[^\]/?#]+\]|[^/?#:@]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<target>[/?][^#]*)?(?:#.*)?",
    flags=re.IGNORECASE | re.DOTALL,
)
_UNAUTHORIZED = 401
_STARTS = (b"RTSP/", b"HTTP/")


@dataclass(frozen=True, slots=True)
class CameraEndpoint:
    """The server and the path of a URL.

    Attributes:
        scheme: small letters.
        host: name or address, without brackets.
        port: of TCP.
        target: path and query.
        login: user and password; None where the URL has none.
    """

    scheme: str
    host: str
    port: int
    target: str
    login: tuple[str, str] | None = field(repr=False)

    @classmethod
    def of(cls, url: str) -> CameraEndpoint | None:
        """Return the endpoint of a URL; None if that cannot be parsed."""
        found = _URL.fullmatch(url)
        if found is None or not url.isprintable() or int(found["port"] or 0) >= 1 << 16:
            return None
        scheme = found["scheme"].lower()
        user, _, password = (found["login"] or "").partition(":")
        login = (unquote(user), unquote(password)) if found["login"] is not None else None
        target = found["target"] or ""
        target = target if target.startswith("/") else f"/{target}"
        return cls(scheme, found["host"].strip("[]"), int(found["port"] or PORTS[scheme]), target, login)

    @property
    def uri(self) -> str:
        """What a request line has: the target in HTTP, the URL without a login in RTSP."""
        if not self.scheme.startswith("rtsp"):
            return self.target
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.target}"


@dataclass(frozen=True, slots=True)
class Response:
    """The answer of a server.

    Attributes:
        protocol: RTSP or HTTP; empty if it is neither.
        code: of its status.
        headers: name in lower case -> values.
        body: its first bytes.
    """

    protocol: str
    code: int
    headers: dict[str, list[str]]
    body: bytes

    def first(self, name: str) -> str:
        """Return the value of a header; empty where there is none."""
        return self.headers.get(name, [""])[0]


class Client:
    """A connection to a camera."""

    def __init__(self, endpoint: CameraEndpoint, address: tuple[str, int], step_s: float) -> None:
        """Connect, with TLS where the scheme wants it; its certificate is not checked, as FFmpeg does not either.

        Args:
            endpoint: of the camera.
            address: its host and port, resolved.
            step_s: time-out of each step: connection, handshake, answer.

        Raises:
            OSError: it cannot be reached; `ssl.SSLError` where it does not speak TLS.
        """
        self._endpoint, self._address, self._step_s = endpoint, address, step_s
        self._number = 0
        self._connect()

    def ask(self, method: str, uri: str = "", **headers: str) -> Response:
        """Send a request, and once more with the URL's login if the server wants one.

        Args:
            method: such as GET, DESCRIBE or SETUP.
            uri: by default that of the endpoint.
            headers: more of them, with `_` for `-`.

        Raises:
            OSError: no answer in time, or the connection broke.
        """
        uri = uri or self._endpoint.uri
        response = self._exchange(method, uri, headers)
        login = self._endpoint.login
        if response.code == _UNAUTHORIZED and login is not None:
            challenges = response.headers.get("www-authenticate", [])
            if proof := authorization(challenges, *login, method, uri):
                if self._endpoint.scheme.startswith("http"):
                    self.close()
                    self._connect()
                response = self._exchange(method, uri, headers | {"Authorization": proof})
        return response

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _connect(self) -> None:
        self._socket = socket.create_connection(self._address, self._step_s)
        if self._endpoint.scheme in {"rtsps", "https"}:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self._socket = context.wrap_socket(self._socket, server_hostname=self._endpoint.host)

    def _exchange(self, method: str, uri: str, headers: dict[str, str]) -> Response:
        self._number += 1
        rtsp = self._endpoint.scheme.startswith("rtsp")
        host = f"{self._endpoint.host}:{self._endpoint.port}"
        lines = [f"{method} {uri} {'RTSP/1.0' if rtsp else 'HTTP/1.1'}"]
        lines += [f"CSeq: {self._number}"] if rtsp else [f"Host: {host}", "Connection: close"]
        lines += ["User-Agent: patchedge", *(f"{name.replace('_', '-')}: {text}" for name, text in headers.items())]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode("utf-8", errors="replace"))
        return self._read()

    def _read(self) -> Response:
        until_s = time.monotonic() + self._step_s
        data = b""
        while b"\r\n\r\n" not in data and _may_be_a_response(data) and (more := self._more(until_s, data)):
            data += more
        if not data:
            raise ConnectionError
        head, _, body = data.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        found = re.match(r"(RTSP|HTTP)/[0-9.]+ +([0-9]{3})", status)
        headers: dict[str, list[str]] = {}
        for name, _, value in (line.partition(":") for line in lines):
            headers.setdefault(name.strip().lower(), []).append(value.strip())
        response = Response(found[1] if found else "", int(found[2]) if found else 0, headers, body)
        length = response.first("content-length")
        wanted = min(int(length), MAX_BYTES) if length.isdecimal() else 0
        while len(body) < wanted and (more := self._more(until_s, body)):
            body += more
        return Response(response.protocol, response.code, headers, body)

    def _more(self, until_s: float, so_far: bytes) -> bytes:
        left_s = until_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        if len(so_far) >= MAX_BYTES:
            return b""
        self._socket.settimeout(left_s)
        return self._socket.recv(MAX_BYTES)


def _may_be_a_response(data: bytes) -> bool:
    """Return whether the data so far can become a response: the greeting of an SSH server never ends."""
    return any(data[: len(start)] == start[: len(data)] for start in _STARTS)
