"""Bounds of what a client may ask for at the same time, and of how much it may send and how slowly."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator

from starlette.datastructures import Headers
from starlette.types import Message, Receive

from runtime.client.within import within
from runtime.page.refused import Refused
from runtime.page.users.attempts import network

MAX_REQUESTS = 192
"""Maximum number of requests that are answered at the same time, open live views among them."""

MAX_OF_ADDRESS = 96
"""Maximum number of these from one address."""

MAX_JSON_BYTES = 1_000_000
MAX_PICTURE_BYTES = 16_000_000
"""Maximum size of a body: of JSON, and of an uploaded picture."""

MAX_DRAINED_BYTES = 64_000_000
"""Maximum size of a body that is read to its end to be refused; where more is to come, the connection is closed."""

_MAX_DIGITS = 18

BODY_S = 60.0
"""Time-out for a client to send its whole body."""


class Crowd:
    """Counts the requests that are being answered."""

    def __init__(self) -> None:
        """Begin with none."""
        self._of: Counter[str] = Counter()

    @contextlib.contextmanager
    def one_more(self, address: str) -> Iterator[None]:
        """Count a request during the block.

        Raises:
            Refused: there are too many.
        """
        place = network(address)
        if self._of.total() >= MAX_REQUESTS or self._of[place] >= MAX_OF_ADDRESS:
            raise Refused(503, "the page is answering too many requests; try again", headers={"Retry-After": "2"})
        self._of[place] += 1
        try:
            yield
        finally:
            self._of[place] -= 1
            if not self._of[place]:
                del self._of[place]


def bounded(receive: Receive, headers: Headers, *, picture: bool) -> Receive:
    """Return a `receive` that refuses a body that is too large or too slow.

    Args:
        receive: the one of the server.
        headers: of the request.
        picture: a picture is uploaded.

    Raises:
        Refused: it is said to be too large.
    """
    most = MAX_PICTURE_BYTES if picture else MAX_JSON_BYTES
    text = f"the body is too large; at most {most // 1_000_000} MB are allowed"
    said = headers.get("content-length", "0")
    if not (said.isascii() and said.isdigit()):
        raise Refused(400, "Content-Length is not a number")
    if len(said) > _MAX_DIGITS or int(said) > MAX_DRAINED_BYTES:
        raise Refused(413, text, headers={"Connection": "close"})
    too_large = int(said) > most
    got = 0
    complete = False
    deadline = asyncio.get_running_loop().time() + BODY_S

    async def next_part() -> Message:
        nonlocal got, complete
        try:
            left = deadline - asyncio.get_running_loop().time()
            message = await within(max(0.0, left), receive())
        except asyncio.TimeoutError:
            raise Refused(408, f"the body did not arrive within {BODY_S:.0f} s; try again") from None
        got += len(message.get("body", b""))
        complete = not message.get("more_body", False)
        return message

    async def receiving() -> Message:
        if complete:
            return await receive()  # it waits for the end of the connection
        message = await next_part()
        if too_large or got > most:
            while not complete and got < MAX_DRAINED_BYTES:  # a browser reads the reply once it has sent all
                await next_part()
            raise Refused(413, text)
        return message

    return receiving
