"""Sections of the device settings: one struct each, with bounds on every value."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edge_config.duration import Duration
from edge_config.polygons import Polygons
from edge_config.wire.messages import DEFAULT_EVENTS, NAME_PATTERN
from edge_config.wire.requests import DEFAULT_CONTROL

MAX_PORT = 65535

Name = Annotated[
    str, Meta(pattern=NAME_PATTERN, max_length=64, description="letters, digits, _ and - only, at most 64 of them")
]
Endpoint = Annotated[
    str,
    Meta(
        pattern=r"^(ipc://.+|tcp://.+:([0-9]{1,5}|\*))\Z",
        description="an address such as tcp://127.0.0.1:5556 (port * takes a free one), or ipc:// and a path",
    ),
]
"""A ZeroMQ endpoint to bind."""


Attachable = Literal["jpeg", "heat_map"]
"""Attachments of an alert, sent as further frames of its message: a picture, a heat map."""

Transport = Literal["tcp", "udp"]
"""RTSP transport. `tcp`: over the RTSP connection, without loss; by UDP if the camera offers nothing else. `udp`: UDP
only, where lost packets show as damaged pictures."""


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A section of the settings; an unknown key is an error. The range of a field is in its annotation."""


class Alerts(Section, frozen=True):
    """When the scores of a camera become an alert, and its attachments.

    Attributes:
        threshold: scores above it are anomalous; by default the threshold of a burn-in, or of the bundle.
        hysteresis: a score is quiet if it is at most (1 - hysteresis) times the threshold; frames between quiet and
            anomalous neither begin nor end an alert.
        min_frames: number of anomalous frames that begin an alert, if quiet frames between them never outnumber them;
            by default 2, or 1 if the camera's frames are more than 250 ms apart.
        min_ms: time that the anomalous frames must last to begin an alert, milliseconds (a single frame lasts until the
            next one); by default that of the bundle, if a number of alerts a day was wanted of it, else 150.
        merge_ms: quiet time after which an alert ends, milliseconds; shorter gaps are part of it. A flickering alert
            ends after 6 times its longest gap, at most 10 times `merge_ms`. 0: every quiet frame ends it.
        cooldown_ms: time after the end of an alert in which no other begins, milliseconds.
        update_ms: minimum interval between updates of an alert that report a new peak, milliseconds; it grows while the
            alert lasts.
        attach: attachments of the start and the updates of an alert: `jpeg`, a picture of the peak frame; `heat_map`,
            its heat map.
        jpeg_quality: JPEG quality of the attached picture.
    """

    threshold: Annotated[float, Meta(gt=0, le=1e9)] | None = None
    hysteresis: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    min_frames: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    min_ms: Annotated[int, Meta(ge=0, le=3_600_000)] | None = None
    merge_ms: Annotated[int, Meta(ge=0, le=3_600_000)] = 1000
    cooldown_ms: Annotated[int, Meta(ge=0, le=86_400_000)] = 0
    update_ms: Annotated[int, Meta(ge=0, le=3_600_000)] = 1000
    attach: frozenset[Attachable] = frozenset()
    jpeg_quality: Annotated[int, Meta(ge=1, le=100)] = 85


class Camera(Section, frozen=True):
    """One camera.

    Attributes:
        source: camera index, /dev/videoN, a stable name such as /dev/v4l/by-id/NAME, a pattern such as /dev/video* (the
            first that opens), v4l2://PATH, csi://N (see `capture`), gst:PIPELINE, rtsp or http URL, video file or
            folder.
        pace: playback of files and folders: `fps` in real time, `max` as fast as possible. States and alerts follow
            the clock of the recording either way.
        fps: frame rate of a file or folder, frames per second; by default a file's own time stamps, 25 for a folder.
        transport: transport of an RTSP camera: `tcp`, with UDP if the camera offers nothing else; or `udp` only.
        bundle: path of a bundle for this camera only; by default the bundle of the device.
        max_age_ms: maximum age of a frame, milliseconds; older frames of cameras and streams are not scored.
        stall_ms: time-out of a camera, milliseconds: without a frame for this long it is stalled, and reopened.
        reconnect_min_s: first wait before a camera is reopened, seconds; it doubles from try to try.
        reconnect_max_s: maximum wait before a camera is reopened, seconds.
        alerts: when its scores become an alert.
        burn_in: time to watch at first, such as 24h, before alerts are raised; then the threshold is set for
            `alerts_per_day`. Once for each camera; by default alerts are raised at once.
        alerts_per_day: number of false alerts a day that a burn-in sets the threshold for.
        regions: polygons in pixels of the camera frame; only patches inside of one are judged. Empty: all are. Without
            `regions` and `ignore` those of the bundle are used, scaled to the frame; with either, only the camera's.
        ignore: polygons in pixels of the camera frame; patches inside of one are not judged.
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
    burn_in: Duration | None = None
    alerts_per_day: Annotated[float, Meta(gt=0, le=1e6)] = 1.0
    regions: Polygons | None = None
    ignore: Polygons | None = None


class Events(Section, frozen=True):
    """The PUB socket, which publishes scores, alerts, states and heartbeats.

    Attributes:
        bind: a ZeroMQ endpoint, tcp://ADDRESS:PORT or ipc://PATH.
        high_water_mark: maximum number of messages queued for a slow subscriber; further ones are dropped.
        wait_subscribers: number of subscribers to wait for before the first frame.
        heartbeat_s: heartbeat interval: a health message of every camera, seconds.
        insecure: allow a bind beyond this machine without encryption.
    """

    bind: Endpoint = DEFAULT_EVENTS
    high_water_mark: Annotated[int, Meta(ge=1, le=1_000_000)] = 1000
    wait_subscribers: Annotated[int, Meta(ge=0, le=10_000)] = 0
    heartbeat_s: Annotated[float, Meta(ge=0.1, le=3600)] = 5.0
    insecure: bool = False


class ControlSettings(Section, frozen=True):
    """The control socket, which answers requests, such as for a reload.

    Attributes:
        bind: a ZeroMQ endpoint, tcp://ADDRESS:PORT or ipc://PATH.
        insecure: allow a bind beyond this machine without encryption: every client there may send any request.
    """

    bind: Endpoint = DEFAULT_CONTROL
    insecure: bool = False


class MetricsSettings(Section, frozen=True):
    """Metrics and health over HTTP.

    Attributes:
        enabled: whether to serve metrics and health.
        bind: ADDRESS:PORT; port 0 takes a free one.
        insecure: allow a bind beyond this machine; there is no encryption.
    """

    enabled: bool = True
    bind: Annotated[str, Meta(pattern=r"^[^\s/]+:[0-9]{1,5}\Z", description="ADDRESS:PORT")] = "127.0.0.1:9456"
    insecure: bool = False


class DegradeSettings(Section, frozen=True):
    """When to degrade, and when to recover.

    Attributes:
        hot_c: temperature of the hottest thermal zone from which the device degrades, degrees Celsius.
        cool_c: temperature below which it may recover, degrees Celsius.
        least_memory_mb: available memory below which the device degrades, MiB; 0 turns this off.
        thermal_root: folder of the thermal zones.
    """

    hot_c: Annotated[float, Meta(ge=0, le=150)] = 85.0
    cool_c: Annotated[float, Meta(ge=0, le=150)] = 75.0
    least_memory_mb: Annotated[int, Meta(ge=0, le=1_048_576)] = 64
    thermal_root: Annotated[str, Meta(min_length=1)] = "/sys/class/thermal"


class JournalSettings(Section, frozen=True):
    """The journal: a file to which every alert and every state is written before it is published.

    Attributes:
        enabled: whether to write it; without a journal lost alerts cannot be replayed.
        path: path of the file; by default DEVICE.sqlite in $STATE_DIRECTORY, $XDG_STATE_HOME/patchedge or
            ~/.local/state/patchedge, the first of them that is set.
        most_mb: maximum size, MiB: the oldest messages are deleted, first those that all subscribers have acknowledged.
        most_days: maximum age of messages, days; older ones are deleted.
    """

    enabled: bool = True
    path: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None
    most_mb: Annotated[int, Meta(ge=1, le=1_048_576)] = 64
    most_days: Annotated[float, Meta(gt=0, le=36_500)] = 90.0


class Clips(Section, frozen=True):
    """Video clips of the alerts. Alerts of a camera whose clips would overlap share one.

    Attributes:
        folder: where clips are stored; empty: no clips are made.
        before_s: length before the start of an alert, seconds; at most half of `longest_s`.
        after_s: length after the end of an alert, seconds.
        longest_s: maximum length of a clip, seconds; the clip of a longer alert is cut off.
        fps: frame rate, frames per second.
        width: maximum width of the pictures, pixels; larger frames are reduced.
        most: maximum number of clips, of all cameras together; the oldest are deleted.
        most_mb: maximum size of all clips together, MiB; the oldest are deleted.
        most_days: maximum age of clips, days; older ones are deleted.
    """

    folder: Annotated[str, Meta(max_length=4096)] = ""
    before_s: Annotated[float, Meta(ge=0, le=60)] = 5.0
    after_s: Annotated[float, Meta(ge=0, le=60)] = 5.0
    longest_s: Annotated[float, Meta(ge=1, le=600)] = 60.0
    fps: Annotated[float, Meta(ge=0.1, le=30)] = 5.0
    width: Annotated[int, Meta(ge=16, le=8192)] = 640
    most: Annotated[int, Meta(ge=1, le=100_000)] = 100
    most_mb: Annotated[int, Meta(ge=1, le=1_048_576)] = 500
    most_days: Annotated[float, Meta(gt=0, le=36_500)] = 30.0


class Security(Section, frozen=True):
    """Encryption (CURVE) and access control of events and control. Set both keys, or none for no encryption.

    Attributes:
        secret_key: file with the secret key of this device, made by `patchedge keygen`; not readable by others.
        clients: folder with the public keys of authorised clients; reloaded when it changes. Keys in its folder
            `operate` may send all requests; keys in its folder `view`, or beside these folders, only those of the role
            `view`.
    """

    secret_key: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None
    clients: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None


KeyText = Annotated[str, Meta(min_length=1, max_length=512)]
"""`ed25519:` and 64 hex digits, or the path of a file that holds this."""


class Trust(Section, frozen=True):
    """Which signatures of bundles are trusted.

    Attributes:
        keys: public keys, made by `patchedge-export signing-key`; bundles signed by another key are refused. Without
            keys no signature is checked.
        unsigned: whether a bundle without a signature is served; by default it is refused if there are keys.
        rebuild_index: rebuild the index from the bank, and never open that of the bundle; loading takes longer.
        device_key: file with the secret key that this device signs with what it learns, made by `patchedge-export
            signing-key`; not readable by others. Its signature counts only for bundles that were learnt from that of
            the settings. Where there are `keys` and no `device_key`, the device learns nothing, unless `unsigned` is
            `allow`.
    """

    keys: Annotated[tuple[KeyText, ...], Meta(max_length=16)] = ()  # all fit in one message to the worker
    unsigned: Literal["allow", "refuse"] | None = None
    rebuild_index: bool = False
    device_key: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None


MAX_BATCH = 64
"""Pictures of several cameras that one run of a graph may take: as many as a device has cameras."""

ProviderName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9]{1,48}ExecutionProvider\Z",
        description="the name of a provider of ONNX Runtime, such as CPUExecutionProvider",
    ),
]
"""Name of an execution provider in ONNX Runtime."""


class Provider(Section, frozen=True):
    """An execution provider of ONNX Runtime, which computes the graph.

    Attributes:
        name: name of the provider, such as CUDAExecutionProvider.
        options: its options, as ONNX Runtime documents them; `{state}` in a text is replaced by the folder of
            patchedge's state.
    """

    name: ProviderName
    options: dict[str, str | int | float | bool] = {}


CPU = Provider(name="CPUExecutionProvider")

Providers = Annotated[tuple[Provider, ...], Meta(min_length=1, max_length=8)]
"""The first one that starts and reproduces the exporter's scores is used; later ones take what it cannot compute."""


class Capture(Section, frozen=True):
    """How CSI cameras are opened: `csi://0`, or `csi://0?width=640&height=480&fps=10`.

    Attributes:
        csi: GStreamer pipeline, in which {sensor}, {width}, {height} and {fps} are filled in; by default the profile's.
        width, height: width and height of the pictures if the source does not name them, pixels.
        fps: frame rate if the source does not name one, frames per second.
    """

    csi: Annotated[str, Meta(max_length=4096)] = ""
    width: Annotated[int, Meta(ge=16, le=16384)] = 1280
    height: Annotated[int, Meta(ge=16, le=16384)] = 720
    fps: Annotated[int, Meta(ge=1, le=1000)] = 30
