"""Why a source does not open is found and said: by a look at it, bounded in time, that shows no secret."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random

import cv2
import pytest

from edge_config.errors import SourceUnavailable
from edge_config.redact import scrub
from edge_config.settings.sections import Camera
from runtime.camera.diagnosis import stream
from runtime.camera.diagnosis.explain import explain
from runtime.camera.feed import Feed
from runtime.camera.sources import v4l2
from runtime.client.subscriber import Subscriber
from tests.support.fakes.server import Answer, reply, serving
from tests.support.processes import DEVICE, ENOUGH_S, call, started
from tests.support.reader import Unread
from tests.support.rtsp import MISSING, installed
from tests.support.rtsp import serving as serving_rtsp
from tests.support.tiny import normal_picture

SDP = "v=0\r\nm=audio 0 RTP/AVP 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 {codec}/90000\r\na=control:track1\r\n"
H264 = SDP.format(codec="H264")

LOOK_S = 5.0
"""A look at a server that is silent ends within this time on a busy machine: a step may take 3 s."""


def explained(source: str, transport: str = "tcp") -> SourceUnavailable:
    return explain(source, SourceUnavailable("does not open", where="cam"), transport)


def rtsp(describe: bytes | None, set_up: bytes | None = None) -> Answer:
    return lambda request: describe if request.startswith("DESCRIBE") else set_up or reply("200 OK")


@pytest.mark.parametrize(
    ("describe", "what"),
    [
        (reply("403 Forbidden"), "wrong user or password, or this user may not see it (403)"),
        (reply("404 Not Found"), "wrong path: there is no such stream (404)"),
        (reply("454 Session Not Found"), "wrong path: there is no such stream (454)"),
        (reply("400 Bad Request"), "refuses the request (400)"),
        (reply("503 Service Unavailable"), "the camera fails (503)"),
        (reply("200 OK", "v=0\r\nm=audio 0 RTP/AVP 0\r\n"), "its stream has no video"),
        (reply("200 OK", SDP.format(codec="X-SECRET")), "its codec is not supported (X-SECRET)"),
        (reply("400 Bad Request", protocol="HTTP/1.0"), "speaks HTTP at this port, not RTSP"),
        (b"220 mail.example.com ESMTP\r\n\r\n", "does not speak RTSP at port"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak RTSP at port"),
        (b"", "hangs up when asked"),
    ],
)
def test_rtsp_server_that_refuses(describe: bytes, what: str) -> None:
    """Each answer to DESCRIBE that is no stream is said in plain words, with a remedy."""
    with serving(rtsp(describe)) as server:
        error = explained(f"rtsp://127.0.0.1:{server.port}/cam")
    assert error.what.startswith(what)
    assert error.remedy
    assert error.where == "cam"


@pytest.mark.parametrize(
    ("set_up", "transport", "what"),
    [
        ("461 Unsupported Transport", "udp", "does not send by UDP (461)"),
        ("461 Unsupported Transport", "tcp", "sends by UDP only, and nothing arrives"),
        ("200 OK", "udp", "answers, and nothing arrives by UDP"),
        ("200 OK", "tcp", "does not open"),
    ],
)
def test_transport_is_tried(set_up: str, transport: str, what: str) -> None:
    """A stream that is there is set up by the transport of the settings, and torn down again."""
    with serving(rtsp(reply("200 OK", H264), reply(set_up, Session="12;timeout=60"))) as server:
        error = explained(f"rtsp://127.0.0.1:{server.port}/cam?channel=1", transport)
    assert error.what == what
    assert [request.split()[0] for request in server.heard] == ["DESCRIBE", "SETUP", "TEARDOWN"]
    assert server.heard[1].split()[1] == f"rtsp://127.0.0.1:{server.port}/cam?channel=1/track1"
    assert "Session: 12" in server.heard[2]


def login_wanted(kind: str, good: str) -> Answer:
    """Answer as a server that knows the user `me w` with the password `p@ss:1`, and judges by RFC 2617 or 7616."""
    wants = {
        "basic": 'Basic realm="cam"',
        "digest": 'Digest realm="cam", nonce="n1"',
        "digest with qop": 'Digest realm="cam", nonce="n1", qop="auth", algorithm=SHA-256, opaque="o"',
    }[kind]
    make = hashlib.sha256 if "qop" in kind else hashlib.md5

    def digest(request: str) -> str:
        said = dict(re.findall(r'(\w+)="?([^",]+)', request.partition("Authorization: Digest ")[2].split("\r\n")[0]))
        first = make(b"me w:cam:p@ss:1").hexdigest()
        second = make(f"{request.split(maxsplit=1)[0]}:{said.get('uri')}".encode()).hexdigest()
        middle = f"n1:{said.get('nc')}:{said.get('cnonce')}:auth" if "qop" in kind else "n1"
        return "good" if said.get("response") == make(f"{first}:{middle}:{second}".encode()).hexdigest() else "bad"

    def answer(request: str) -> bytes:
        basic = "Authorization: Basic bWUgdzpwQHNzOjE=" in request
        protocol = "HTTP/1.1" if request.startswith("GET") else "RTSP/1.0"
        if basic if kind == "basic" else digest(request) == "good":
            return reply(good, protocol=protocol)
        return reply("401 Unauthorized", protocol=protocol, WWW_Authenticate=wants)

    return answer


@pytest.mark.parametrize("scheme", ["rtsp", "http", "RTSP"])
@pytest.mark.parametrize("kind", ["basic", "digest", "digest with qop"])
def test_login_of_the_url_is_used(scheme: str, kind: str) -> None:
    """A right login, percent-encoded in the URL, gets further; a wrong one and none are told apart."""
    with serving(login_wanted(kind, "404 Not Found")) as server:
        at = f"127.0.0.1:{server.port}/cam?x=1"
        said = [explained(f"{scheme}://{login}{at}").what for login in ("me%20w:p%40ss%3A1@", "me%20w:wrong@", "")]
    assert said == [
        "wrong path: there is no such stream (404)",
        "wrong user or password (401)",
        "wants a user and a password (401)",
    ]


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (
            reply("200 OK", "<html>", "HTTP/1.1", Content_Type="text/html; charset=x"),
            "a page of HTML, not a stream",
        ),
        (reply("200 OK", " <!DOCTYPE html>", "HTTP/1.1"), "a page of HTML, not a stream"),
        (reply("200 OK", "{}", "HTTP/1.1", Content_Type="application/json"), "no stream, but text (application/json)"),
        (reply("200 OK", "x", "HTTP/1.1", Content_Type="image/jpeg"), "a single picture (image/jpeg), not a stream"),
        (reply("200 OK", "x", "HTTP/1.1", Content_Type="video/x"), "its stream cannot be decoded (video/x)"),
        (reply("404 Not Found", protocol="HTTP/1.1"), "wrong path: there is no such stream (404)"),
        (reply("200 OK"), "speaks RTSP at this port, not HTTP"),
    ],
)
def test_http_server_that_has_no_stream(answer: bytes, what: str) -> None:
    """Each answer to GET that is no stream is said in plain words, with a remedy."""
    with serving(lambda _: answer) as server:
        error = explained(f"http://127.0.0.1:{server.port}/video")
    assert error.what == what
    assert error.remedy


@pytest.mark.slow
def test_url_of_a_single_picture() -> None:
    """A URL that gives one JPEG opens and ends, which is said of `probe`'s source; a stream that ends is just lost."""
    picture = cv2.imencode(".jpg", normal_picture(1))[1].tobytes()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
    with serving(lambda _: head % len(picture) + picture) as server:
        done = call(*DEVICE, "probe", f"http://127.0.0.1:{server.port}/x.jpg", "--seconds", "1")
    assert "lost      a single picture (image/jpeg), not a stream" in done.stdout
    ended = SourceUnavailable("delivers no more pictures")
    with serving(lambda _: reply("200 OK", "x", "HTTP/1.1", Content_Type="multipart/x-mixed-replace")) as server:
        assert explain(f"http://127.0.0.1:{server.port}/x", ended, opened=True) is ended


def test_redirection_is_followed() -> None:
    """A page that has moved is looked at where it is now, with the login; one that moves for ever is given up."""
    moved = {"/old": "/new", "/ever": "/ever"}

    def answer(request: str) -> bytes:
        target = request.split()[1]
        if target in moved:
            return reply("302 Found", protocol="HTTP/1.1", Location=moved[target])
        return login_wanted("basic", "404 Not Found")(request)

    with serving(answer) as server:
        at = f"http://me%20w:p%40ss%3A1@127.0.0.1:{server.port}"
        assert explained(f"{at}/old").what == "wrong path: there is no such stream (404)"
        assert explained(f"{at}/ever").what == "does not open"


@pytest.mark.parametrize("url", ["rtsp://", "rtsp://:554/x", "rtsp://h:99999/x", "http:///x"])
def test_url_that_cannot_be_read_is_told_how_to_write_it(url: str) -> None:
    """The remedy for a URL that is none shows a whole one, which nothing hides as if it were a secret."""
    error = explained(url)
    assert error.what == "this URL cannot be read"
    assert "rtsp://10.0.0.4:554/stream" in str(error)
    assert "%40 for @" in str(error)
    assert "***" not in str(error)


def test_host_and_port_that_are_not_there() -> None:
    """An unknown host, a refused port and a URL that cannot be read are told apart."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert explained(f"rtsp://127.0.0.1:{port}/x").what == f"nothing listens at port {port} (connection refused)"
    assert explained("rtsp://no-such-host.invalid/x").what.startswith(("unknown host", "its name cannot be resolved"))
    slash = explained("rtsp://admin:p@ss/w@10.0.0.4/x")
    assert "%2F for /" in slash.remedy
    unreadable = explained("rtsp://admin:pa?ss@10.0.0.4/x")
    assert unreadable.what == "this URL cannot be read"
    assert "%3F for ?" in unreadable.remedy
    assert "%25 for %" in unreadable.remedy
    assert scrub(str(unreadable)) == str(unreadable)  # nothing of the remedy is taken for a secret


def test_server_without_tls() -> None:
    """A server that does not speak TLS where the URL says so is said."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def plain() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(b"RTSP/1.0 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=plain)
        thread.start()
        error = explained(f"rtsps://127.0.0.1:{listener.getsockname()[1]}/x")
        thread.join()
    assert error.what.startswith("does not speak TLS")


@pytest.mark.slow
@pytest.mark.parametrize("answer", [None, b"RTSP/1.0 200 OK\r\nX: 1\r\n"])
def test_server_that_is_silent_costs_bounded_time(answer: bytes | None) -> None:
    """One that takes the connection and says nothing, or never comes to an end, is given up."""
    with serving(lambda _: answer) as server:
        began = time.monotonic()
        error = explained(f"rtsp://127.0.0.1:{server.port}/x")
        assert time.monotonic() - began < LOOK_S
    assert error.what == "accepts the connection but does not answer (RTSP, time-out)"


def test_answer_is_read_to_a_bound() -> None:
    """Headers without an end are cut off at 64 KiB."""
    with serving(lambda _: b"RTSP/1.0 200 OK\r\n" + b"X: y\r\n" * 100_000) as server:
        error = explained(f"rtsp://127.0.0.1:{server.port}/x")
    assert error.what == "its stream has no video"


def test_secret_is_not_repeated() -> None:
    """What a camera answers is not shown: it may have the password in it, as a reason, a type or a place."""

    def answer(_: str) -> bytes:
        return reply("499 s3cret", "s3cret", "HTTP/1.1", Content_Type="s3cret", Location="http://s3cret")

    with serving(answer) as server:
        for target in ("x", "s3cret?password=s3cret"):
            error = explained(f"http://admin:s3cret@127.0.0.1:{server.port}/{target}")
            assert "s3cret" not in str(error)


def test_pipeline_is_looked_at_by_its_url() -> None:
    """Of a pipeline of GStreamer the URL is asked, with the login that stands beside it."""
    with serving(login_wanted("digest", "404 Not Found")) as server:
        at = f"gst:rtspsrc location=rtsp://127.0.0.1:{server.port}/x user-id=\"me w\" user-pw='p@ss:1' ! decodebin"
        assert explained(at).what == "wrong path: there is no such stream (404)"


def test_device_that_may_not_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permission, use by another program and a node without pictures are told apart, at a node that a test lays out."""
    node = tmp_path / "video0"
    node.touch()
    source = f"v4l2://{node}"
    assert explained(source).what == f"{node} gives no pictures"

    def refuse(number: int) -> None:
        def refused(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "open", refused)

    refuse(errno.EACCES)
    denied = explained(source)
    assert "permission denied" in denied.what
    assert "usermod -aG video" in denied.remedy
    monkeypatch.undo()
    with node.open() as held, subprocess.Popen(["/bin/sleep", "60"], stdin=held) as process:
        refuse(errno.EBUSY)
        busy = explained(source)
        monkeypatch.undo()
        process.kill()
    assert busy.what == f"{node} is in use by sleep (process {process.pid})"


def test_camera_that_another_program_films_is_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that opens and refuses a buffer serves another program; one that gives it gets it back."""
    node = tmp_path / "video0"
    node.touch()
    asked: list[tuple[int, int]] = []

    def driver(_: int, request: int, words: bytearray) -> None:
        asked.append((request, words[0]))
        if len(asked) > 2:
            raise OSError(errno.EBUSY, "busy")

    monkeypatch.setattr(v4l2, "formats", lambda _: ["MJPG 640x480"])
    monkeypatch.setattr(fcntl, "ioctl", driver)
    assert explained(f"v4l2://{node}").what == "does not open"
    assert asked == [(0xC0145608, 1), (0xC0145608, 0)]  # VIDIOC_REQBUFS of one buffer, and of none
    assert explained(f"v4l2://{node}").what == f"{node} is in use"


def test_name_server_and_host_that_do_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that hangs and a host that takes no connection each cost a step, and are told apart."""
    monkeypatch.setattr(stream, "STEP_S", 0.2)
    over = threading.Event()
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        at = full.getsockname()
        waiting = [stack.enter_context(socket.socket()) for _ in range(4)]
        for one in waiting:  # what does not fit into the queue of the listener is not answered
            one.setblocking(False)  # noqa: FBT003 - of the socket
            one.connect_ex(at)
        assert explained(f"rtsp://127.0.0.1:{at[1]}/x").what == f"no answer from its address, port {at[1]} (time-out)"
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait())
        assert explained("rtsp://camera/x").what == "its name cannot be resolved (time-out)"
        over.set()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Return a folder of JPEGs."""
    for number in range(30):
        cv2.imwrite(str(tmp_path / f"{number:06}.jpg"), normal_picture(number))
    return tmp_path


@pytest.fixture
def real_server(pictures: Path) -> Iterator[Callable[..., int]]:
    """Return what starts GStreamer's RTSP server with a transport, for the user `me` with the password `p@ss`."""
    if not installed():
        pytest.skip(MISSING)
    with ExitStack() as stack:

        def start(transport: str) -> int:
            return stack.enter_context(serving_rtsp(f"{pictures}/%06d.jpg", 29, "me:p@ss", transport=transport))

        yield start


@pytest.mark.slow
def test_real_rtsp_server(real_server: Callable[..., int]) -> None:
    """With a real RTSP server `probe` shows the stream, and says what is wrong with a URL; capitals are no fault."""
    tcp, udp = real_server("tcp"), real_server("udp")

    def probe(login: str, port: int, path: str, *more: str, scheme: str = "rtsp") -> str:
        source = f"{scheme}://{login}127.0.0.1:{port}/{path}"
        done = call(*DEVICE, "probe", source, "--seconds", "0.2", "--timeout", ENOUGH_S / 2, *more)
        return done.stdout.split("\n")[0] + done.stderr

    assert "first picture after" in probe("me:p%40ss@", tcp, "cam")
    assert "first picture after" in probe("me:p%40ss@", tcp, "cam", scheme="RTSP")
    assert "first picture after" in probe("me:p%40ss@", udp, "cam")
    assert "first picture after" in probe("me:p%40ss@", udp, "cam", "--transport", "udp")
    assert "does not send by UDP (461); set transport: tcp" in probe("me:p%40ss@", tcp, "cam", "--transport", "udp")
    assert "wrong user or password (401); correct them" in probe("me:wrong@", tcp, "cam")
    assert "wants a user and a password (401)" in probe("", tcp, "cam")
    assert "wrong path: there is no such stream (404)" in probe("me:p%40ss@", tcp, "other")


@pytest.mark.slow
@pytest.mark.parametrize(("words", "code"), [(["probe"], 69), (["record"], 69)])
def test_programs_say_why(tmp_path: Path, words: list[str], code: int) -> None:
    """`probe` and `record` end with the reason and the remedy in their one line."""
    with serving(login_wanted("digest", "404 Not Found")) as server:
        source = f"http://me:s3cret@127.0.0.1:{server.port}/x"
        done = call(*DEVICE, *words, source, *([tmp_path / "x"] if words == ["record"] else []))
    assert done.returncode == code
    (line,) = done.stderr.splitlines()
    assert f"http://***@127.0.0.1:{server.port}/x: wrong user or password (401); correct them" in line


@pytest.mark.slow
def test_run_has_the_reason_as_that_of_the_state(tiny_bundle: Path, tmp_path: Path) -> None:
    """A camera that does not open is `disconnected` for the reason that was found; and so when the reason changes."""
    answers = [b"401 Unauthorized"]

    def answer(_: str) -> bytes:
        return reply(answers[0].decode(), protocol="HTTP/1.1")

    with serving(answer) as server:
        section = {"source": f"http://me:x@127.0.0.1:{server.port}/x", "reconnect_min_s": 0.01, "reconnect_max_s": 0.02}
        tree = {"bundle": str(tiny_bundle), "cameras": {"top": section}, "metrics": {"enabled": False}}
        tree |= {name: {"bind": f"ipc://{tmp_path}/{name}"} for name in ("events", "control")}
        (tmp_path / "device.yaml").write_text(json.dumps(tree))
        with (
            started(*DEVICE, "run", "--config", tmp_path / "device.yaml") as process,
            Subscriber(f"ipc://{tmp_path}/events", control=f"ipc://{tmp_path}/control", kinds=["state"]) as states,
        ):
            said = [states.receive(ENOUGH_S).message]
            answers[0] = b"404 Not Found"
            said.append(states.receive(ENOUGH_S).message)
            process.terminate()
            log = process.communicate(timeout=ENOUGH_S)[1]
    assert [(one.state, one.reason) for one in said] == [
        ("disconnected", "wrong user or password (401)"),
        ("disconnected", "wrong path: there is no such stream (404)"),
    ]
    assert "percent-encoded" in log


class Noting(Random):
    """Notes between what bounds the first wait is drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn = threading.Event()
        self.bounds = (0.0, 0.0)

    def uniform(self, a: float, b: float) -> float:
        """Return a wait that outlasts the test."""
        self.bounds = (a, b)
        self.drawn.set()
        return ENOUGH_S * 2


@pytest.mark.parametrize(
    ("answer", "least_s", "reason"), [("401 Unauthorized", 20.0, "refused"), ("404 Not Found", 0.1, "absent")]
)
def test_refused_login_is_not_tried_soon_again(answer: str, least_s: float, reason: str) -> None:
    """Where user and password are refused the first wait is a long one: many tries would lock the account."""
    random = Noting()
    with serving(lambda _: reply(answer, protocol="HTTP/1.1")) as server:
        source = f"http://me:x@127.0.0.1:{server.port}/x"
        camera = Camera(source=source, reconnect_min_s=0.1, reconnect_max_s=40.0)
        feed = Feed("top", camera, lambda _: None, Unread(), random=random)
        feed.start()
        try:
            assert random.drawn.wait(ENOUGH_S)
        finally:
            feed.close()
    assert random.bounds[0] == least_s
    assert {name: count for name, count in feed.reconnects.items() if count} == {reason: 1}
