"""Why an RTSP or HTTP stream does not open: name, port, login, path, codec or transport."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
from collections.abc import Callable
from urllib.parse import quote

from edge_config.settings.sections import Transport
from runtime.camera.diagnosis.cause import Cause, reason_of
from runtime.camera.diagnosis.http_client import CameraEndpoint, Client, Response
from runtime.camera.with_timeout import with_timeout

STEP_S = 3.0
"""Time-out of each step: resolving, connecting, each answer."""

_MAX_REDIRECTIONS = 3
_MAX_ADDRESSES = 2  # of a name
_ENCRYPTED = {"rtsps", "https"}
_CODECS = {
    *("h264", "h265", "hevc", "jpeg", "mp4v-es", "mpv", "mp2t", "mp1s", "mp2p", "h261", "h263", "h263-1998"),
    *("h263-2000", "vp8", "vp9", "av1", "theora", "raw"),
}
"""What FFmpeg can decode from RTP, as SDP calls it."""

_STATIC = {"26": "jpeg", "31": "h261", "32": "mpv", "33": "mp2t", "34": "h263"}
_ENCODE = (
    "percent-encode special characters in user and password: "
    "%40 for @, %2F for /, %3A for :, %3F for ?, %23 for #, %25 for %"
)
_FIND_PATH = "the camera's manual, or its ONVIF page, has the path"
_NAME_STREAM = "name the stream itself; the camera's manual has its path"


def check_url(url: str, transport: Transport) -> None:
    """Connect to a camera and ask for its stream.

    Raises:
        Cause: what is wrong with it.
    """
    if url.startswith("http://") and (os.environ.get("http_proxy") or os.environ.get("HTTP_PROXY")):
        return  # it is not this machine that connects
    for _ in range(_MAX_REDIRECTIONS):
        endpoint = CameraEndpoint.of(url)
        if endpoint is None:
            raise Cause("this URL cannot be read", f"{_ENCODE}; whole it is such as rtsp://10.0.0.4:554/stream")
        with contextlib.closing(_connect(endpoint)) as client:
            moved = _check_stream(client, endpoint, transport)
        if not moved:
            return
        url = moved


def _connect(endpoint: CameraEndpoint) -> Client:
    """Resolve and connect.

    Raises:
        Cause: that is not possible.
    """
    first, *others = _resolve(endpoint)
    for other in others:
        with contextlib.suppress(OSError):
            return Client(endpoint, first, STEP_S)
        first = other
    try:
        return Client(endpoint, first, STEP_S)
    except OSError as error:
        raise _unreached(endpoint, error) from error


def _unreached(endpoint: CameraEndpoint, error: OSError) -> Cause:
    at = f"port {endpoint.port}"
    if isinstance(error, ssl.SSLError):
        return Cause(f"does not speak TLS at {at}", f"try {endpoint.scheme[:-1]}://, or the port that it encrypts")
    if isinstance(error, ConnectionRefusedError):
        return Cause(f"nothing listens at {at} (connection refused)", "check the port, and the camera's service")
    if isinstance(error, TimeoutError):
        return Cause(f"no answer from its address, {at} (time-out)", "check power, cable, address and firewall")
    if isinstance(error, ConnectionError):
        return Cause(f"hangs up when connected at {at} ({reason_of(error)})", "check the port, and who may connect")
    return Cause(f"cannot be reached ({reason_of(error)})", "check address, cable, network and gateway")


def _resolve(endpoint: CameraEndpoint) -> list[tuple[str, int]]:
    what = "its name cannot be resolved"
    try:
        found = with_timeout(lambda: socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM), STEP_S)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise Cause(f"{what} (no name server answers)", "check network and DNS") from error
        remedy = "check the name, or write the address"
        remedy += f"; if it is part of the password, {_ENCODE}" if "@" in endpoint.target else ""
        raise Cause(f"unknown host: {what}", remedy) from error
    except TimeoutError as error:
        raise Cause(f"{what} (time-out)", "check network and DNS, or write the address") from error
    return [(str(one[4][0]), int(one[4][1])) for one in found][:_MAX_ADDRESSES]


def _check_stream(client: Client, endpoint: CameraEndpoint, transport: Transport) -> str:
    """Ask a server for its stream; return the URL that it redirects to, if it does."""
    is_rtsp = endpoint.scheme.startswith("rtsp")
    method, accept = ("DESCRIBE", "application/sdp") if is_rtsp else ("GET", "*/*")
    response = _answered(lambda: client.ask(method, Accept=accept), endpoint)
    if is_rtsp and response.protocol == "HTTP":
        raise Cause("speaks HTTP at this port, not RTSP", "check the port (RTSP has 554, often), or write http://")
    if not is_rtsp and response.protocol == "RTSP":
        raise Cause("speaks RTSP at this port, not HTTP", "write rtsp://")
    if moved := _check_status(response, endpoint):
        return moved
    if is_rtsp:
        _set_up(client, response, endpoint, transport)
        return ""
    raise _not_decoded(response)


def _set_up(client: Client, described: Response, endpoint: CameraEndpoint, transport: Transport) -> None:
    """Check the codec that an RTSP server describes, and whether it sends by this transport."""
    codec, track = _video(described)
    if codec and codec not in _CODECS:
        name = codec.upper() if re.fullmatch(r"[a-z0-9.-]{1,20}", codec) else "unknown"
        raise Cause(f"its codec is not supported ({name})", "set the camera to H.264 or H.265")
    uri = endpoint.uri
    if "://" in track:
        uri = track
    elif track not in {"", "*"}:
        base = described.first("content-base") or described.first("content-location") or uri
        uri = f"{base.rstrip('/')}/{track}".rstrip("/")
    way = {"tcp": "RTP/AVP/TCP;unicast;interleaved=0-1", "udp": "RTP/AVP;unicast;client_port=50000-50001"}[transport]
    response = _answered(lambda: client.ask("SETUP", uri, Transport=way), endpoint)
    if session := response.first("session").partition(";")[0]:
        with contextlib.suppress(OSError):
            client.ask("TEARDOWN", endpoint.uri, Session=session)
    if response.code == 461:  # noqa: PLR2004 - Unsupported Transport
        if transport == "udp":
            raise Cause("does not send by UDP (461)", "set transport: tcp (--transport tcp)")
        raise Cause("sends by UDP only, and nothing arrives", "let UDP through the firewall between")
    if response.code == 200 and transport == "udp":  # noqa: PLR2004
        raise Cause("answers, and nothing arrives by UDP", "set transport: tcp, or let UDP through the firewall")


def _not_decoded(response: Response) -> Cause:
    """Return why what an HTTP server sends cannot be decoded."""
    kind = response.first("content-type").partition(";")[0].strip().lower()
    kind = kind if re.fullmatch(r"[a-z0-9.+/-]{1,60}", kind) else ""
    start = response.body.lstrip()[:64].lower()
    if kind in {"text/html", "application/xhtml+xml"} or start.startswith((b"<!doctype html", b"<html")):
        return Cause("a page of HTML, not a stream", _NAME_STREAM)
    if kind.startswith("text/") or kind.endswith(("json", "xml")):
        return Cause(f"no stream, but text ({kind})", _NAME_STREAM)
    if kind.startswith("image/"):
        return Cause(f"a single picture ({kind}), not a stream", "name the camera's stream, MJPEG or RTSP")
    what = f"its stream cannot be decoded ({kind or 'of no type'})"
    return Cause(what, "set the camera to H.264, H.265 or MJPEG", by_failing=True)


def _answered(ask: Callable[[], Response], endpoint: CameraEndpoint) -> Response:
    protocol = endpoint.scheme.rstrip("s").upper()
    try:
        response = ask()
    except TimeoutError as error:
        what = f"accepts the connection but does not answer ({protocol}, time-out)"
        raise Cause(what, "restart the camera") from error
    except OSError as error:
        raise Cause(f"hangs up when asked ({reason_of(error)})", "check the port, and who may connect") from error
    if not response.protocol:
        raise Cause(f"does not speak {protocol} at port {endpoint.port}", "check scheme and port")
    return response


def _check_status(response: Response, endpoint: CameraEndpoint) -> str:
    """Check the status of an answer; return the URL that it redirects to, if it does.

    Raises:
        Cause: the stream is not there, or not for this login.
    """
    code = response.code
    if code == 401 and endpoint.login is None:  # noqa: PLR2004 - these numbers are names
        remedy = "write USER:PASSWORD@ before the host in the URL"
        raise Cause("wants a user and a password (401)", remedy, login=True)
    if code == 401:  # noqa: PLR2004
        remedy = "correct them; write special characters percent-encoded, such as %40 for @"
        raise Cause("wrong user or password (401)", remedy, login=True)
    if code == 403:  # noqa: PLR2004
        what = "wrong user or password, or this user may not see it (403)"
        raise Cause(what, "correct them, or allow it at the camera", login=True)
    if code in {404, 410, 454}:
        raise Cause(f"wrong path: there is no such stream ({code})", _FIND_PATH)
    if 300 <= code < 400 and (location := response.first("location")):  # noqa: PLR2004
        return _redirected(location, endpoint)
    if code >= 500:  # noqa: PLR2004
        raise Cause(f"the camera fails ({code})", "it may have too many viewers: close some, or restart it")
    if code >= 300:  # noqa: PLR2004
        raise Cause(f"refuses the request ({code})", "check the URL with the camera's manual")
    return ""


def _redirected(location: str, endpoint: CameraEndpoint) -> str:
    """Return the URL of a redirection, with the login if it is the same host's and no less encrypted."""
    if location.startswith("/"):
        location = f"{endpoint.scheme}://{endpoint.host}:{endpoint.port}{location}"
    after = CameraEndpoint.of(location)
    if after is None or after.login or endpoint.login is None or after.host != endpoint.host:
        return location
    if endpoint.scheme in _ENCRYPTED and after.scheme not in _ENCRYPTED:
        return location
    login = ":".join(quote(word, safe="") for word in endpoint.login)
    scheme, _, rest = location.partition("://")
    return f"{scheme}://{login}@{rest}"


def _video(response: Response) -> tuple[str, str]:
    """Return the codec and the track of the video in an SDP.

    Raises:
        Cause: there is none.
    """
    media = response.body.decode("utf-8", errors="replace").replace("\r", "").split("\nm=")[1:]
    video = next((one for one in media if one.startswith("video")), None)
    if video is None:
        raise Cause("its stream has no video", "name the stream of the pictures; the camera's manual has its path")
    words = video.partition("\n")[0].split()
    number = words[3] if len(words) > 3 else ""  # noqa: PLR2004 - m=video PORT PROTOCOL FORMAT
    named = re.search(rf"^a=rtpmap:{re.escape(number)}\s+([^/\s]+)", video, flags=re.MULTILINE)
    track = re.search(r"^a=control:(\S+)", video, flags=re.MULTILINE)
    return (named[1].lower() if named else _STATIC.get(number, "")), (track[1] if track else "")
