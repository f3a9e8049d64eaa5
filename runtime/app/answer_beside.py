"""Answer requests that take a disk or a while, in a thread beside the main loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import structlog

from edge_config.errors import PatchedgeError
from edge_config.wire.requests import name_of
from runtime.events import Asked
from runtime.messaging.control_socket import Control
from runtime.process.job_thread import JobThread

MAX_WAITING = 32
"""Maximum number of requests that wait; further ones are refused."""

CLOSE_S = 2.0
"""Time-out at the end, seconds: a file that is being written is written whole."""

Act = Callable[[], tuple[Any, Sequence[bytes]]]
"""Returns a reply and its further frames; a PatchedgeError is the refusal."""

_log = structlog.get_logger()


class AnswerBeside:
    """Answers requests one after the other in a thread of its own."""

    def __init__(self, control: Control, name: str) -> None:
        """Take where the answers go, and the name of the thread."""
        self._control = control
        self._thread = JobThread(name, MAX_WAITING)

    def do(self, asked: Asked, act: Act) -> None:
        """Have a request answered with what `act` returns. Never waits."""
        if not self._thread.put(partial(self._answer, asked, act)):
            self._control.refuse(asked, "too many requests wait for the disk; retry later")

    def close(self) -> None:
        """Answer what waits, for a short while."""
        self._thread.close(CLOSE_S)

    def _answer(self, asked: Asked, act: Act) -> None:
        try:
            reply, parts = act()
        except PatchedgeError as error:
            self._control.refuse(asked, str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            _log.error("request failed", request=name_of(asked.request), problem=repr(error))
            self._control.refuse(asked, f"internal error of `{name_of(asked.request)}`")
        else:
            self._control.reply(asked, reply, parts)
