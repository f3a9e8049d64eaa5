"""Answers of the journal to requests, within the rights of the key that each came with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import structlog

from edge_config.errors import JournalUnavailable
from edge_config.wire.replies import Acknowledged, Forgotten
from edge_config.wire.requests import Ack, After, Forget, Pending, Replay
from edge_config.wire.upkeep import OrderGiven, OrdersGiven, ReadOrders
from runtime.events import Asked
from runtime.journal.audit_log import Order
from runtime.journal.disk_or_memory import Store

_log = structlog.get_logger()


class Reply(Protocol):
    """Answers a request, from any thread."""

    def __call__(self, asked: Asked, payload: Any, parts: Sequence[bytes] = ()) -> object:
        """Send the payload, and the parts as further frames."""


class Refuse(Protocol):
    """Refuses a request, from any thread."""

    def __call__(self, asked: Asked, error: str, *, denied: bool = False) -> object:
        """Send the reason, one line; `denied`: the client's key lacks the right."""


class Answers:
    """Answers requests from the store. Use it from the journal's thread."""

    def __init__(self, store: Store, reply: Reply, refuse: Refuse) -> None:
        """Take the store, and what sends replies and refusals."""
        self._store = store
        self._reply = reply
        self._refuse = refuse

    def _allowed(self, asked: list[Asked]) -> list[Asked]:
        """Refuse requests that use the name of another key; return the others."""
        allowed = []
        for one in asked:
            mine = one.request.subscriber if isinstance(one.request, Ack | Pending) else None
            if mine is not None and (denial := self._store.claim(mine, one.key)):
                self._refuse(one, denial, denied=True)
            else:
                allowed.append(one)
        return allowed

    def answer(self, asked: list[Asked]) -> None:
        """Answer requests; acknowledgements in one transaction, as each waits for the disk."""
        asked = self._allowed(asked)
        news = [[one] for one in asked if isinstance(one.request, After)]  # an alert is on its way: before the disk
        acks = [one for one in asked if isinstance(one.request, Ack)]
        others = [[one] for one in asked if not isinstance(one.request, Ack | After)]
        for some in [*news, acks, *others] if acks else [*news, *others]:
            try:
                answers = self._answers([one.request for one in some], [one.key for one in some])
            except JournalUnavailable as error:
                for one in some:
                    self._refuse(one, str(error))
                continue
            except Exception as error:  # noqa: BLE001 - whatever it is, the next one is answered
                _log.error("request to the journal failed", problem=repr(error))
                for one in some:
                    self._refuse(one, "internal error of the journal")
                continue
            for one, (payload, parts) in zip(some, answers, strict=True):
                self._reply(one, payload, parts)

    def _answers(self, requests: list[Any], keys: list[str]) -> list[tuple[Any, list[bytes]]]:
        """Answer one request, or several acknowledgements, of these public keys."""
        match requests:
            case [Replay() as request]:
                return [self._store.replay(request)]
            case [After() as request]:
                return [self._store.after(request)]
            case [Pending() as request]:
                return [self._store.pending(request, keys[0])]
            case [ReadOrders(limit=limit)]:
                return [(OrdersGiven(orders=tuple(map(_as_given, self._store.orders(limit)))), [])]
            case [Forget() as request]:
                known = self._store.forget(request.subscriber)
                _log.info(
                    "subscriber forgotten", subscriber=request.subscriber, known=known, by=keys[0], user=request.user
                )
                return [(Forgotten(known=known), [])]
            case _:
                return [(Acknowledged(known=known), []) for known in self._store.acknowledge(requests, keys)]


def _as_given(order: Order) -> OrderGiven:
    return OrderGiven(
        at_ms=order.t_ns // 1_000_000, key=order.key, user=order.user, request=order.request, fields=order.fields
    )
