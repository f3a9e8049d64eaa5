"""All ZeroMQ sockets of a device, put together: events, control, journal, and access."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
import zmq

from edge_config.errors import AddressUnavailable
from edge_config.settings import sections
from edge_config.settings.device import Settings
from edge_config.wire.requests import OfJournal
from runtime.events import Asked
from runtime.journal.orders import Order
from runtime.journal.recorder import Recorder
from runtime.messaging.control_socket import Control
from runtime.messaging.outbox import Outbox
from runtime.messaging.publisher import Publisher
from runtime.security.access import Access

RESTARTED = "the runtime ended before the alert did"
"""Why an alert ends that an earlier start of the runtime left open."""

T = TypeVar("T")

_log = structlog.get_logger()


@dataclass(slots=True)
class Wire:
    """What is open.

    Attributes:
        publisher: the socket of events.
        control: the socket of requests; those about the journal it hands to the recorder.
        recorder: writes alerts and states down.
        outbox: what all messages go through.
        access: who may connect.
    """

    publisher: Publisher
    control: Control
    recorder: Recorder
    outbox: Outbox
    access: Access
    _to_cut: bool = False

    def admit(self) -> bool:
        """Take note of keys that came or went; tell whether everybody was cut off, since one of them is gone."""
        self._to_cut |= self.access.refresh()
        if not self._to_cut:
            return False
        self.control.rebind()
        try:
            self.publisher.rebind()  # who is still allowed connects again by itself
        except AddressUnavailable as error:
            _log.warning("events are not served", problem=str(error), next="it is tried again")
            return False
        self._to_cut = False
        return True

    def refused(self) -> dict[str, Mapping[str, int]]:
        """Count what was refused so far, by socket and reason."""
        denied = {"key": self.access.denied}
        return {"events": self.publisher.refused, "control": self.control.refused, "access": denied}


def open_wire(settings: Settings, tell: Callable[[Any], object], stack: ExitStack) -> Wire:
    """Bind the sockets and open the journal.

    Args:
        settings: of the device.
        tell: gets requests, and what the journal says, from other threads.
        stack: closes everything, in order.

    Raises:
        AddressUnavailable: an address that was chosen cannot be bound.
        JournalUnavailable: another runtime has the journal that was chosen.
        KeysInvalid: a key cannot be used.
    """
    context = zmq.Context()
    stack.callback(context.term)
    access = Access(context, settings.security)
    stack.callback(access.close)
    publisher = Publisher(
        settings.events.bind,
        device=settings.device,
        high_water_mark=settings.events.high_water_mark,
        context=context,
        guard=access.guard,
    )
    stack.callback(publisher.close)

    recorder: Recorder
    control: Control

    def route(asked: Asked) -> None:
        if asked.request.role == "operate":
            recorder.note(Order.of(asked))
        (recorder.ask if isinstance(asked.request, OfJournal) else tell)(asked)

    recorder = Recorder(
        settings.journal,
        settings.device,
        tell=tell,
        reply=lambda *answer: control.reply(*answer),  # noqa: PLW0108 - it is made below
        refuse=lambda *answer, denied=False: control.refuse(*answer, denied=denied),
    )
    outbox = Outbox(publisher, recorder, settings.events.heartbeat_s)
    stack.callback(outbox.close)
    control = bind(
        settings.control,
        sections.Control(),
        "tcp://127.0.0.1:*",
        lambda at: Control(
            at, route, context=context, guard=access.guard, role_of=access.role_of if access.encrypted else None
        ),
    )
    stack.callback(control.close)
    outbox.finish(recorder.unfinished, RESTARTED)
    return Wire(publisher, control, recorder, outbox, access)


def bind(chosen: Any, default: Any, free: str, make: Callable[[str], T]) -> T:
    """Bind an address; where nobody chose it and it is taken, a free one: two runtimes on a machine are no mistake."""
    try:
        return make(chosen.bind)
    except AddressUnavailable as error:
        if chosen.bind != default.bind:
            raise
        _log.warning("default address is taken", problem=str(error), instead="a free one")
        return make(free)
