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
from edge_config.wire.inspect import InspectPicture
from edge_config.wire.requests import Configure, OfJournal
from runtime.events import Asked
from runtime.journal.audit_log import Order
from runtime.journal.journal_thread import Recorder
from runtime.messaging.control_socket import Control
from runtime.messaging.outbox import Outbox
from runtime.messaging.publisher import Publisher
from runtime.security.access import Access

RESTARTED = "the runtime ended before the alert did"
"""Reason of the end of an alert that an earlier run of the runtime left open."""

T = TypeVar("T")

_log = structlog.get_logger()


@dataclass(slots=True)
class Wire:
    """The open sockets and the journal.

    Attributes:
        publisher: the PUB socket.
        control: the control socket; it passes requests about the journal to the recorder.
        recorder: writes alerts and states to the journal.
        outbox: all outgoing messages pass through it.
        access: access control.
    """

    publisher: Publisher
    control: Control
    recorder: Recorder
    outbox: Outbox
    access: Access
    _to_cut: bool = False

    def admit(self) -> bool:
        """Reload the clients' keys; return whether all clients were disconnected, because a key was removed."""
        self._to_cut |= self.access.refresh()
        if not self._to_cut:
            return False
        self.control.rebind()
        try:
            self.publisher.rebind()  # authorised clients reconnect by themselves
        except AddressUnavailable as error:
            _log.warning("the events socket is closed", problem=str(error), next="retry")
            return False
        self._to_cut = False
        return True

    def refused(self) -> dict[str, Mapping[str, int]]:
        """Return the number of refusals so far, by socket and reason."""
        denied = {"key": self.access.denied}
        return {"events": self.publisher.refused, "control": self.control.refused, "access": denied}


def open_wire(settings: Settings, tell: Callable[[Any], object], stack: ExitStack) -> Wire:
    """Bind the sockets and open the journal.

    Args:
        settings: settings of the device.
        tell: receives requests and events of the journal, from other threads.
        stack: closes everything, in order.

    Raises:
        AddressUnavailable: a configured address cannot be bound.
        JournalUnavailable: another runtime uses the configured journal.
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
        question = isinstance(asked.request, Configure) and asked.request.is_question
        question |= isinstance(asked.request, InspectPicture) and asked.request.offset > 0  # one note for a picture
        if asked.request.role == "operate" and not question:
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
        sections.ControlSettings(),
        "tcp://127.0.0.1:*",
        lambda at: Control(
            at, route, context=context, guard=access.guard, role_of=access.role_of if access.encrypted else None
        ),
    )
    stack.callback(control.close)
    outbox.finish(recorder.unfinished, RESTARTED)
    return Wire(publisher, control, recorder, outbox, access)


def bind(chosen: Any, default: Any, free: str, make: Callable[[str], T]) -> T:
    """Bind an address; if the default one is in use, a free one instead, as two runtimes may share a machine."""
    try:
        return make(chosen.bind)
    except AddressUnavailable as error:
        if chosen.bind != default.bind:
            raise
        _log.warning("default address in use, a free one is taken", problem=str(error))
        return make(free)
