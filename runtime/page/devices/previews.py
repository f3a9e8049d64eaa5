"""Pictures of cameras that somebody watches: a device makes them only while the page subscribes to them by name."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable

import structlog
import zmq
import zmq.asyncio

from edge_config.errors import MessageError
from edge_config.wire.messages import Part, PreviewMessage, decode, topic
from runtime.client.connection import connect
from runtime.page.jpeg_size import jpeg_size
from runtime.page.shapes import HeatShown, PreviewShown
from runtime.security.keys import Keys

HIGH_WATER_MARK = 16
"""Pictures that wait in the socket: of more the newest are dropped, so it is read without a pause."""

_MS = 1_000_000  # nanoseconds

Show = Callable[[PreviewMessage, "tuple[bytes, ...]"], object]


class Previews:
    """The subscription to pictures of one device. Use it from one event loop."""

    def __init__(self, url: str, keys: Keys | None, context: zmq.Context[zmq.Socket[bytes]], show: Show) -> None:
        """Do nothing yet.

        Args:
            url: address of the device's PUB socket.
            keys: key files, if it requires them.
            context: shared by all sockets of the page.
            show: gets each picture: its message, and the bytes of its parts.
        """
        self._url, self._keys, self._show = url, keys, show
        self._context: zmq.asyncio.Context = zmq.asyncio.Context(shadow=context.underlying)
        self._socket: zmq.asyncio.Socket | None = None
        self._reader: asyncio.Task[None] | None = None
        self._topics: set[str] = set()

    def watch(self, device: str, cameras: set[str]) -> None:
        """Subscribe to exactly these cameras of the device, which is named as in topics.

        Raises:
            AddressUnavailable: the address is not one of ZeroMQ.
        """
        wanted = {topic("preview", device, camera) for camera in cameras}
        if wanted and self._socket is None:
            self._socket = self._context.socket(zmq.SUB)
            connect(self._socket, self._url, self._keys)  # type: ignore[arg-type]
            self._socket.set(zmq.RCVHWM, HIGH_WATER_MARK)
            self._reader = asyncio.create_task(self._read(self._socket))
        if self._socket is not None:
            for one in wanted - self._topics:
                self._socket.subscribe(one)
            for one in self._topics - wanted:
                self._socket.unsubscribe(one)
        self._topics = wanted

    async def close(self) -> None:
        """Disconnect."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        if self._socket is not None:
            self._socket.close(linger=0)

    async def _read(self, socket: zmq.asyncio.Socket) -> None:
        while True:
            frames = await socket.recv_multipart()
            try:
                _, said = decode(frames)
                if isinstance(said, PreviewMessage):
                    self._show(said, tuple(frames[2:]))
            except MessageError:
                continue  # the next one comes soon
            except Exception:  # noqa: BLE001 - one picture must not stop the others
                structlog.get_logger().exception("a picture could not be shown")


def shown(key: str, said: PreviewMessage, parts: tuple[bytes, ...]) -> PreviewShown | None:
    """Return a picture for browsers; None if there is none in the message."""
    by_name = {one.name: (one, data) for one, data in zip(said.parts, parts, strict=False)}
    if "jpeg" not in by_name:
        return None
    picture = by_name["jpeg"][1]
    height, width = jpeg_size(picture) or said.frame_hw
    return PreviewShown(
        camera=key,
        seq=said.seq,
        frame_id=said.frame_id,
        captured_ms=said.t_capture_ns // _MS,
        score=said.score,
        threshold=said.threshold,
        label=said.label,
        state=said.state,
        boxes=said.boxes,
        frame_hw=said.frame_hw,
        width=width,
        height=height,
        jpeg=base64.b64encode(picture).decode("ascii"),
        heat=heat_shown(*by_name["heat_map"]) if "heat_map" in by_name else None,
    )


def heat_shown(part: Part, data: bytes) -> HeatShown | None:
    """Return the heat map of a preview; None if it is not one."""
    if part.dtype != "uint8" or part.shape is None or len(part.shape) != 2:  # noqa: PLR2004 - rows and columns
        return None
    rows, columns = part.shape
    if rows * columns != len(data):
        return None
    return HeatShown(rows=rows, columns=columns, area=part.area, values=base64.b64encode(data).decode("ascii"))
