"""What the agent needs of the runtime beside it; `control.py` is the real one, tests have a simulated one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from runtime.fleet.agent.core.actions import Action, Outcome
from runtime.fleet.agent.core.seen import CameraSeen


class RuntimeAway(Exception):
    """The runtime does not answer."""


class Runtime(Protocol):
    """A runtime with its cameras. Each method ends within seconds, whatever the runtime does."""

    async def look(self) -> Mapping[str, CameraSeen]:
        """Return all cameras, by name. Raises `RuntimeAway`."""

    async def do(self, camera: str, action: Action) -> Outcome:
        """Have the runtime do something; `Fetch` is none of its business."""
