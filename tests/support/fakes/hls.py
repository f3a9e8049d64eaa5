"""A live stream that comes in bursts: as HLS, a new segment a second, or as one endless answer of MPEG-TS."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np

from tests.support.fakes.http import served
from tests.support.fakes.videos import ffmpeg

FPS, SEGMENT_S = 25, 1.0
PACKET = 188  # bytes of MPEG-TS

PLAYLIST, UNNAMED, ENDLESS, FILE = "/live.m3u8", "/live", "/bursts", "/clip.avi"
"""The same playlist under two names, and what needs none; a whole video, which is there at once."""


class Bursts:
    """The stream: it is `seconds` long, begins anew then, and its stamps with it.

    Attributes:
        url: of the server, without the path.
        over: set when it ends.
    """

    def __init__(self, port: int, clip: bytes, segments: list[bytes], video: bytes) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.over = threading.Event()
        self.video = video
        self._began_s = time.monotonic()
        self._clip, self._segments = clip, segments

    def playlist(self) -> bytes:
        """Name the last three segments; the first ones are there from the start."""
        newest = 2 + int((time.monotonic() - self._began_s) / SEGMENT_S)
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:1", f"#EXT-X-MEDIA-SEQUENCE:{newest - 2}"]
        for number in range(newest - 2, newest + 1):
            lines += ["#EXT-X-DISCONTINUITY"] * (number % len(self._segments) == 0)
            lines += [f"#EXTINF:{SEGMENT_S},", f"{number}.ts"]
        return "\n".join(lines).encode() + b"\n"

    def segment(self, number: int) -> bytes:
        """Return the bytes of a segment."""
        return self._segments[number % len(self._segments)]

    def bursts(self) -> Iterator[bytes]:
        """Return a second of the clip each second."""
        share = len(self._clip) / len(self._segments) / PACKET
        for number in range(len(self._segments)):
            yield self._clip[round(number * share) * PACKET : round((number + 1) * share) * PACKET]
            if self.over.wait(SEGMENT_S):
                return


def clip_by_opencv(folder: Path, seconds: int) -> tuple[bytes, list[bytes]]:
    """Make a clip of pictures that all differ, and segments of it, each with stamps of its own."""
    segments = [_write(folder / f"{number}.ts", "mpg1", number * FPS, FPS) for number in range(seconds)]
    return _write(folder / "clip.ts", "mpg1", 0, seconds * FPS), segments


def clip_by_ffmpeg(folder: Path, seconds: int) -> tuple[bytes, list[bytes]]:
    """Make a clip in H.264, and segments of it whose stamps go on."""
    source = ["-f", "lavfi", "-i", f"testsrc2=size=160x120:rate={FPS}", "-t", seconds]
    code = ["-c:v", "libx264", "-preset", "ultrafast", "-g", FPS, "-bf", 0, "-sc_threshold", 0]
    ffmpeg(*source, *code, "-f", "segment", "-segment_time", SEGMENT_S, folder / "%03d.ts")
    segments = [path.read_bytes() for path in sorted(folder.glob("*.ts"))]
    return b"".join(segments), segments


def _write(path: Path, codec: str, first: int, count: int) -> bytes:
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), FPS, (160, 120))
    for number in range(first, first + count):
        random = np.random.default_rng(number)
        writer.write(random.integers(0, 255, (15, 20, 3), np.uint8).repeat(8, axis=0).repeat(8, axis=1))
    writer.release()
    return path.read_bytes()


@contextmanager
def in_bursts(folder: Path, *, seconds: int, by_ffmpeg: bool = False) -> Iterator[Bursts]:
    """Serve a live stream until the block ends."""
    folder.mkdir()
    clip, segments = (clip_by_ffmpeg if by_ffmpeg else clip_by_opencv)(folder, seconds)
    video = _write(folder / "clip.avi", "MJPG", 0, seconds * FPS)
    shutil.rmtree(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            if self.path == ENDLESS:
                self.send_header("Content-Type", "video/mp2t")
                self.end_headers()
                for burst in stream.bursts():
                    self.wfile.write(burst)
                return
            listed = self.path in {PLAYLIST, UNNAMED}
            if listed:
                body = stream.playlist()
            else:
                body = stream.video if self.path == FILE else stream.segment(int(self.path[1:-3]))
            self.send_header("Content-Type", "application/vnd.apple.mpegurl" if listed else "video/mp2t")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

        def handle(self) -> None:
            with contextlib.suppress(OSError):  # the reader has gone
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    stream = Bursts(server.server_address[1], clip, segments, video)
    with served(server, stream.over):
        yield stream
