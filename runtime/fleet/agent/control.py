"""The runtime beside the agent, asked over its control socket as any client asks it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from edge_config.errors import AddressUnavailable, MessageError, RequestError
from edge_config.wire.candidates import (
    ActivateBundle,
    CandidateNow,
    GoBack,
    ReadStaged,
    RootChanged,
    ShadowBundle,
    StageBundle,
    UnstageBundle,
)
from edge_config.wire.configure import ChangesKept, Configure, InForce, ListChanges, Undo
from edge_config.wire.request_base import Request
from edge_config.wire.requests import Status
from edge_config.wire.upkeep import MetricsText, ReadMetrics
from edge_config.wire.versions import KeptVersion, Rollback, RolledBack, Versions, VersionsKept
from runtime.client.requester import DeviceRequester
from runtime.fleet.agent.core import actions
from runtime.fleet.agent.core.actions import Action, ActionDone, NotDone, Outcome, Unknown
from runtime.fleet.agent.core.seen import CameraSeen
from runtime.fleet.agent.figures import FiguresRead
from runtime.fleet.agent.runtime import RuntimeAway

LOOK_S = 5.0
"""Time-out of a question."""

DO_S = 60.0
"""Time-out of what changes something: an activation loads a bundle."""

USER = "fleet"
"""What stands beside the agent's key in the audit log of the device."""


class ControlRuntime:
    """The runtime of a device. Use it from one event loop; `Runtime` says what its methods do."""

    def __init__(self, requester: DeviceRequester) -> None:
        """Ask by an open requester, whose owner closes it."""
        self._requester = requester
        self._figures = FiguresRead()
        self._looking = asyncio.Lock()

    async def look(self) -> Mapping[str, CameraSeen]:
        """Return all cameras, by name.

        Raises:
            RuntimeAway: it does not answer, or does not answer what is asked.
        """
        async with self._looking:  # figures are taken in the order in which they were asked for
            return await self._look_at_all()

    async def _look_at_all(self) -> Mapping[str, CameraSeen]:
        try:
            status = (await self._requester.ask(Status(), timeout_s=LOOK_S)).read(dict[str, Any])
            metrics = await self._requester.ask(ReadMetrics(), timeout_s=LOOK_S)
            metrics.read(MetricsText)
            cameras: dict[str, dict[str, Any]] = status["cameras"]
            frames = {name: int(camera["frames"]) for name, camera in cameras.items()}
            self._figures.take(metrics.parts[0].decode(), frames)
            seen = await asyncio.gather(*(self._look(name, camera) for name, camera in cameras.items()))
        except (AddressUnavailable, MessageError, RequestError, KeyError, ValueError) as error:
            raise RuntimeAway(f"the runtime does not answer: {error}") from error
        return dict(zip(cameras, seen, strict=True))

    async def do(self, camera: str, action: Action) -> Outcome:
        """Have the runtime do something."""
        request, kind, done = _request(camera, action)
        try:
            return done((await self._requester.ask(request, timeout_s=DO_S)).read(kind))
        except RequestError as error:
            return NotDone(str(error), again="retry" in str(error) or "busy" in str(error))
        except (AddressUnavailable, MessageError) as error:
            return Unknown(str(error))

    async def _look(self, name: str, status: Mapping[str, Any]) -> CameraSeen:
        asked = (
            self._requester.ask(request, timeout_s=LOOK_S)
            for request in (Versions(camera=name), ReadStaged(camera=name), ListChanges(camera=name))
        )
        versions, staged, changes = await asyncio.gather(*asked)
        kept = versions.read(VersionsKept)
        candidate, settings = staged.read(CandidateNow), changes.read(ChangesKept)
        line = _line(kept.versions, str(status["bundle"]))
        return CameraSeen(
            state=str(status["state"]),
            reason=str(status["reason"]),
            root=candidate.root or (kept.versions[0].id if kept.versions else ""),
            active=str(status["bundle"]),
            candidate=candidate,
            threshold=float(status["threshold"] or 0.0),
            score=status["score"],
            drift=str(status["drift"] or ""),
            notice=kept.notice,
            round=line[0].round if line else 0,
            learnt=sum(one.pictures for one in line),
            in_force=settings.in_force,
            changes=settings.changes,
            totals=self._figures.totals(name),
            frame_ms_p95=self._figures.p95_ms(name),
        )


def _line(versions: Sequence[KeptVersion], active: str) -> list[KeptVersion]:
    """Return the learnt versions from the one in service back to the root."""
    by_id, line = {one.id: one for one in versions}, []
    while (found := by_id.pop(active, None)) is not None and found.parent:
        line.append(found)
        active = found.parent
    return line


Reader = tuple[Request, type[Any], Callable[[Any], ActionDone]]


def _request(camera: str, action: Action) -> Reader:  # noqa: PLR0911 - a case for each action
    """Return the request, the type of its reply, and what the reply says."""
    match action:
        case actions.Stage():
            return StageBundle(camera=camera, path=action.path, user=USER), CandidateNow, _nothing
        case actions.Shadow():
            return ShadowBundle(camera=camera, seconds=action.seconds, user=USER), CandidateNow, _nothing
        case actions.Unstage():
            return UnstageBundle(camera=camera, user=USER), CandidateNow, _nothing
        case actions.Activate():
            return ActivateBundle(camera=camera, bundle=action.id, user=USER), RootChanged, _lessons
        case actions.BringBack():
            return GoBack(camera=camera, user=USER), RootChanged, _nothing
        case actions.RollTo():
            return Rollback(camera=camera, to=action.to, user=USER), RolledBack, _nothing
        case actions.SetSettings():
            fields = {"request": "configure", "camera": camera, "keep": True, "user": action.user, **action.settings}
            return msgspec.convert(fields, Configure), InForce, lambda reply: ActionDone(change=reply.change)
        case actions.UndoSettings():
            return Undo(camera=camera, user=USER), InForce, _nothing
        case actions.Fetch():
            raise TypeError("the runtime fetches nothing")


def _nothing(_: object) -> ActionDone:
    return ActionDone()


def _lessons(reply: RootChanged) -> ActionDone:
    return ActionDone(rounds=reply.dropped_lessons.rounds, pictures=reply.dropped_lessons.pictures)
