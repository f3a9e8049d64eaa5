"""A connection to the servers of a fleet that is reopened for ever, and what the servers refuse, as errors of ours."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

import nats.errors
import nats.js.errors as js_errors
from nats.aio.client import Client

from edge_config.errors import PatchedgeError
from edge_config.fleet_errors import FleetAccessDenied, FleetError, FleetUnavailable
from runtime.brokers.connection import BrokerConnection, ConnectionEnded, explain
from runtime.brokers.nats_session import NatsSession, nats_session
from runtime.client.within import ended, within
from runtime.fleet.store.newest import READER
from runtime.process.backoff import Backoff

T = TypeVar("T")
Work = Callable[[NatsSession], Coroutine[Any, Any, T]]

_DENIED = re.compile(r'permissions violation for \w+ to "?([^"\s]+)', re.IGNORECASE)
_READER = re.compile(rf"{READER}[0-9a-f]{{32}}")
_NO_LOGIN = "authorization violation"
_FULL = frozenset({10002, 10023, 10047, 10077})
"""Codes of JetStream for a stream or an account that is full, or too large for the disk."""

_NO_STREAM = 10059
_NO_PEERS = 10005  # a cluster that has just started does not know all its servers yet
_LONGEST_WAIT_S = 5.0
_REFUSED_WAIT_S = 30.0

_used: ContextVar[set[str] | None] = ContextVar("_used", default=None)


class _NotingClient(Client):
    """Notes the subjects that each piece of work has published to: a refusal by the server names only the subject."""

    async def publish(self, subject: str, *args: Any, **kwargs: Any) -> None:
        if (used := _used.get()) is not None:
            used.add(subject.lower())
        await super().publish(subject, *args, **kwargs)


@dataclass(eq=False)
class _Call:
    """A piece of work that is under way."""

    denied: asyncio.Future[str]
    subjects: set[str] = field(default_factory=set)

    def noted(self) -> set[str]:
        """Return the subjects that it has published to, without the names that readers make up."""
        return {_READER.sub("*", one) for one in self.subjects}


class FleetConnection:
    """Connects to one of the servers, reconnects indefinitely, and does work with the connection that there is.

    Attributes:
        where: the servers, for errors.
        patience_s: time after which work that needs absent servers is given up; None: never.
    """

    def __init__(self, servers: Sequence[str], options: dict[str, Any], patience_s: float | None) -> None:
        """Set it up; nothing connects before `start`.

        Args:
            servers: their URLs.
            options: of `Client.connect`.
            patience_s: time after which work that needs absent servers is given up; None: never.
        """
        self.where = f"nats {', '.join(servers)}"
        self.patience_s = patience_s
        self._servers, self._options = servers, options
        self._calls: set[_Call] = set()
        self._connection = BrokerConnection(self.where, self._connect)

    def start(self) -> None:
        """Begin to connect."""
        self._connection.start()

    async def close(self) -> None:
        """Disconnect."""
        await self._connection.close(1.0)

    async def call(self, work: Work[T]) -> T:
        """Do work until it succeeds, again where the connection was lost: so doing it twice must do no harm.

        Raises:
            FleetAccessDenied: the servers do not allow it.
            FleetUnavailable: it is not there, or full; or the servers stayed away longer than the patience.
            PatchedgeError: raised by the work itself.
        """
        try:
            return await within(self.patience_s, self._call(work))
        except asyncio.TimeoutError:
            raise self._given_up() from None

    async def forever(self, work: Work[None], refused: Callable[[PatchedgeError], None]) -> None:
        """Do work that does not end by itself, again and again; `refused` is told once why it cannot be done."""
        told, now_s = "", asyncio.get_running_loop().time
        lost, denied = Backoff(0.1, _LONGEST_WAIT_S), Backoff(1.0, _REFUSED_WAIT_S)
        while True:
            began_s, backoff = now_s(), lost
            try:
                await self._once(work)
            except (FleetError, FleetUnavailable) as error:
                backoff = denied
                if str(error) != told:
                    refused(error)
                told = str(error)
            await asyncio.sleep(backoff.after(now_s() - began_s))

    async def _call(self, work: Work[T]) -> T:
        backoff = Backoff(0.1, _LONGEST_WAIT_S)
        while True:
            done, result = await self._once(work)
            if done:
                return result  # type: ignore[return-value]  # with `done` it is one
            await asyncio.sleep(backoff.after(0))

    async def _once(self, work: Work[T]) -> tuple[bool, T | None]:
        """Return whether it succeeded, and the result; it did not where a later try may succeed."""
        try:
            return True, await self._connection.once(lambda session: self._unless_denied(work, session))
        except PatchedgeError:
            raise
        except ConnectionEnded:
            return False, None
        except Exception as error:
            if (final := self._final(error)) is not None:
                raise final from error
            self._connection.trouble(_in_words(error))
            return False, None

    async def _unless_denied(self, work: Work[T], session: NatsSession) -> T:
        call = _Call(asyncio.get_running_loop().create_future())

        async def noted() -> T:
            _used.set(call.subjects)
            return await work(session)

        task = asyncio.create_task(noted())
        self._calls.add(call)
        try:
            waited: list[asyncio.Future[Any]] = [task, call.denied]
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise self._denied(call.denied.result())
            if task.cancelled():  # by nats-py, which closes
                raise ConnectionEnded
            return task.result()
        finally:
            self._calls.discard(call)
            await ended(task)

    @contextlib.asynccontextmanager
    async def _connect(self) -> AsyncIterator[NatsSession]:
        async with nats_session(self._servers, self._options, self._refused, _NotingClient()) as session:
            yield session

    def _refused(self, said: str) -> None:
        """Fail the work that published to the subject, or all where it is the subject of nobody: an inbox, say."""
        said = _READER.sub("*", said)
        self._connection.trouble(said)
        if (found := _DENIED.search(said)) is not None:
            subject = found[1].lower()
            for call in [one for one in self._calls if subject in one.noted()] or list(self._calls):
                if not call.denied.done():
                    call.denied.set_result(found[1])

    def _final(self, error: Exception) -> PatchedgeError | None:
        """Return what an error means that no later try will undo."""
        if not isinstance(error, js_errors.APIError):
            return None
        if error.err_code == _NO_PEERS:
            return None
        if error.err_code == _NO_STREAM:
            return FleetUnavailable("nobody has made the store here", where=self.where, remedy="`patchedge fleet init`")
        if error.err_code in _FULL:
            remedy = "make room, or raise the limits of the streams or of the account"
            return FleetUnavailable(f"the store is full ({error.description})", where=self.where, remedy=remedy)
        if isinstance(error, js_errors.BadRequestError):
            return FleetUnavailable(f"the servers refuse it ({error.description})", where=self.where)
        return None

    def _given_up(self) -> PatchedgeError:
        said = self._connection.problem
        if _NO_LOGIN in said.lower():
            return self._denied("log in")
        return FleetUnavailable(
            f"no answer in {self.patience_s:g} s{f' ({said})' if said else ''}", where=self.where, remedy="try again"
        )

    def _denied(self, what: str) -> FleetAccessDenied:
        remedy = "correct the permissions at the servers: `patchedge fleet keys` prints them"
        return FleetAccessDenied(f"these credentials may not use {what}", where=self.where, remedy=remedy)


def _in_words(error: Exception) -> str:
    if isinstance(error, js_errors.NoStreamResponseError | nats.errors.NoRespondersError):
        return "no stream answers: it has no leader now, or `patchedge fleet init` was never run"
    if isinstance(error, js_errors.APIError) and error.err_code == _NO_PEERS:
        return "fewer servers of the cluster are up than `--replicas` says"
    if isinstance(error, js_errors.ServiceUnavailableError) and error.err_code is None:
        return "no JetStream answers: nats-server was started without it (`-js`), or is just starting"
    return explain(error)
