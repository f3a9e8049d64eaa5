"""What the API returns about cameras, alerts and devices."""

from __future__ import annotations

from typing import Literal

import msgspec

from edge_config.wire.messages import Box, Label, State
from edge_config.wire.request_base import Role


class ByWhom(msgspec.Struct, frozen=True, kw_only=True):
    """A user, and when something was done.

    Attributes:
        by: name of the user; empty without log-in.
        at_ms: when.
    """

    by: str
    at_ms: int


class AlertComment(msgspec.Struct, frozen=True, kw_only=True):
    """A comment on an alert.

    Attributes:
        by: name of the user; empty without log-in.
        at_ms: when.
        text: what was said.
    """

    by: str
    at_ms: int
    text: str


class ShownAlert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert, as the page knows it.

    Attributes:
        id: its id, a UUID.
        key: key of the camera.
        device: name of the device in the settings of the page.
        camera: name of the camera.
        start_ms: when its first frame was captured.
        end_ms: when it ended; null while it is open.
        peak_score: highest score.
        peak_excess: how far that is above the threshold, comparable between cameras; null if unknown.
        threshold: threshold in force.
        reason: why it ended; empty while it is open.
        clip: name of its clip on the device; empty without.
        peak_ms: when its highest score was told.
        has_picture: whether there is a picture of its peak.
        picture_score: score of that picture, with which it is called a false alarm; null without one.
        has_heat: whether there is a heat map of its peak.
        has_clip: whether it has a clip.
        boxes: regions over the threshold in that picture, or in the peak frame where there is none: x, y, width, height
            in pixels of the frame.
        frame_hw: height and width of the frame; null if unknown.
        acknowledged: the user that has seen it; null: none yet.
        false_alarm: the user that called it a false alarm; null: none.
        comments: the oldest first.
    """

    id: str
    key: str
    device: str
    camera: str
    start_ms: int
    end_ms: int | None
    peak_score: float
    peak_excess: float | None
    threshold: float
    reason: str = ""
    clip: str = ""
    peak_ms: int | None = None
    has_picture: bool = False
    picture_score: float | None = None
    has_heat: bool = False
    has_clip: bool = False
    boxes: tuple[Box, ...] = ()
    frame_hw: tuple[int, int] | None = None
    acknowledged: ByWhom | None = None
    false_alarm: ByWhom | None = None
    comments: tuple[AlertComment, ...] = ()


class ShownDrift(msgspec.Struct, frozen=True, kw_only=True):
    """How normal frames differ from what was learnt.

    Attributes:
        text: in a few words.
        since_ms: since when; null if unknown.
    """

    text: str
    since_ms: int | None


class ShownLearning(msgspec.Struct, frozen=True, kw_only=True):
    """What learning of a camera is doing.

    Attributes:
        state: as in the reply to `learn_on`.
        step: step of the learner.
        done: finished pieces of work of this step.
        total: number of pieces of work of this step; 0 if unknown.
    """

    state: str
    step: str
    done: int
    total: int


class ShownTeaching(msgspec.Struct, frozen=True, kw_only=True):
    """How far a collection of normal frames is.

    Attributes:
        state: `running`, or `over`.
        wanted: number of frames after which it ends; null if only the time ends it.
        taught: number of frames stored as normal.
        aside: number of frames set aside for a person.
    """

    state: str
    wanted: int | None
    taught: int
    aside: int


CameraStateShown = State | Literal["unreachable", "unknown"]
"""State of a camera; `unreachable`: its device does not answer. `unknown`: nothing was heard of it yet."""


class ShownCamera(msgspec.Struct, frozen=True, kw_only=True):
    """A camera, as it is now.

    Attributes:
        key: names it in addresses: `DEVICE:CAMERA`.
        device: name of the device in the settings of the page.
        name: name of the camera.
        state: its state; `unreachable` if the device does not answer.
        reason: why, in a few words.
        since_ms: since when.
        score: score of the last frame; null if it has none.
        threshold: threshold in force; 0 if unknown.
        label: of the last frame.
        excess: how far the score is above the threshold, comparable between cameras; null if unknown.
        scored_ms: when the last scored frame was captured; null before the first.
        frame_hw: height and width of its frames; null if unknown.
        bundle: id of the bundle in service.
        alert: the open alert; null if there is none.
        drift: how normal frames differ from what was learnt; null if they do not.
        burn_in_left_s: a burn-in runs, and no alert is raised: time left, seconds; null otherwise.
        degraded: degradation level of the device, 0 to 3.
        learning: what learning is doing; null if it does nothing.
        teaching: a collection of frames; null if there is none.
    """

    key: str
    device: str
    name: str
    state: CameraStateShown
    reason: str
    since_ms: int
    score: float | None
    threshold: float
    label: Label
    excess: float | None
    scored_ms: int | None
    frame_hw: tuple[int, int] | None
    bundle: str
    alert: ShownAlert | None
    drift: ShownDrift | None
    burn_in_left_s: float | None
    degraded: int
    learning: ShownLearning | None
    teaching: ShownTeaching | None


class DeviceShown(msgspec.Struct, frozen=True, kw_only=True):
    """A device, as it is now.

    Attributes:
        name: name in the settings of the page.
        connected: whether it answers.
        since_ms: since when.
        role: what the key of the page may do there; empty if unknown.
        error: why it cannot be reached, or what is wrong; empty if nothing is.
        version: version of patchedge there; empty if unknown.
        cameras: keys of its cameras.
    """

    name: str
    connected: bool
    since_ms: int
    role: Role | Literal[""]
    error: str
    version: str
    cameras: tuple[str, ...]


class HeatShown(msgspec.Struct, frozen=True, kw_only=True):
    """A heat map.

    Attributes:
        rows: number of rows.
        columns: number of columns.
        area: box of the frame that it covers: x, y, width, height; null: all of it.
        values: base64 of a byte for each patch, row by row: percent of the threshold, at most 255.
    """

    rows: int
    columns: int
    area: Box | None
    values: str


class PreviewShown(msgspec.Struct, frozen=True, kw_only=True):
    """A frame of a camera as it was seen just now.

    Attributes:
        camera: key of the camera.
        seq: number of the message; a later one is newer.
        frame_id: number of the frame.
        captured_ms: when it was captured.
        score: its score; null if it has none.
        threshold: threshold in force.
        label: of the frame.
        state: state of the camera.
        boxes: regions over the threshold: x, y, width, height in pixels of the frame.
        frame_hw: height and width of the frame.
        width: width of the picture.
        height: height of the picture.
        jpeg: the picture, base64.
        heat: its heat map; null if there is none.
    """

    camera: str
    seq: int
    frame_id: int
    captured_ms: int
    score: float | None
    threshold: float
    label: Label
    state: State
    boxes: tuple[Box, ...]
    frame_hw: tuple[int, int]
    width: int
    height: int
    jpeg: str
    heat: HeatShown | None
