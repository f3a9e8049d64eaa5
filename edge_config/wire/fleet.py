"""Records of a fleet, as JSON in the store at the NATS servers: assignments, reports of devices, roll-outs.

An assignment travels signed (`Signed`): the signature is over a fixed prefix and the exact text of the payload, so that
nobody has to write JSON in one form only. Readers refuse an assignment with an unknown field, as half of an order is
worse than none; in reports and roll-outs they ignore it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from edge_config.wire.messages import NAME_PATTERN

MAX_SIGNED_BYTES = 256 << 10
"""Maximum size of a signed assignment or order, bytes."""

MAX_ROLLOUT_BYTES = 896 << 10
"""Maximum size of a signed roll-out, bytes: nats-server takes messages of 1 MiB."""

FleetName = Annotated[
    str, Meta(pattern=NAME_PATTERN, max_length=64, description="letters, digits, _ and - only, at most 64 of them")
]
"""Name of a device, a group or a camera."""

RootId = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z", description="64 hex digits")]
RootOrNone = Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z", description="64 hex digits, or empty")]
CameraOrAll = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{0,64}\Z", description="the name of a camera, or empty")]
Target = Annotated[str, Meta(pattern=r"^(device|group):[A-Za-z0-9_-]{1,64}\Z", description="device:NAME or group:NAME")]
Counter = Annotated[int, Meta(ge=1, le=2**53)]
Milliseconds = Annotated[int, Meta(ge=0, le=2**53)]
Seconds = Annotated[float, Meta(ge=0, le=30 * 86_400)]
Text = Annotated[str, Meta(max_length=1024)]

Children = Literal["keep", "drop"]
"""Whether a bundle that the device learnt from the assigned root may serve in its place."""

FleetPhase = Literal[
    "idle", "fetching", "checking", "shadow", "watching", "in place", "waiting", "refused", "went back"
]
"""What a device does about its assignment. `idle`: there is none. `fetching`: the pack is being downloaded. `checking`:
it is loaded beside the work, and its golden frames are scored. `shadow`: both bundles score, the old one decides.
`watching`: it serves, and the device goes back if it leaves the bounds. `in place`: it serves, or a child of it.
`waiting`: something is absent that may come back, such as the runtime. `refused`: it was never in service. `went back`:
it left the bounds, and the bundle before it serves again."""

RolloutState = Literal["running", "paused", "done", "stopped", "rolled back"]


class FleetBounds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a device goes back by itself to the bundle before.

    Attributes:
        frame_time_ratio: time of a frame by the new bundle, as a multiple of that by the old one.
        alert_rate_ratio: alerts per hour with the new bundle, as a multiple of those with the old one.
        min_alerts: number of alerts below which the alert rate is not judged.
        max_golden_difference: maximum difference of the score of a golden frame; null: the tolerance of the bundle.
    """

    frame_time_ratio: Annotated[float, Meta(ge=1, le=1000)] = 1.5
    alert_rate_ratio: Annotated[float, Meta(ge=1, le=1e6)] = 2.0
    min_alerts: Annotated[int, Meta(ge=1, le=1_000_000)] = 5
    max_golden_difference: Annotated[float, Meta(ge=0)] | None = None


class Assignment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a device, or each device of a group, should run.

    Attributes:
        counter: number of the assignment in the whole fleet; a device accepts only higher ones than before.
        target: device:NAME or group:NAME.
        camera: name of the camera; empty: each camera of the device.
        root: id of the bundle; empty: the bundle that serves is left as it is.
        pack_sha256: sha256 of the packed bundle; empty without `root`.
        pack_bytes: size of the packed bundle; 0 without `root`.
        settings: changes of settings, as in the request `configure`: `alerts`, `regions`, `ignore`, in place of those
            that were assigned before; without a key all of these are taken back. null: they are left as they are.
        children: `keep`: a bundle that the device learnt from `root` may serve in its place; `drop`: only `root`.
        shadow_s: time for which both bundles score before the new one decides, seconds.
        watch_s: time after activation in which the device goes back if the bounds are left, seconds.
        bounds: when it goes back.
        rollout: id of the roll-out that it belongs to; empty: none.
        at_ms: when it was signed, milliseconds since 1970 UTC.
        by: name of the operator that signed it, as in their settings.
        fleet: the fleet, `prefix` in the settings: what was signed for another one counts for nothing here.
    """

    counter: Counter
    target: Target
    camera: CameraOrAll = ""
    root: RootOrNone = ""
    pack_sha256: RootOrNone = ""
    pack_bytes: Annotated[int, Meta(ge=0, le=2**40)] = 0
    settings: dict[str, Any] | None = None
    children: Children = "keep"
    shadow_s: Seconds = 0.0
    watch_s: Seconds = 600.0
    bounds: FleetBounds = FleetBounds()
    rollout: Annotated[str, Meta(max_length=64)] = ""
    at_ms: Milliseconds = 0
    by: Text = ""
    fleet: FleetName = "patchedge"


class PullOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order to one device: upload a bundle that it learnt.

    Attributes:
        counter: number of the order, from the same counter as those of assignments.
        target: device:NAME.
        camera: name of the camera.
        bundle: id of the bundle; empty: the one in service.
        at_ms: when it was signed, milliseconds since 1970 UTC.
        by: name of the operator that signed it, as in their settings.
        fleet: the fleet, `prefix` in the settings: what was signed for another one counts for nothing here.
    """

    counter: Counter
    target: Target
    camera: FleetName
    bundle: RootOrNone = ""
    at_ms: Milliseconds = 0
    by: Text = ""
    fleet: FleetName = "patchedge"


class Signed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A signed record, as it is in the store.

    Attributes:
        payload: JSON of an assignment, of an order to upload or of a roll-out, as it was signed.
        key: public key of the operator that signed it, `ed25519:` and 64 hex digits.
        signature: Ed25519 signature over a fixed prefix and `payload`, 128 hex digits.
    """

    payload: Annotated[str, Meta(max_length=MAX_ROLLOUT_BYTES)]
    key: Annotated[str, Meta(pattern=r"^ed25519:[0-9a-f]{64}\Z")]
    signature: Annotated[str, Meta(pattern=r"^[0-9a-f]{128}\Z")]


class CameraReport(msgspec.Struct, frozen=True, kw_only=True):
    """A camera in the report of a device.

    Attributes:
        camera: its name.
        state: its state.
        root: id of the bundle that it was assigned, or that its settings name.
        active: id of the bundle in service.
        round: rounds of learning between the two; 0: the root itself serves.
        learnt: number of pictures that were learnt on the device since the root.
        settings_changed: keys that were changed on the device.
        threshold: threshold in force.
        score_p50: median score of the last minutes; null if nothing was scored.
        fps: scored frames per second.
        frame_ms_p95: time of a frame, the 95th percentile, milliseconds.
        alerts_per_hour: alerts per hour.
        alerts_s: time in which these were counted, while the camera was live, seconds.
        drift: what drifts, a sentence; empty: nothing.
        bundle_problem: why a bundle was refused; empty if none was.
    """

    camera: FleetName
    state: str = ""
    root: RootOrNone = ""
    active: RootOrNone = ""
    round: int = 0
    learnt: int = 0
    settings_changed: tuple[str, ...] = ()
    threshold: float = 0.0
    score_p50: float | None = None
    fps: float = 0.0
    frame_ms_p95: float = 0.0
    alerts_per_hour: float = 0.0
    alerts_s: float = 0.0
    drift: str = ""
    bundle_problem: str = ""


class ShadowReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle would have said beside the one that decides.

    Attributes:
        frames: number of frames that both have scored.
        differing: number of those that got another label.
        max_difference: largest difference of their scores.
    """

    frames: int = 0
    differing: int = 0
    max_difference: float = 0.0


class DeviceReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a device says of itself.

    Attributes:
        device: its name.
        groups: groups that its settings name.
        version: version of patchedge.
        at_ms: when it was said, milliseconds since 1970 UTC.
        boot: random text of this start of the agent.
        counter: counter of the newest assignment that it accepted; 0: none.
        rollout: roll-out of this assignment; empty: none.
        phase: what it does about this assignment.
        reason: why, a sentence; empty if there is nothing to say.
        shadow: what the shadow time has shown; null without.
        fetched_bytes: bytes of packs that were downloaded since the start of the agent.
        cameras: its cameras.
    """

    device: FleetName
    groups: tuple[FleetName, ...] = ()
    version: str = ""
    at_ms: int = 0
    boot: str = ""
    counter: int = 0
    rollout: str = ""
    phase: FleetPhase = "idle"
    reason: str = ""
    shadow: ShadowReport | None = None
    fetched_bytes: int = 0
    cameras: tuple[CameraReport, ...] = ()


class CameraBaseline(msgspec.Struct, frozen=True, kw_only=True):
    """How a camera was before a roll-out, to compare with.

    Attributes:
        alerts_per_hour: alerts per hour.
        alerts_s: time in which these were counted, while the camera was live, seconds.
        frame_ms_p95: time of a frame, the 95th percentile, milliseconds.
        fps: scored frames per second.
        drifts: whether something drifted.
        has_problem: whether a bundle had been refused.
    """

    alerts_per_hour: float = 0.0
    alerts_s: float = 0.0
    frame_ms_p95: float = 0.0
    fps: float = 0.0
    drifts: bool = False
    has_problem: bool = False


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """A staged roll-out.

    Attributes:
        id: its id.
        by: name of the operator that began it, or went on with it.
        at_ms: when it began, milliseconds since 1970 UTC.
        group: the group that it is for; empty: the devices were named.
        devices: its devices.
        camera: name of the camera; empty: each camera.
        root: id of the bundle; empty: settings only.
        settings: changes of settings; null: none.
        children: as in an assignment.
        stages: devices of each stage.
        soak_s: time for which a stage must be in place before the next one begins, seconds.
        shadow_s: as in an assignment.
        watch_s: as in an assignment.
        bounds: as in an assignment.
        stage: number of the stage that is under way, from 1; 0: none yet.
        state: running, paused, done, stopped or rolled back.
        reason: why it has stopped; empty otherwise.
        since_ms: when the stage or the state began, milliseconds since 1970 UTC.
        settled_ms: when all devices of the stage were in place, milliseconds since 1970 UTC; 0: not yet.
        before: device, or group:NAME -> camera -> id of the root before.
        settings_before: the same -> camera -> settings that were assigned before.
        baseline: device that was on when its stage began -> camera -> how it was then.
        back: devices that go back, where the roll-out has stopped or was taken back.
        counters: device, or group:NAME, with /CAMERA where cameras differ -> counter of its newest assignment.
    """

    id: Annotated[str, Meta(pattern=NAME_PATTERN, max_length=64)]
    by: str = ""
    at_ms: int = 0
    group: str = ""
    devices: tuple[FleetName, ...] = ()
    camera: str = ""
    root: str = ""
    settings: dict[str, Any] | None = None
    children: Children = "keep"
    stages: tuple[tuple[FleetName, ...], ...] = ()
    soak_s: float = 0.0
    shadow_s: float = 0.0
    watch_s: float = 600.0
    bounds: FleetBounds = FleetBounds()
    stage: int = 0
    state: RolloutState = "running"
    reason: str = ""
    since_ms: int = 0
    settled_ms: int = 0
    before: dict[str, dict[str, str]] = {}
    settings_before: dict[str, dict[str, dict[str, Any]]] = {}
    baseline: dict[str, dict[str, CameraBaseline]] = {}
    back: tuple[FleetName, ...] = ()
    counters: dict[str, int] = {}
