"""Settings of a device: the keys of a settings file of `patchedge run`."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from edge_config.settings import profiles, sections
from edge_config.settings.fleet import FleetOfDevice
from edge_config.settings.learning import Learning
from edge_config.settings.providers import WantedProviders
from edge_config.settings.sections import Name, Section


class Settings(Section, frozen=True):
    """All settings of `patchedge run`.

    Attributes:
        bundle: path of the bundle directory, relative to the working directory.
        cameras: sections of the cameras, by name, 1 to 64 of them.
        device: name of this device in every topic.
        threads: bound on the threads of ONNX Runtime, OpenCV, BLAS, hnswlib and the search together; 0 means all cores.
        profile: default settings for a kind of device: `auto` takes the profile of the device that it runs on, `none`
            takes none.
        providers: execution providers of ONNX Runtime, in the order in which they are tried; `auto`: the one that
            `patchedge warm` measured to be the fastest here, and the CPU before it has.
        max_batch: maximum number of cameras whose frames one run of the network takes, if they wait at the same moment;
            a power of two of them is run. By default what `patchedge warm` chose with `providers: auto`, else 1.
        affinity: numbers of the cores that scoring is pinned to; empty: all.
        budget_ms: time budget of a frame, milliseconds; `doctor` and `warm` warn if it is exceeded; by default none.
        capture: how cameras at a CSI port are opened.
        events: the PUB socket.
        control: the socket that answers requests.
        metrics: metrics and health over HTTP.
        degrade: when to degrade.
        journal: the file to which alerts and states are written before they are published.
        clips: video clips of alerts.
        learning: pictures kept to learn from, and what is learnt on the device.
        security: encryption and access control.
        trust: which signatures of bundles are trusted.
        fleet: a fleet that assigns bundles and settings to this device; by default none.
    """

    bundle: Annotated[str, Meta(min_length=1)]
    cameras: Annotated[dict[Name, sections.Camera], Meta(min_length=1, max_length=64)]
    device: Name = "edge"
    threads: Annotated[int, Meta(ge=0, le=1024)] = 0
    profile: Annotated[str, Meta(min_length=1, max_length=64)] = profiles.AUTO
    providers: WantedProviders = (sections.CPU,)
    max_batch: Annotated[int, Meta(ge=1, le=sections.MAX_BATCH)] | None = None
    affinity: Annotated[tuple[Annotated[int, Meta(ge=0, le=4095)], ...], Meta(max_length=1024)] = ()
    budget_ms: Annotated[float, Meta(gt=0, le=60_000)] | None = None
    capture: sections.Capture = msgspec.field(default_factory=sections.Capture)
    events: sections.Events = msgspec.field(default_factory=sections.Events)
    control: sections.ControlSettings = msgspec.field(default_factory=sections.ControlSettings)
    metrics: sections.MetricsSettings = msgspec.field(default_factory=sections.MetricsSettings)
    degrade: sections.DegradeSettings = msgspec.field(default_factory=sections.DegradeSettings)
    journal: sections.JournalSettings = msgspec.field(default_factory=sections.JournalSettings)
    clips: sections.Clips = msgspec.field(default_factory=sections.Clips)
    learning: Learning = msgspec.field(default_factory=Learning)
    security: sections.Security = msgspec.field(default_factory=sections.Security)
    trust: sections.Trust = msgspec.field(default_factory=sections.Trust)
    fleet: FleetOfDevice | None = None
