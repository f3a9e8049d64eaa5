"""All that talks with others over ZeroMQ, put together: events, control, journal, and who may connect."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
import zmq

from edge_config import sections
from edge_config.control import OfJournal
from edge_config.errors import AddressUnavailable
from edge_config.settings import Settings
from runtime.access import Access
from runtime.control import Asked, Control
from runtime.outbox import Outbox
from runtime.publish import Publisher
from runtime.recorder import Recorder

RESTARTED = "the runtime ended before the alert did"
"""Why an alert ends that an earlier start of the runtime left open."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
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

    def admit(self) -> bool:
        """Take note of keys that came or went; tell whether everybody was cut off, since one of them is gone."""
        if not self.access.refresh():
            return False
        self.publisher.rebind()  # who is still allowed connects again by itself
        self.control.rebind()
        return True


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
        (recorder.ask if isinstance(asked.request, OfJournal) else tell)(asked)

    recorder = Recorder(
        settings.journal,
        settings.device,
        tell=tell,
        reply=lambda *answer: control.reply(*answer),  # noqa: PLW0108 - it is made below
        refuse=lambda *answer: control.refuse(*answer),  # noqa: PLW0108 - as above
    )
    outbox = Outbox(publisher, recorder, settings.events.heartbeat_s)
    stack.callback(outbox.close)
    control = bind(
        settings.control,
        sections.Control(),
        "tcp://127.0.0.1:*",
        lambda at: Control(at, route, context=context, guard=access.guard),
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
        structlog.get_logger().warning("default address is taken", problem=str(error), instead="a free one")
        return make(free)
