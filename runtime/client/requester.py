"""Ask a device: several requests at a time over one connection, within an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import zmq
import zmq.asyncio

from edge_config.errors import AddressUnavailable, MessageError
from edge_config.wire.replies import Answer, decode_answer, read_reply
from edge_config.wire.request_base import Request
from edge_config.wire.requests import encode_request
from runtime.client.connection import connect
from runtime.client.within import within
from runtime.security.keys import Keys

TIMEOUT_S = 5.0
"""Time-out of an answer, unless the caller has another."""

WINDOW = 8
"""Maximum number of requests in flight; a device takes 16 of a client, and a part of them is for others."""

BUSY_S = 0.25
"""Wait before a device that has too much to do is asked again."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DeviceAnswer:
    """An answer: its envelope, and its binary parts."""

    answer: Answer
    parts: tuple[bytes, ...]

    def read(self, kind: type[T]) -> T:
        """Return the payload.

        Raises:
            RequestError: the device refused the request.
            MessageError: the payload is of another type.
        """
        return read_reply(self.answer, kind)


class DeviceRequester:
    """The requests to one device. Use it from one event loop."""

    def __init__(self, url: str, keys: Keys | None, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        """Do nothing yet; `open` connects.

        Args:
            url: address of the control socket.
            keys: key files, if the device requires them.
            context: shared by all sockets of the caller.
        """
        self._url, self._keys = url, keys
        self._context: zmq.asyncio.Context = zmq.asyncio.Context(shadow=context.underlying)
        self._socket: zmq.asyncio.Socket | None = None
        self._ids = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[DeviceAnswer]] = {}
        self._window = asyncio.Semaphore(WINDOW)
        self._reader: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Connect; the first request shows whether the device is there.

        Raises:
            AddressUnavailable: the address is not one of ZeroMQ.
        """
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.set(zmq.IMMEDIATE, 1)  # else what nobody waits for any more is done when the device is back
        connect(self._socket, self._url, self._keys)  # type: ignore[arg-type]
        self._reader = asyncio.create_task(self._read(self._socket))

    async def close(self) -> None:
        """Disconnect; requests in flight fail."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
        if self._socket is not None:
            self._socket.close(linger=0)
            self._socket = None
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(AddressUnavailable("the connection is closed", where=self._url))
        self._waiting.clear()

    async def ask(self, request: Request, parts: Sequence[bytes] = (), *, timeout_s: float = TIMEOUT_S) -> DeviceAnswer:
        """Send a request, and return the answer; a device that is busy is asked again until the time is over.

        Raises:
            AddressUnavailable: no answer in time.
        """
        end_s = asyncio.get_running_loop().time() + timeout_s
        async with self._window:
            while True:
                left_s = end_s - asyncio.get_running_loop().time()
                answered = await self._once(request, parts, left_s, timeout_s)
                if not answered.answer.is_busy or end_s - asyncio.get_running_loop().time() < BUSY_S:
                    return answered
                await asyncio.sleep(BUSY_S)

    async def _once(self, request: Request, parts: Sequence[bytes], left_s: float, told_s: float) -> DeviceAnswer:
        if self._socket is None:
            raise AddressUnavailable("not connected", where=self._url)
        number = str(next(self._ids))
        future: asyncio.Future[DeviceAnswer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        body = encode_request(msgspec.structs.replace(request, id=number))
        try:
            await within(max(0.01, left_s), self._send(self._socket, [body, *parts], future))
        except (asyncio.TimeoutError, zmq.ZMQError) as error:
            raise AddressUnavailable(f"no answer within {told_s:g} s", where=self._url) from error
        finally:
            self._waiting.pop(number, None)
        return future.result()

    async def _send(self, socket: zmq.asyncio.Socket, frames: list[bytes], done: asyncio.Future[DeviceAnswer]) -> None:
        await socket.send_multipart(frames)
        await done

    async def _read(self, socket: zmq.asyncio.Socket) -> None:
        """Hand each answer to the call that waits for it; those that nothing waits for are late."""
        while True:
            try:
                body, *parts = await socket.recv_multipart()
            except zmq.ZMQError:
                return
            with contextlib.suppress(MessageError):
                answer = decode_answer(body)
                waiting = self._waiting.get(answer.id)
                if waiting is not None and not waiting.done():
                    waiting.set_result(DeviceAnswer(answer, tuple(parts)))
