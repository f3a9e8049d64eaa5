"""The last lines of the log, in memory, numbered: for people that look after the device from afar."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import MutableMapping
from typing import Any, NamedTuple

import structlog

MAX_LINES = 1000
"""Maximum number of lines that are kept."""

MAX_CHARACTERS = 2000
"""Maximum length of a kept line; a longer one is cut off."""

_as_json = structlog.processors.JSONRenderer()


class KeptLine(NamedTuple):
    """A line of the log: its number, wall clock in milliseconds since 1970 UTC, level, and text (one JSON object)."""

    number: int
    at_ms: int
    level: str
    text: str


class LogRing:
    """Keeps the last lines of the log; as a processor of structlog it passes every line on. Any thread may use it."""

    def __init__(self, max_lines: int = MAX_LINES) -> None:
        """Keep at most `max_lines` lines."""
        self._lock = threading.Lock()
        self._lines: deque[KeptLine] = deque(maxlen=max_lines)
        self._last = 0

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Keep a line, as it is rendered for machines, and return it unchanged."""
        try:
            text = str(_as_json(logger, method, dict(event)))
        except Exception as error:  # noqa: BLE001 - a line that cannot be kept must not be lost for the log itself
            text = f'{{"event": "a line that cannot be shown ({type(error).__name__})"}}'
        with self._lock:
            self._last += 1
            at_ms = time.time_ns() // 1_000_000
            self._lines.append(KeptLine(self._last, at_ms, str(event.get("level", method)), text[:MAX_CHARACTERS]))
        return event

    def after(self, number: int, limit: int) -> tuple[list[KeptLine], bool, int]:
        """Return the lines after a number (0: all), the oldest first and at most `limit`.

        Returns:
            The lines; whether there are more; and the number of lines in between that are not kept any more.
        """
        with self._lock:
            lines = list(self._lines)
        found = [line for line in lines if line.number > number]
        missed = max(0, lines[0].number - number - 1) if lines else 0
        return found[:limit], len(found) > limit, missed
