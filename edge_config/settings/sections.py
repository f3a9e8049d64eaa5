"""Sections of the device settings: one struct each, with bounds on every value."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edge_config.wire.messages import DEFAULT_EVENTS, NAME_PATTERN
from edge_config.wire.requests import DEFAULT_CONTROL

MAX_PORT = 65535

SearchKind = Literal["lazy", "graph", "exact"]
"""How far patches are searched; the score is the same.

`lazy`: as far as the decision needs, with what was near in the camera's last frames. `graph`: every patch through the
graph, and those that decide exactly. `exact`: every patch against the whole bank, the reference.
"""

Name = Annotated[
    str, Meta(pattern=NAME_PATTERN, max_length=64, description="letters, digits, _ and - only, at most 64 of them")
]
Endpoint = Annotated[
    str,
    Meta(
        pattern=r"^(ipc://.+|tcp://.+:([0-9]{1,5}|\*))\Z",
        description="such as tcp://127.0.0.1:5556 (port * takes a free one), or ipc:// and a path",
    ),
]
"""Of ZeroMQ, to bind."""


Attachable = Literal["jpeg", "heat_map"]
"""What an alert may bring along, as further frames of its message."""

Transport = Literal["tcp", "udp"]
"""How the pictures of an RTSP camera come. `tcp`: over the connection of RTSP, or by UDP from a camera that has no
other way; nothing is lost. `udp`: by UDP alone, where what is lost on the way shows as a damaged picture."""

Coordinate = Annotated[int, Meta(ge=0, le=65535)]
Polygon = Annotated[
    tuple[tuple[Coordinate, Coordinate], ...],
    Meta(min_length=3, max_length=256, description="a list of at least 3 corners [x, y]"),
]
"""Corners [x, y], pixels of the camera frame; the last is joined with the first."""


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of the settings; a key that it does not know is an error."""


class Alerts(Section, frozen=True):
    """When the scores of a camera make an alert, and what it brings.

    Attributes:
        threshold: a score above it is anomalous; by default the bundle's.
        hysteresis: a score is quiet only where it is at most (1 - hysteresis) times the threshold; frames between the
            two neither begin nor end an alert.
        min_frames: an alert begins with so many anomalous frames, at no time fewer than the quiet ones between them; by
            default with 2, or with 1 from a camera whose frames are more than 250 ms apart,
        min_ms: and not before they last so long (that one lasts as long as the frames are apart).
        merge_ms: an alert ends when frames were quiet for so long: a shorter gap belongs to it. One that flickers waits
            for 6 times its longest gap, at most for 10 times `merge_ms`. 0: every quiet frame ends it.
        cooldown_ms: after an alert ends no other begins for so long.
        update_ms: new peaks of an alert are told at most so often, and ever more rarely while it lasts.
        attach: what the start and the updates of an alert bring along: a picture of the peak frame, its heat map.
        jpeg_quality: of that picture.
    """

    threshold: Annotated[float, Meta(gt=0, le=1e9)] | None = None
    hysteresis: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    min_frames: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    min_ms: Annotated[int, Meta(ge=0, le=3_600_000)] = 150
    merge_ms: Annotated[int, Meta(ge=0, le=3_600_000)] = 1000
    cooldown_ms: Annotated[int, Meta(ge=0, le=86_400_000)] = 0
    update_ms: Annotated[int, Meta(ge=0, le=3_600_000)] = 1000
    attach: frozenset[Attachable] = frozenset()
    jpeg_quality: Annotated[int, Meta(ge=1, le=100)] = 85


class Camera(Section, frozen=True):
    """One camera.

    Attributes:
        source: camera index, /dev/videoN, a stable name such as /dev/v4l/by-id/NAME, a pattern such as /dev/video* (the
            first that opens), v4l2://PATH, csi://N (see `Capture`), gst:PIPELINE, rtsp or http URL, video file or
            folder.
        pace: for files and folders: `fps` plays in time, `max` as fast as possible. States and alerts follow
            the clock of the recording either way.
        fps: frames a second of a file or folder; by default a file's own time stamps, 25 a second for a folder.
        transport: how the pictures of an RTSP camera come: `tcp`, or by UDP where it takes nothing else; or `udp`.
        bundle: path of the camera's own bundle; by default that of all.
        max_age_ms: a frame that is older when its turn comes is not scored.
        stall_ms: a camera that delivers nothing for so long is stalled, and opened anew.
        reconnect_min_s: first wait before a camera is opened anew; it doubles from try to try.
        reconnect_max_s: longest wait.
        alerts: when its scores make an alert.
        regions: polygons in pixels of the camera frame; what lies in none of them is not judged. By default all is.
        ignore: polygons of what is not judged.
    """

    source: Annotated[int, Meta(ge=0)] | Annotated[str, Meta(min_length=1)]
    pace: Literal["fps", "max"] = "fps"
    fps: Annotated[float, Meta(gt=0, le=1000)] | None = None
    transport: Transport = "tcp"
    bundle: Annotated[str, Meta(min_length=1)] | None = None
    max_age_ms: Annotated[int, Meta(ge=1, le=3_600_000)] = 2000
    stall_ms: Annotated[int, Meta(ge=100, le=3_600_000)] = 5000
    reconnect_min_s: Annotated[float, Meta(ge=0.01, le=3600)] = 0.5
    reconnect_max_s: Annotated[float, Meta(ge=0.01, le=3600)] = 30.0
    alerts: Alerts = msgspec.field(default_factory=Alerts)
    regions: Annotated[tuple[Polygon, ...], Meta(max_length=64)] = ()
    ignore: Annotated[tuple[Polygon, ...], Meta(max_length=64)] = ()


class Events(Section, frozen=True):
    """The PUB socket that scores and alerts leave by.

    Attributes:
        bind: a ZeroMQ endpoint, tcp://ADDRESS:PORT or ipc://PATH.
        high_water_mark: messages kept for each slow subscriber before new ones are dropped.
        wait_subscribers: the first frame waits until so many have subscribed.
        heartbeat_s: a health message of every camera comes so often.
        insecure: allow a bind beyond this machine without encryption.
    """

    bind: Endpoint = DEFAULT_EVENTS
    high_water_mark: Annotated[int, Meta(ge=1, le=1_000_000)] = 1000
    wait_subscribers: Annotated[int, Meta(ge=0, le=10_000)] = 0
    heartbeat_s: Annotated[float, Meta(ge=0.1, le=3600)] = 5.0
    insecure: bool = False


class Control(Section, frozen=True):
    """The socket that answers requests, such as for a reload.

    Attributes:
        bind: a ZeroMQ endpoint, tcp://ADDRESS:PORT or ipc://PATH.
        insecure: allow a bind beyond this machine: whoever reaches it may give orders.
    """

    bind: Endpoint = DEFAULT_CONTROL
    insecure: bool = False


class Metrics(Section, frozen=True):
    """Figures and health over HTTP.

    Attributes:
        enabled: serve them at all.
        bind: ADDRESS:PORT; port 0 takes a free one.
        insecure: allow a bind beyond this machine: there is no encryption.
    """

    enabled: bool = True
    bind: Annotated[str, Meta(pattern=r"^[^\s/]+:[0-9]{1,5}\Z", description="ADDRESS:PORT")] = "127.0.0.1:9456"
    insecure: bool = False


class Degrade(Section, frozen=True):
    """When to do less, and when to do all again.

    Attributes:
        hot_c: from this temperature of the hottest thermal zone on the device does less, degrees Celsius.
        cool_c: below this one it may do more again.
        least_memory_mb: with less memory than this left (MiB) the device does less; 0 turns this off.
        thermal_root: folder of the thermal zones.
    """

    hot_c: Annotated[float, Meta(ge=0, le=150)] = 85.0
    cool_c: Annotated[float, Meta(ge=0, le=150)] = 75.0
    least_memory_mb: Annotated[int, Meta(ge=0, le=1_048_576)] = 64
    thermal_root: Annotated[str, Meta(min_length=1)] = "/sys/class/thermal"


class Journal(Section, frozen=True):
    """The file in which every alert and every state is written before it is published.

    Attributes:
        enabled: write it at all; without it a lost alert cannot be had again.
        path: of the file; by default DEVICE.sqlite in $STATE_DIRECTORY, $XDG_STATE_HOME/patchedge or
            ~/.local/state/patchedge, the first of them that is set.
        most_mb: it is kept below this size (MiB): the oldest alerts go, at first those that all have acknowledged.
        most_days: what is older goes too.
    """

    enabled: bool = True
    path: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None
    most_mb: Annotated[int, Meta(ge=1, le=1_048_576)] = 64
    most_days: Annotated[float, Meta(gt=0, le=36_500)] = 90.0


class Clips(Section, frozen=True):
    """Films of what happened around the alerts. Alerts of a camera whose films would overlap share one.

    Attributes:
        folder: where they are kept; empty: there are none.
        before_s: seconds before the alert began, at most half of `longest_s`.
        after_s: seconds after it ended.
        longest_s: no clip is longer: that of an alert that goes on is cut off here.
        fps: pictures a second.
        width: of the pictures, pixels; larger frames are reduced.
        most: so many are kept, of all cameras together; the oldest go.
        most_mb: and so many MiB.
    """

    folder: Annotated[str, Meta(max_length=4096)] = ""
    before_s: Annotated[float, Meta(ge=0, le=60)] = 5.0
    after_s: Annotated[float, Meta(ge=0, le=60)] = 5.0
    longest_s: Annotated[float, Meta(ge=1, le=600)] = 60.0
    fps: Annotated[float, Meta(ge=0.1, le=30)] = 5.0
    width: Annotated[int, Meta(ge=16, le=8192)] = 640
    most: Annotated[int, Meta(ge=1, le=100_000)] = 100
    most_mb: Annotated[int, Meta(ge=1, le=1_048_576)] = 500


class Security(Section, frozen=True):
    """Encryption (CURVE) of events and control, and who may connect. Both keys, or none and no encryption.

    Attributes:
        secret_key: file with the secret key of this device, made by `patchedge keygen`; for nobody else to read.
        clients: folder with the public keys of those who may connect, those in its folder `operate` may also give
            orders, those in `view` and in no folder may not; read anew when it changes.
    """

    secret_key: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None
    clients: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None


KeyText = Annotated[str, Meta(min_length=1, max_length=512)]
"""`ed25519:` and 64 hex digits, or the path of a file that holds this."""


class Trust(Section, frozen=True):
    """Whose bundles are served.

    Attributes:
        keys: public keys, made by `patchedge-export signing-key`; a bundle signed by another one is refused. Without
            keys no signature is looked at.
        unsigned: what becomes of a bundle without a signature; by default it is refused where there are keys.
        rebuild_index: never open the index of a bundle, but build it anew from the bank; that takes its time.
    """

    keys: Annotated[tuple[KeyText, ...], Meta(max_length=16)] = ()  # all fit in one message to the worker
    unsigned: Literal["allow", "refuse"] | None = None
    rebuild_index: bool = False


ProviderName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9]{1,48}ExecutionProvider\Z",
        description="the name of a provider of ONNX Runtime, such as CPUExecutionProvider",
    ),
]
"""As ONNX Runtime calls it."""


class Provider(Section, frozen=True):
    """What computes the graph.

    Attributes:
        name: such as CUDAExecutionProvider.
        options: as ONNX Runtime's documentation of the provider says; `{state}` in a text stands for the folder where
            patchedge keeps its state.
    """

    name: ProviderName
    options: dict[str, str | int | float | bool] = {}


CPU = Provider(name="CPUExecutionProvider")

Providers = Annotated[tuple[Provider, ...], Meta(min_length=1, max_length=8)]
"""The first that starts and computes what the exporter did is used; those after it take what it cannot compute."""


class Capture(Section, frozen=True):
    """How the cameras at a CSI port are opened: `csi://0`, or `csi://0?width=640&height=480&fps=10`.

    Attributes:
        csi: pipeline of GStreamer, in which {sensor}, {width}, {height} and {fps} are filled in.
        width, height: of the pictures, pixels, where the source does not say.
        fps: pictures a second, where the source does not say.
    """

    csi: Annotated[str, Meta(max_length=4096)] = ""
    width: Annotated[int, Meta(ge=16, le=16384)] = 1280
    height: Annotated[int, Meta(ge=16, le=16384)] = 720
    fps: Annotated[int, Meta(ge=1, le=1000)] = 30
