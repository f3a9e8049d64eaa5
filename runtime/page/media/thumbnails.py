"""Small JPEGs of stored pictures, made by a child that lives while there is something to do."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Sequence

from runtime.client.within import within
from runtime.page.media.thumbnailer import ANSWERED, ASKED
from runtime.page.refused import Refused
from runtime.process.child import module

MAKE_S = 20.0
"""Time-out for a picture; most of it is for a device that is busy with its main work."""

IDLE_S = 15.0
"""The child ends after this time without a picture: it takes 80 MiB."""

MAX_WAITING = 64
"""Maximum number of pictures that wait for their turn: browsers ask for many at once."""

THUMBNAILER = module("runtime.page.media.thumbnailer")
"""The command of the child; our process id is appended."""

_MAX_JPEG_BYTES = 16 << 20


class Thumbnails:
    """Makes one small picture at a time. Use it from one event loop."""

    def __init__(self, command: Sequence[str] = THUMBNAILER, idle_s: float = IDLE_S, make_s: float = MAKE_S) -> None:
        """Start nothing yet.

        Args:
            command: starts the child.
            idle_s: the child ends after this time without a picture.
            make_s: time-out of a picture.
        """
        self._command, self._idle_s, self._make_s = command, idle_s, make_s
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._child: asyncio.subprocess.Process | None = None
        self._ending: asyncio.TimerHandle | None = None

    @property
    def is_running(self) -> bool:
        """Whether there is a child."""
        return self._child is not None and self._child.returncode is None

    async def make(self, get: Callable[[], Awaitable[bytes]], width: int) -> tuple[bytes, bytes | None]:
        """Return a picture, and a JPEG of it, at most `width` pixels wide; None: it cannot be made.

        Args:
            get: gets the picture when it is its turn, so that no more than one is in memory; what it raises is passed
                on.
            width: maximum width.

        Raises:
            Refused: too many wait.
        """
        if self._waiting >= MAX_WAITING:
            raise Refused(503, "too many pictures are asked for at once: try again", headers={"retry-after": "2"})
        self._waiting += 1
        try:
            async with self._turn:
                picture = await get()
                return picture, await self._make(picture, width)
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """End the child."""
        async with self._turn:
            await self._end()

    async def _make(self, picture: bytes, width: int) -> bytes | None:
        if self._ending is not None:
            self._ending.cancel()
        jpeg: bytes | None = None
        try:
            jpeg = await within(self._make_s, self._ask(picture, width))
        except (asyncio.TimeoutError, asyncio.IncompleteReadError, OSError):
            pass
        finally:
            if jpeg is None:  # also where the browser has gone: its answer must not be taken for that of the next
                await self._end()
        self._ending = asyncio.get_running_loop().call_later(self._idle_s, self._stop)
        return jpeg or None

    async def _ask(self, picture: bytes, width: int) -> bytes:
        if not self.is_running:
            pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
            command = (*self._command, str(os.getpid()))
            self._child = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=nowhere)
        child = self._child
        assert child is not None  # noqa: S101 - for the type checker
        assert child.stdin is not None  # noqa: S101
        assert child.stdout is not None  # noqa: S101
        child.stdin.write(ASKED.pack(width, len(picture)) + picture)
        await child.stdin.drain()
        (length,) = ANSWERED.unpack(await child.stdout.readexactly(ANSWERED.size))
        if length > _MAX_JPEG_BYTES:
            raise OSError("not what was asked for")
        return await child.stdout.readexactly(length)

    def _stop(self) -> None:
        """End the child while it is idle; it is reaped with the next picture, or by the loop."""
        if self._child is not None and not self._turn.locked():
            with contextlib.suppress(ProcessLookupError):
                self._child.kill()

    async def _end(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
        child, self._child = self._child, None
        if child is not None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.communicate()
