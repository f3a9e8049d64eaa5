"""Logs on stderr: JSON lines for machines, plain text on a terminal."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from edge_config.redact import scrub
from runtime.process.log_ring import LogRing


class _Stderr:
    """Standard error that ignores write errors: a full disk behind a log must not end the service."""

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()


def _hide_secrets(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {name: _hidden(value) for name, value in event.items()}


def _hidden(value: Any) -> Any:
    """Return a value of a log line with the secrets of URLs hidden, at any depth."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, dict):
        return {_hidden(name): _hidden(one) for name, one in value.items()}
    return [_hidden(one) for one in value] if isinstance(value, list | tuple) else value


def set_up_logging(ring: LogRing | None = None, level: int = logging.INFO) -> None:
    """Set up structlog for this process.

    Args:
        ring: keeps the last lines, secrets hidden.
        level: lines below it are dropped.
    """
    terminal = sys.stderr is not None and sys.stderr.isatty()
    structlog.configure(
        processors=[
            _hide_secrets,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if ring is None else [ring]),
            structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(_Stderr()),  # type: ignore[arg-type]
    )
