"""The agent of a fleet beside the device: a process of its own."""

from __future__ import annotations

import os

import msgspec

from edge_config.settings.device import Settings
from runtime.app.beside.kept_process import KeptProcess
from runtime.app.beside.page import here
from runtime.process.child import module

PROGRAM = "runtime.fleet.agent.beside"


class AgentChild(KeptProcess):
    """Keeps the agent running until `close`."""

    def __init__(self, settings: Settings, control: str) -> None:
        """Start it, in a thread of its own.

        Args:
            settings: of the device.
            control: endpoint of its control socket.
        """
        command = (*module(PROGRAM), here(control), str(os.getpid()))
        super().__init__("the fleet's agent", command, msgspec.json.encode(settings))
