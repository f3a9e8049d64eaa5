"""Diagnose why a source does not open: OpenCV gives no reason, so the cause is looked for after the failure.

The name is resolved, the port connected, and one question asked: DESCRIBE and SETUP of RTSP, or GET of HTTP. A device
is opened without OpenCV. No password is part of what is said, and nothing that a camera answers is repeated.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import getpass
import glob
import os
import queue
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar
from urllib.parse import quote

from edge_config.errors import LoginRefused, SourceUnavailable
from edge_config.settings.sections import Transport
from runtime.camera import address
from runtime.camera.diagnosis import v4l2
from runtime.camera.diagnosis.request import Inquiry, Place, Reply

STEP_S = 3.0
"""For each step: resolving, connecting, each answer."""

TOTAL_S = 10.0
"""For all of them."""

ENCRYPTED = {"rtsps", "https"}

_MAX_HOPS = 3  # of redirections
_MAX_ADDRESSES = 2  # of a name
_CODECS = {
    *("h264", "h265", "hevc", "jpeg", "mp4v-es", "mpv", "mp2t", "mp1s", "mp2p", "h261", "h263", "h263-1998"),
    *("h263-2000", "vp8", "vp9", "av1", "theora", "raw"),
}
"""What FFmpeg takes out of RTP, as SDP calls it."""

_STATIC = {"26": "jpeg", "31": "h261", "32": "mpv", "33": "mp2t", "34": "h263"}
_ENCODE = (
    "percent-encode what is special in user and password: "
    "%40 for @, %2F for /, %3A for :, %3F for ?, %23 for #, %25 for %"
)
_PROPERTY = r"""\b{}\s*=\s*(?:"([^"]*)"|'([^']*)'|(\S+))"""
_REQUEST_BUFFERS = struct.Struct("=5I")
_MAPPED, _VIDEO_CAPTURE = 1, 1

T = TypeVar("T")


class _Found(Exception):
    """What is wrong, and what to do about it.

    Args:
        what: is wrong.
        remedy: against it.
        by_failing: it is wrong only because the source does not open, while the camera's answer is good.
        login: it is the login that is refused.
    """

    def __init__(self, what: str, remedy: str, *, by_failing: bool = False, login: bool = False) -> None:
        super().__init__(what)
        self.what, self.remedy, self.by_failing, self.login = what, remedy, by_failing, login


def explain(
    source: int | str, error: SourceUnavailable, transport: Transport = "tcp", *, opened: bool = False
) -> SourceUnavailable:
    """Return the error that says why a camera or stream does not open; the given one where that is not found.

    Args:
        source: what was opened.
        error: what opening it ended with.
        transport: how the stream was to come.
        opened: it did open, and gave a picture at most.
    """
    try:
        _bounded(lambda: _look(source, transport), TOTAL_S)
    except _Found as found:
        if opened and found.by_failing:
            return error
        kind = LoginRefused if found.login else SourceUnavailable
        return kind(found.what, where=error.where, remedy=found.remedy)
    except (OSError, ValueError, LookupError, UnicodeError):  # the look has failed: what is known stays
        pass
    return error


def _look(source: int | str, transport: Transport) -> None:
    name = address.plain(source)
    if name.startswith(address.GSTREAMER):
        if url := re.search(r"""(?:location|uri)\s*=\s*["']?((?:rtsps?|https?)://[^\s"']+)""", name):
            _look_at_url(_with_login(url[1], name), transport)
    elif address.kind(name) == "stream":
        _look_at_url(name, transport)
    else:
        for node in address.devices(name):
            _look_at_device(node)


def _with_login(url: str, pipeline: str) -> str:
    """Return the URL of a pipeline with the login that stands beside it."""
    found = [re.search(_PROPERTY.format(name), pipeline) for name in ("user-id", "user-pw")]
    words = [one[1] or one[2] or one[3] for one in found if one]
    scheme, _, rest = url.partition("://")
    if len(words) < len(found) or "@" in rest.partition("/")[0]:
        return url
    return f"{scheme}://{':'.join(quote(word, safe='') for word in words)}@{rest}"


def _look_at_url(url: str, transport: Transport) -> None:
    if url.startswith("http://") and (os.environ.get("http_proxy") or os.environ.get("HTTP_PROXY")):
        return  # it is not this machine that connects
    for _ in range(_MAX_HOPS):
        place = Place.of(url)
        if place is None:
            raise _Found("this URL cannot be read", f"{_ENCODE}; whole it is such as rtsp://10.0.0.4:554/stream")
        inquiry = _reach(place)
        with contextlib.closing(inquiry):
            moved = _describe(inquiry, place, transport) if place.scheme.startswith("rtsp") else _get(inquiry, place)
        if not moved:
            return
        url = moved


def _reach(place: Place) -> Inquiry:
    """Resolve and connect.

    Raises:
        _Found: that is not possible.
    """
    first, *others = _resolve(place)
    for other in others:
        with contextlib.suppress(OSError):
            return Inquiry(place, first, STEP_S)
        first = other
    try:
        return Inquiry(place, first, STEP_S)
    except OSError as error:
        raise _unreached(place, error) from error


def _unreached(place: Place, error: OSError) -> _Found:
    at = f"port {place.port}"
    if isinstance(error, ssl.SSLError):
        return _Found(f"does not speak TLS at {at}", f"try {place.scheme[:-1]}://, or the port that it encrypts")
    if isinstance(error, ConnectionRefusedError):
        return _Found(f"nothing listens at {at} (connection refused)", "check the port, and the camera's service")
    if isinstance(error, TimeoutError):
        return _Found(f"no answer from its address, {at} (time-out)", "check power, cable, address and firewall")
    if isinstance(error, ConnectionError):
        return _Found(f"hangs up when connected at {at} ({_errno(error)})", "check the port, and who may connect")
    return _Found(f"cannot be reached ({_errno(error)})", "check address, cable, network and gateway")


def _resolve(place: Place) -> list[tuple[str, int]]:
    try:
        found = _bounded(lambda: socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM), STEP_S)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise _Found("its name cannot be resolved (no name server answers)", "check network and DNS") from error
        remedy = "check the name, or write the address"
        remedy += f"; if it is part of the password, {_ENCODE}" if "@" in place.target else ""
        raise _Found("unknown host: its name cannot be resolved", remedy) from error
    except TimeoutError as error:
        raise _Found("its name cannot be resolved (time-out)", "check network and DNS, or write the address") from error
    return [(str(one[4][0]), int(one[4][1])) for one in found][:_MAX_ADDRESSES]


def _describe(inquiry: Inquiry, place: Place, transport: Transport) -> str:
    """Ask an RTSP server for its stream; return where it has moved to, if it has."""
    reply = _asked(lambda: inquiry.ask("DESCRIBE", Accept="application/sdp"), place)
    if reply.protocol == "HTTP":
        raise _Found("speaks HTTP at this port, not RTSP", "check the port (RTSP has 554, often), or write http://")
    moved = _judge(reply, place)
    if moved:
        return moved
    codec, track = _video(reply)
    if codec and codec not in _CODECS:
        name = codec.upper() if re.fullmatch(r"[a-z0-9.-]{1,20}", codec) else "unknown"
        raise _Found(f"its codec is not supported ({name})", "set the camera to H.264 or H.265")
    base = reply.first("content-base") or reply.first("content-location") or place.uri
    uri = (
        track if "://" in track else f"{base.rstrip('/')}/{track}".rstrip("/") if track not in {"", "*"} else place.uri
    )
    way = {"tcp": "RTP/AVP/TCP;unicast;interleaved=0-1", "udp": "RTP/AVP;unicast;client_port=50000-50001"}[transport]
    set_up = _asked(lambda: inquiry.ask("SETUP", uri, Transport=way), place)
    if session := set_up.first("session").partition(";")[0]:
        with contextlib.suppress(OSError):
            inquiry.ask("TEARDOWN", place.uri, Session=session)
    if set_up.code == 461:  # noqa: PLR2004 - Unsupported Transport
        if transport == "udp":
            raise _Found("does not send by UDP (461)", "set transport: tcp (--transport tcp)")
        raise _Found("sends by UDP only, and nothing arrives", "let UDP through the firewall between")
    if set_up.code == 200 and transport == "udp":  # noqa: PLR2004
        raise _Found("answers, and nothing arrives by UDP", "set transport: tcp, or let UDP through the firewall")
    return ""


def _get(inquiry: Inquiry, place: Place) -> str:
    """Ask an HTTP server for its stream; return where it has moved to, if it has."""
    reply = _asked(lambda: inquiry.ask("GET", Accept="*/*"), place)
    if reply.protocol == "RTSP":
        raise _Found("speaks RTSP at this port, not HTTP", "write rtsp://")
    moved = _judge(reply, place)
    if moved:
        return moved
    kind = reply.first("content-type").partition(";")[0].strip().lower()
    kind = kind if re.fullmatch(r"[a-z0-9.+/-]{1,60}", kind) else ""
    start = reply.body.lstrip()[:64].lower()
    if kind in {"text/html", "application/xhtml+xml"} or start.startswith((b"<!doctype html", b"<html")):
        raise _Found("a page of HTML, not a stream", "name the stream itself; the camera's manual has its path")
    if kind.startswith("text/") or kind.endswith(("json", "xml")):
        raise _Found(f"no stream, but text ({kind})", "name the stream itself; the camera's manual has its path")
    if kind.startswith("image/"):
        raise _Found(f"a single picture ({kind}), not a stream", "name the camera's stream, MJPEG or RTSP")
    raise _Found(
        f"its stream cannot be decoded ({kind or 'of no type'})",
        "set the camera to H.264, H.265 or MJPEG",
        by_failing=True,
    )


def _asked(ask: Callable[[], Reply], place: Place) -> Reply:
    protocol = place.scheme.rstrip("s").upper()
    try:
        reply = ask()
    except TimeoutError as error:
        raise _Found(
            f"takes the connection and does not answer ({protocol}, time-out)", "start the camera anew"
        ) from error
    except OSError as error:
        raise _Found(f"hangs up when asked ({_errno(error)})", "check the port, and who may connect") from error
    if not reply.protocol:
        raise _Found(f"does not speak {protocol} at port {place.port}", "check scheme and port")
    return reply


def _judge(reply: Reply, place: Place) -> str:
    """Judge the status of an answer; return where the stream has moved to, if it has.

    Raises:
        _Found: it is not there, or not for us.
    """
    code = reply.code
    if code == 401 and place.login is None:  # noqa: PLR2004 - these numbers are names
        raise _Found("wants a user and a password (401)", "write USER:PASSWORD@ before the host in the URL", login=True)
    if code == 401:  # noqa: PLR2004
        raise _Found(
            "wrong user or password (401)",
            "correct them; what is special in them is percent-encoded, such as %40 for @",
            login=True,
        )
    if code == 403:  # noqa: PLR2004
        raise _Found(
            "wrong user or password, or this user may not see it (403)",
            "correct them, or allow it at the camera",
            login=True,
        )
    if code in {404, 410, 454}:
        raise _Found(
            f"wrong path: there is no such stream ({code})", "the camera's manual, or its ONVIF page, has the path"
        )
    if 300 <= code < 400 and (there := reply.first("location")):  # noqa: PLR2004
        return _moved(there, place)
    if code >= 500:  # noqa: PLR2004
        raise _Found(f"the camera fails ({code})", "it may have too many viewers: close some, or start it anew")
    if code >= 300:  # noqa: PLR2004
        raise _Found(f"refuses the request ({code})", "check the URL with the camera's manual")
    return ""


def _moved(there: str, place: Place) -> str:
    """Return the URL that a redirection leads to, with the login where it is the same host's and no less encrypted."""
    if there.startswith("/"):
        there = f"{place.scheme}://{place.host}:{place.port}{there}"
    after = Place.of(there)
    if after is None or after.login or place.login is None or after.host != place.host:
        return there
    if place.scheme in ENCRYPTED and after.scheme not in ENCRYPTED:
        return there
    login = ":".join(quote(word, safe="") for word in place.login)
    scheme, _, rest = there.partition("://")
    return f"{scheme}://{login}@{rest}"


def _video(reply: Reply) -> tuple[str, str]:
    """Return the codec and the track of the video in an SDP.

    Raises:
        _Found: there is none.
    """
    media = reply.body.decode("utf-8", errors="replace").replace("\r", "").split("\nm=")[1:]
    video = next((one for one in media if one.startswith("video")), None)
    if video is None:
        raise _Found("its stream has no video", "name the stream of the pictures; the camera's manual has its path")
    words = video.partition("\n")[0].split()
    number = words[3] if len(words) > 3 else ""  # noqa: PLR2004 - m=video PORT PROTOCOL FORMAT
    named = re.search(rf"^a=rtpmap:{re.escape(number)}\s+([^/\s]+)", video, flags=re.MULTILINE)
    track = re.search(r"^a=control:(\S+)", video, flags=re.MULTILINE)
    return (named[1].lower() if named else _STATIC.get(number, "")), (track[1] if track else "")


def _look_at_device(node: str) -> None:
    """Open a device without OpenCV.

    Raises:
        _Found: that fails, or it is in use, or gives no pictures.
    """
    try:
        descriptor = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError as error:
        user = _user()
        remedy = f"sudo usermod -aG video {user}, and log in again; in a container: --device and --group-add"
        raise _Found(f"{user} may not open {node} (permission denied)", remedy) from error
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise _in_use(node) from error
        raise _Found(
            f"{node} does not open ({_errno(error)})", "unplug it and plug it in again; see `dmesg`"
        ) from error
    try:
        _reserve(descriptor, node)
    finally:
        os.close(descriptor)


def _reserve(descriptor: int, node: str) -> None:
    """Ask for a buffer, which a camera has for one program only, and give it back."""
    if not v4l2.formats(node):
        raise _Found(
            f"{node} gives no pictures", "it may be a camera's second node: `patchedge doctor` lists the first ones"
        )
    request = (3 << 30) | (_REQUEST_BUFFERS.size << 16) | (ord("V") << 8) | 8
    try:
        for count in (1, 0):
            asked = bytearray(_REQUEST_BUFFERS.pack(count, _VIDEO_CAPTURE, _MAPPED, 0, 0))
            fcntl.ioctl(descriptor, request, asked)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise _in_use(node) from error


def _in_use(node: str) -> _Found:
    users = list(_users(node))
    by = f" by {', '.join(users)}" if users else ""
    return _Found(f"{node} is in use{by}", "end the other program: a camera serves one at a time")


def _users(node: str) -> Iterator[str]:
    """Yield the programs that hold a device, as far as this user may see them."""
    for process in glob.glob("/proc/[0-9]*"):  # noqa: PTH207 - no Path
        number = process.rpartition("/")[2]
        with contextlib.suppress(OSError):
            held = (os.path.realpath(link) for link in glob.glob(f"{process}/fd/*"))  # noqa: PTH207
            if int(number) != os.getpid() and node in held:
                with open(f"{process}/comm", encoding="utf-8", errors="replace") as stream:  # noqa: PTH123
                    yield f"{stream.read().strip()} (process {number})"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # of a container, whose user has no name
        return f"user {os.geteuid()}"


def _errno(error: OSError) -> str:
    """Return what the system says, and not the text of the error, which may quote what a camera sent."""
    return os.strerror(error.errno).lower() if error.errno else "connection lost"


def _bounded(do: Callable[[], T], seconds: float) -> T:
    """Do something in a thread, and give it up after a time.

    Raises:
        TimeoutError: it takes longer.
    """
    answers: queue.SimpleQueue[tuple[T | None, Exception | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put((do(), None))
        except Exception as error:  # noqa: BLE001 - it is raised again below
            answers.put((None, error))

    threading.Thread(target=run, name="diagnose", daemon=True).start()
    try:
        answer, error = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return answer  # type: ignore[return-value]  # None is what was done then
