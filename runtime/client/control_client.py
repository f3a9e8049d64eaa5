"""Ask a device, one request after the other."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import msgspec
import zmq

from edge_config.errors import AddressUnavailable
from edge_config.wire.fetch import ClipPart, FetchClip
from edge_config.wire.inspect import InspectPicture, PictureReceived, PictureVerdict
from edge_config.wire.replies import Answer, KeptMessages, decode_answer, kept_frames, read_reply
from edge_config.wire.request_base import Request
from edge_config.wire.requests import DEFAULT_CONTROL, After, encode_request
from runtime.client.connection import connect
from runtime.client.fetch_clip import fetch_clip
from runtime.client.inspect_picture import inspect_picture
from runtime.client.received import Received, read
from runtime.security.keys import Keys

TIMEOUT_S = 5.0

_TURN_MS = 250  # a signal that arrives just before a poll does not interrupt it
_BUSY_S = 0.25  # until a device that has too much to do is asked again

_Reply = TypeVar("_Reply")


class ControlClient(AbstractContextManager["ControlClient"]):
    """A client of the control socket. Use it from one thread.

    Example::

        with ControlClient("tcp://line-3:5557") as device:
            print(device.request(requests.Snapshot(), replies.Now).cameras)
    """

    def __init__(
        self,
        url: str = DEFAULT_CONTROL,
        *,
        keys: Keys | None = None,
        timeout_s: float = TIMEOUT_S,
        user: str = "",
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
    ) -> None:
        """Connect; the first request shows whether the device is there.

        Args:
            url: address of the device's control socket.
            keys: key files, if the device requires them.
            timeout_s: time-out of each answer, seconds.
            user: name of the person that requests without a `user` of their own are for; the device notes it beside
                the key.
            context: ZeroMQ context; by default one of its own.

        Raises:
            AddressUnavailable: `url` is not a ZeroMQ address.
        """
        self._url = url
        self._timeout_s = timeout_s
        self._user = user
        self._ids = itertools.count(1)
        self._own = context is None
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context() if context is None else context
        self._socket = self._context.socket(zmq.DEALER)
        try:
            connect(self._socket, url, keys)
        except BaseException:
            self.close()
            raise

    def request(self, request: Request, kind: type[_Reply]) -> _Reply:
        """Send a request, and return the reply.

        Args:
            request: one of `patchedge.requests`.
            kind: type of the reply, one of `patchedge.replies`.

        Raises:
            AddressUnavailable: no answer in time, also because the keys are not the right ones.
            RequestError: the device refused it.
            MessageError: the reply cannot be read.
        """
        return read_reply(self._ask(request)[0], kind)

    def ask(self, request: Request) -> tuple[Any, list[bytes]]:
        """Send a request, and return the reply as plain values, and its binary parts. It raises as `request` does.

        Args:
            request: one of `patchedge.requests`.
        """
        answer, parts = self._ask(request)
        return read_reply(answer, Any), list(parts)

    def fetch_clip(self, camera: str, clip: str, path: Path) -> ClipPart:
        """Fetch the clip of an alert; the file appears at `path` once it is complete.

        It raises as `request` does, and a `PatchedgeError` if the file cannot be written.

        Args:
            camera: name of the camera.
            clip: name of the clip, as `clip` of an alert message gives it.
            path: of the file; an older one is replaced.
        """

        def ask(request: FetchClip) -> tuple[ClipPart, Sequence[bytes]]:
            answer, parts = self._ask(request)
            return read_reply(answer, ClipPart), parts

        return fetch_clip(ask, camera, clip, path)

    def inspect(self, camera: str, pixels: bytes | memoryview, height: int, width: int) -> tuple[PictureVerdict, bytes]:
        """Have a picture judged by the bundle in service of a camera. It raises as `request` does.

        Args:
            camera: name of the camera.
            pixels: uint8 [height, width, 3], blue, green, red, rows from the top.
            height: height of the picture, pixels.
            width: width of the picture, pixels.

        Returns:
            The verdict, and the bytes of its heat map.

        Raises:
            ValueError: there are not as many bytes as pixels.
        """

        def send(request: InspectPicture, part: bytes) -> tuple[PictureReceived, Sequence[bytes]]:
            answer, parts = self._ask(request, part)
            return read_reply(answer, PictureReceived), parts

        return inspect_picture(send, camera, pixels, height, width)

    def replay(self, *topics: str) -> Iterator[Received]:
        """Yield all alerts and states that the journal holds, in its order. It raises as `request` does.

        Args:
            topics: prefixes of the wanted topics, such as `v1/alert/`; by default all.
        """
        row, epoch, more = 0, "", True
        while more:
            answer, parts = self._ask(After(row=row, epoch=epoch, topics=topics))
            kept = read_reply(answer, KeptMessages)
            yield from (read(frames, "replay") for frames in kept_frames(kept, parts))
            row, epoch, more = kept.next, kept.epoch, kept.more

    def close(self) -> None:
        """Disconnect."""
        self._socket.close(linger=0)
        if self._own:
            self._context.term()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect."""
        self.close()

    def _ask(self, request: Request, *frames: bytes) -> tuple[Answer, Sequence[bytes]]:
        end_s = time.monotonic() + self._timeout_s
        while True:
            number = str(next(self._ids))
            sent = msgspec.structs.replace(request, id=number, user=request.user or self._user)
            self._socket.send_multipart([encode_request(sent), *frames], zmq.NOBLOCK)
            answer, parts = self._receive(number, end_s)
            if not answer.is_busy or time.monotonic() + _BUSY_S >= end_s:
                return answer, parts
            self._socket.poll(round(_BUSY_S * 1000))  # nothing more is to come: a wait that a signal ends

    def _receive(self, number: str, end_s: float) -> tuple[Answer, Sequence[bytes]]:
        """Wait for the answer of this number; those of earlier requests are late, and passed over."""
        while (left_s := end_s - time.monotonic()) > 0:
            if self._socket.poll(min(_TURN_MS, math.ceil(left_s * 1000))):
                body, *parts = self._socket.recv_multipart()
                answer = decode_answer(body)
                if answer.id == number:
                    return answer, parts
        raise AddressUnavailable(f"no answer within {self._timeout_s:g} s", where=self._url)
