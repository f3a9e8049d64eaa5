"""Put the room together."""

from __future__ import annotations

from collections.abc import Mapping

from edge_config.settings.device import Settings
from runtime.app.candidates.candidate_requests import CandidateRequests
from runtime.app.candidates.staging_folders import StagingFolders
from runtime.app.channel import Channel
from runtime.inference.engine import Engine
from runtime.messaging.control_socket import Control
from runtime.monitoring.machine import Machine
from runtime.versions.keeper import VersionKeeper


def make_candidates(
    settings: Settings, channels: Mapping[str, Channel], control: Control, engine: Engine, versions: VersionKeeper
) -> CandidateRequests:
    """Return what answers requests about candidates."""
    machine = Machine()
    parts = (engine.candidates, versions.roots, StagingFolders(settings))
    return CandidateRequests(channels, control, *parts, lambda: machine.read().available_bytes)
