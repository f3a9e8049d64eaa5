"""A page without devices: the files of the front end, and an API of invented cameras with pictures that are drawn.

`python -m tests.page.mock --port 8099 --cameras 10 [--log-in]` serves it; users `anna` (operator) and `otto` (viewer),
password `correct horse`.
"""

from __future__ import annotations

import argparse
import base64
import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

import cv2
import numpy as np

import runtime.page

Json = dict[str, Any]
STATIC = Path(runtime.page.__file__).parent / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".json": "application/json"}
HEIGHT, WIDTH = 480, 640
ROWS, COLUMNS = 30, 40
THRESHOLD = 2.4
PASSWORD = "correct horse"  # noqa: S105 - of a page that is not real
STATES = {
    3: ("disconnected", "no such device"),
    6: ("dark", "dark: mean grey level 4, at least 20 can be judged"),
}


def now_ms() -> int:
    """Return the wall clock, milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


class World:
    """The invented cameras, and what is done to them."""

    def __init__(self, *, cameras: int = 10, log_in: bool = False, rate: float = 5.0) -> None:
        """Begin with cameras of one device; `quiet` holds back all events while it is set, as a pulled cable does."""
        self.count, self.log_in, self.rate = cameras, log_in, rate
        self.quiet = Event()
        self.refusing = Event()
        self.closing = Event()
        self.began_ms = now_ms()
        self.users: dict[str, str] = {}
        self.report: Json = {"state": "never", "started_ms": 0, "seconds": 0, "report": None, "reason": ""}
        self.asked: list[str] = []
        self.fleet: Json | None = None
        self.notice = ""
        self.more_devices: list[Json] = []

    def names(self) -> list[str]:
        """Return the names of the cameras."""
        words = ["belt", "press-left", "press-right", "welder", "labels", "lids", "caps", "seams", "boxes", "gate"]
        return [words[i % len(words)] + (str(i // len(words)) if i >= len(words) else "") for i in range(self.count)]

    def score(self, i: int, at_ms: int) -> float:
        """Return the score of a camera at a time."""
        calm = 1.1 + 0.15 * i / 10 + 0.25 * math.sin(at_ms / 9000 + i) + 0.1 * math.sin(at_ms / 700 + 2 * i)
        return calm + (2.2 if i == 1 else 0.0)

    def camera(self, i: int) -> Json:
        """Return a camera as the API does."""
        name, at_ms = self.names()[i], now_ms()
        state, reason = STATES.get(i, ("live", "delivers pictures"))
        live = state == "live"
        score = round(self.score(i, at_ms), 4) if live else None
        alert = self.alert(i) if i == 1 else None
        return {
            "key": f"press-3:{name}",
            "device": "press-3",
            "name": name,
            "state": state,
            "reason": reason,
            "since_ms": self.began_ms - 300_000,
            "score": score,
            "threshold": THRESHOLD,
            "label": "unknown" if score is None else "anomalous" if score > THRESHOLD else "normal",
            "excess": None if score is None else score - THRESHOLD,
            "scored_ms": at_ms if live else self.began_ms - 300_000,
            "frame_hw": [HEIGHT, WIDTH],
            "bundle": f"{i:02d}3fa9c1" * 8,
            "alert": alert,
            "drift": {"text": "the picture is brighter than learnt", "since_ms": at_ms - 7_200_000} if i == 2 else None,
            "burn_in_left_s": 5000 if i == 4 else None,
            "degraded": 0,
            "learning": {"state": "running", "step": "grow", "done": 3, "total": 10} if i == 5 else None,
            "teaching": None,
        }

    def alert(self, i: int) -> Json:
        """Return the open alert of a camera."""
        name = self.names()[i]
        return {
            "id": f"0b5c1e6e-0000-4000-8000-00000000000{i}",
            "key": f"press-3:{name}",
            "device": "press-3",
            "camera": name,
            "start_ms": self.began_ms - 42_000,
            "end_ms": None,
            "peak_score": 3.61,
            "peak_excess": 1.2,
            "threshold": THRESHOLD,
            "reason": "",
            "clip": "",
            "peak_ms": self.began_ms - 41_000,
            "has_picture": True,
            "picture_score": 3.61,
            "has_heat": True,
            "has_clip": False,
            "boxes": [[300, 200, 70, 60]],
            "frame_hw": [HEIGHT, WIDTH],
            "acknowledged": None,
            "false_alarm": None,
            "comments": [],
        }

    def picture(self, i: int, at_ms: int) -> bytes:
        """Return a picture of a belt with parts on it, JPEG."""
        image = np.full((HEIGHT // 2, WIDTH // 2, 3), (96 + 6 * i, 104, 108), np.uint8)
        cv2.rectangle(image, (0, 70), (WIDTH // 2, 170), (58, 60, 62), -1)
        for k in range(-1, 5):
            x = int(k * 80 + (at_ms / 12) % 80)
            cv2.circle(image, (x, 120), 26, (170, 176, 180), -1)
            cv2.circle(image, (x, 120), 10, (70, 72, 76), -1)
        if i == 1:
            cv2.line(image, (150, 105), (182, 126), (30, 60, 160), 4)
        return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()

    def heat(self, i: int, at_ms: int) -> Json:
        """Return a heat map: percent of the threshold."""
        y, x = np.mgrid[:ROWS, :COLUMNS]
        values = 35 + 20 * np.sin(x / 3 + at_ms / 900) * np.cos(y / 4)
        peak = 100 * self.score(i, at_ms) / THRESHOLD
        values = np.maximum(values, peak * np.exp(-((x - 20.5) ** 2 + (y - 14.5) ** 2) / 9))
        grid = np.clip(values, 0, 255).astype(np.uint8).tobytes()
        return {
            "rows": ROWS,
            "columns": COLUMNS,
            "area": [0, 0, WIDTH, HEIGHT],
            "values": base64.b64encode(grid).decode(),
        }

    def preview(self, i: int, seq: int) -> Json:
        """Return a preview as the API does."""
        at_ms, camera = now_ms(), self.camera(i)
        return {
            **{key: camera[key] for key in ("score", "threshold", "label", "state", "frame_hw")},
            "camera": camera["key"],
            "seq": seq,
            "frame_id": seq,
            "captured_ms": at_ms,
            "boxes": [[300, 200, 70, 60]] if camera["label"] == "anomalous" else [],
            "width": WIDTH // 2,
            "height": HEIGHT // 2,
            "jpeg": base64.b64encode(self.picture(i, at_ms)).decode(),
            "heat": self.heat(i, at_ms),
        }

    def scores(self, i: int, query: dict[str, list[str]]) -> Json:
        """Return scores of a span of time."""
        to_ms = int(query.get("to_ms", [str(now_ms())])[0])
        from_ms = int(query.get("from_ms", [str(to_ms - 60_000)])[0])
        points = int(query.get("points", ["600"])[0])
        t_ms = [int(from_ms + k * (to_ms - from_ms) / points) for k in range(points)]
        mean = [round(self.score(i, t), 3) for t in t_ms]
        bands = [{"id": self.alert(i)["id"], "from_ms": self.began_ms - 42_000, "to_ms": None}] if i == 1 else []
        return {
            "t_ms": t_ms,
            "max": [m + 0.2 for m in mean],
            "mean": mean,
            "threshold": [THRESHOLD] * points,
            "alerts": bands,
        }

    def device(self) -> Json:
        """Return the device as the API does."""
        keys = [f"press-3:{name}" for name in self.names()]
        return {
            "name": "press-3",
            "connected": True,
            "since_ms": self.began_ms - 3_600_000,
            "role": "operate",
            "error": "",
            "version": "0.1.0",
            "cameras": keys,
        }

    def examine(self) -> Json:
        """Check the device; the report is there at once."""
        found = [
            {"about": "processor", "level": "ok", "says": "4 cores, AVX2", "remedy": ""},
            {
                "about": "clock",
                "level": "warn",
                "says": "it is not set by NTP",
                "remedy": "run `timedatectl set-ntp true`",
            },
            {"about": "state folder", "level": "fail", "says": "the disk is full", "remedy": "free 500 MB"},
        ]
        report = {"exit_code": 69, "machine": found[:2], "folders": found[2:]}
        self.report = {"state": "done", "started_ms": now_ms(), "seconds": 3.0, "report": report, "reason": ""}
        return self.report

    def metrics(self) -> str:
        """Return metrics in the text format of Prometheus."""
        seconds = (now_ms() - self.began_ms) / 1000 + 100
        lines = ["# HELP patchedge_frames_captured_total Frames.", "# TYPE patchedge_frames_captured_total counter"]
        for name in self.names():
            lines.append(f'patchedge_frames_captured_total{{camera="{name}"}} {seconds * 25:.0f}')
            lines.append(f'patchedge_frames_dropped_total{{camera="{name}",reason="newer"}} {seconds:.0f}')
            for bound, share in (("0.03", 0.8), ("0.05", 0.97), ("+Inf", 1.0)):
                name_of = f'patchedge_frame_age_seconds_bucket{{camera="{name}",le="{bound}"}}'
                lines.append(f"{name_of} {seconds * 25 * share:.0f}")
        lines.append(f"patchedge_temperature_celsius {55 + 3 * math.sin(seconds / 20):.1f}")
        lines.append(f"patchedge_memory_available_bytes {2.1e9 + 1e8 * math.sin(seconds / 9):.0f}")
        return "\n".join([*lines, "patchedge_degradation_level 0", ""])


class Handler(BaseHTTPRequestHandler):
    """Answers for one world."""

    world: ClassVar[World]
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Stay silent."""

    def send(self, body: bytes, kind: str = "application/json", status: int = 200, cookie: str = "") -> None:
        """Send a reply with the headers that the page has."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("Cache-Control", "no-store")
        if cookie:
            self.send_header("Set-Cookie", f"{cookie}; HttpOnly; SameSite=Strict; Path=/")
        self.end_headers()
        self.wfile.write(body)

    def json(self, value: object, status: int = 200, cookie: str = "") -> None:
        """Send JSON."""
        self.send(json.dumps(value).encode(), status=status, cookie=cookie)

    def user(self) -> str:
        """Return the user that the cookie names."""
        return self.world.users.get(self.headers.get("Cookie", "").partition("session=")[2].partition(";")[0], "")

    def session(self) -> Json:
        """Return who asks."""
        user = self.user()
        role = "viewer" if user == "otto" or (self.world.log_in and not user) else "operator"
        shown = {"csrf": "abc", "page_version": "0.1.0", "fleet": self.world.fleet is not None}
        return {"user": user, "role": role, "login_needed": self.world.log_in, **shown}

    def body(self) -> Json:
        """Return the body of a request."""
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        value: Json = json.loads(text) if text else {}
        return value

    def do_GET(self) -> None:
        """Answer a GET."""
        url = urlsplit(self.path)
        parts = [unquote(part) for part in url.path.strip("/").split("/")]
        if self.world.refusing.is_set():
            self.close_connection = True
            return
        self.world.asked.append(self.path)
        if parts[:2] != ["api", "v1"]:
            path = STATIC.joinpath(*parts) if url.path != "/" else STATIC / "index.html"
            if not path.is_file():
                self.json({"error": "no such file"}, 404)
            else:
                self.send(path.read_bytes(), TYPES.get(path.suffix, "image/svg+xml"))
        elif parts[2] == "session":
            self.json(self.session())
        elif self.world.log_in and not self.user():
            self.json({"error": "log in first"}, 401)
        elif parts[2] == "events":
            self.events(parse_qs(url.query))
        else:
            self.answer(parts[2:], parse_qs(url.query))

    def answer(self, parts: list[str], query: dict[str, list[str]]) -> None:
        """Answer about cameras, alerts and devices."""
        world = self.world
        keys = [f"press-3:{name}" for name in world.names()]
        match parts:
            case ["cameras"]:
                self.json({"cameras": [world.camera(i) for i in range(world.count)]})
            case ["cameras", key, *rest] if key in keys:
                self.camera(keys.index(key), rest, query)
            case ["devices"]:
                self.json({"devices": [world.device(), *world.more_devices], "notice": world.notice})
            case ["devices", "press-3", *rest]:
                self.of_device(rest, query)
            case ["alerts"]:
                self.json({"alerts": [world.alert(1)], "next": None})
            case ["fleet"] if world.fleet is not None:
                self.json(world.fleet)
            case _:
                self.json({"error": f"nothing at {'/'.join(parts)}"}, 404)

    def camera(self, i: int, rest: list[str], query: dict[str, list[str]]) -> None:
        """Answer about one camera."""
        match rest:
            case []:
                self.json(self.world.camera(i))
            case ["picture"]:
                self.send(self.world.picture(i, now_ms()), "image/jpeg")
            case ["scores"]:
                self.json(self.world.scores(i, query))
            case ["settings"]:
                ignore = [[[20, 20], [160, 20], [160, 100], [20, 100]]] if i == 0 else []
                self.json({"threshold": THRESHOLD, "bundle_threshold": THRESHOLD, "alerts": {}, "regions": [],
                           "ignore": ignore, "frame_hw": [HEIGHT, WIDTH], "changes": []})  # fmt: skip
            case ["versions"]:
                versions = [{"id": f"{k}f00d" * 12, "round": k, "active": k == 1, "pictures": 40 * k,
                             "at": "2026-11-26T10:00:00Z" * k, "threshold": THRESHOLD} for k in (0, 1)]  # fmt: skip
                self.json({"camera": self.world.names()[i], "versions": versions, "notice": ""})
            case _:
                self.json({"error": "nothing here"}, 404)

    def of_device(self, rest: list[str], query: dict[str, list[str]]) -> None:
        """Answer about the device."""
        after = int(query.get("after", ["0"])[0])
        match rest:
            case ["metrics"]:
                self.send(self.world.metrics().encode(), "text/plain; version=0.0.4")
            case ["logs"]:
                lines = [{"number": k, "at_ms": now_ms() - 1000 * (9 - k), "level": "warning" if k % 4 == 0 else "info",
                          "text": json.dumps({"camera": "belt", "reason": "delivers pictures", "event": "camera",
                                              "level": "info"})} for k in range(after + 1, 9)]  # fmt: skip
                self.json({"lines": lines, "next": 8, "more": False, "missed": 0, "epoch": "e"})
            case ["doctor"]:
                self.json(self.world.report)
            case ["orders"]:
                self.json({"orders": [{"at_ms": now_ms() - 60_000 * k, "key": "3f" * 32, "user": "anna" * (k % 2),
                                       "request": "teach", "fields": '{"camera": "belt", "frames": 200}'}
                                      for k in range(1, 6)]})  # fmt: skip
            case _:
                self.json({"error": "nothing here"}, 404)

    def do_POST(self) -> None:
        """Answer a change."""
        body = self.body()
        if self.path.endswith("/session"):
            if body.get("user") in {"anna", "otto"} and body.get("password") == PASSWORD:
                token = f"t{len(self.world.users)}"
                self.world.users[token] = body["user"]
                self.json({}, cookie=f"session={token}")
            else:
                self.json({"error": "the name or the password is wrong"}, 401)
        elif self.session()["role"] != "operator":
            self.json({"error": "the role viewer may change nothing: ask an operator"}, 403)
        else:
            self.world.asked.append(f"POST {self.path}")
            self.json(self.world.examine() if self.path.endswith("/doctor") else {})

    def do_DELETE(self) -> None:
        """End a session."""
        self.world.users.pop(self.headers.get("Cookie", "").partition("session=")[2].partition(";")[0], None)
        self.json({})

    def events(self, query: dict[str, list[str]]) -> None:
        """Send events until the browser goes, or the world is closed."""
        wanted = {key for text in query.get("previews", []) for key in text.split(",")}
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.close_connection = True
        world, seq = self.world, 0
        try:
            while not world.closing.wait(1 / world.rate) and not world.refusing.is_set():
                if world.quiet.is_set():
                    continue
                seq += 1
                for i in range(world.count):
                    camera = world.camera(i)
                    self.event("camera", camera)
                    if camera["key"] in wanted and (camera["state"] == "live" or seq == 1):
                        self.event("preview", world.preview(i, seq))
                self.wfile.flush()
        except OSError:
            pass

    def event(self, kind: str, value: Json) -> None:
        """Write one event."""
        self.wfile.write(f"event: {kind}\ndata: {json.dumps(value)}\n\n".encode())


@contextmanager
def serving(world: World, port: int = 0, handler: type[Handler] | None = None) -> Iterator[str]:
    """Serve a world on loopback while the context is open. Return the address."""
    server = ThreadingHTTPServer(("127.0.0.1", port), type("HandlerOfWorld", (handler or Handler,), {"world": world}))
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        world.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="the page with invented cameras")
    parser.add_argument("--port", type=int, default=8099)
    parser.add_argument("--cameras", type=int, default=10)
    parser.add_argument("--log-in", action="store_true")
    given = parser.parse_args()
    with serving(World(cameras=given.cameras, log_in=given.log_in), given.port) as address:
        print(address, flush=True)
        Event().wait()
