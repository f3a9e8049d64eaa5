"""Ask a device for the page: as any client does, but what its key may not do is told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from edge_config.wire.request_base import Request
from runtime.client import requester
from runtime.client.requester import TIMEOUT_S as TIMEOUT_S  # noqa: PLC0414 - the page imports it from here
from runtime.page.refused import KeyDenied

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answered(requester.DeviceAnswer):
    """An answer to the page."""

    def read(self, kind: type[T]) -> T:
        """Return the payload; it raises as `DeviceAnswer.read`, and `KeyDenied` if the page's key may not do this."""
        if self.answer.denied:
            raise KeyDenied(self.answer.error)
        return requester.DeviceAnswer.read(self, kind)


class Requester(requester.DeviceRequester):
    """The requests of the page to one device. Use it from one event loop."""

    async def ask(self, request: Request, parts: Sequence[bytes] = (), *, timeout_s: float = TIMEOUT_S) -> Answered:
        """Send a request, and return the answer; errors are those of `DeviceRequester.ask`."""
        found = await super().ask(request, parts, timeout_s=timeout_s)
        return Answered(found.answer, found.parts)


def read_any(answered: Answered) -> Any:
    """Return the payload as plain values; errors are those of `Answered.read`."""
    return answered.read(object)
