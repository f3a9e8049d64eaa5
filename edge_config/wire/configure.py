"""Requests that change the settings of a running camera, list the changes and take one back; and their replies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from edge_config.polygons import Polygons
from edge_config.wire.request_base import CameraName, Request, Role

KEPT_CHANGES = 50
"""Maximum number of kept changes of all cameras that can be listed and taken back; the oldest are forgotten."""


class Configure(Request, frozen=True, tag="configure"):
    """Change the alert settings, regions and ignored parts of a camera, all of them or nothing, from some frame on.

    Attributes:
        camera: name of the camera.
        alerts: the keys of its section `alerts` that change, as in the settings; a `threshold` of null is that of a
            burn-in, or of the bundle. Without keys the reply reports the settings in force.
        regions: its new `regions`, as in the settings; null: none of its own. Absent: unchanged.
        ignore: its new `ignore`, as in the settings; null: none of its own. Absent: unchanged.
        keep: write the change to the settings file as well. Else it lasts until the runtime ends or reads the file
            again at SIGHUP.
    """

    camera: CameraName
    alerts: Annotated[dict[str, Any], Meta(max_length=64)] = {}  # noqa: RUF012 - of a struct, which copies it
    regions: Polygons | UnsetType | None = UNSET
    ignore: Polygons | UnsetType | None = UNSET
    keep: bool = False

    @property
    def is_question(self) -> bool:
        """Whether it only asks for the settings in force."""
        return not self.alerts and self.regions is UNSET and self.ignore is UNSET


class Undo(Request, frozen=True, tag="undo"):
    """Take back the last kept change of a camera's settings: in service, and in the settings file.

    Attributes:
        camera: name of the camera.
    """

    camera: CameraName


class ListChanges(Request, frozen=True, tag="changes"):
    """List the kept changes of a camera's settings, the newest first, and return those in force.

    Attributes:
        camera: name of the camera.
    """

    role: ClassVar[Role] = "view"

    camera: CameraName


class InForce(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to `Configure` and `Undo`: the settings in force from the next frame on.

    Attributes:
        camera: name of the camera.
        threshold: scores above it are anomalous; 0 before there is a bundle.
        alerts: its whole section `alerts`.
        bundle_threshold: threshold of its bundle; 0 before there is a bundle.
        regions: its own regions, polygons in pixels of the camera frame; null: none of its own.
        ignore: its own ignored parts; null: none of its own.
        frame_hw: height and width of its frames, pixels; null before the first.
        regions_of: whose regions and ignored parts are used: `settings`, `bundle`, or empty if all is judged.
        change: number of the kept change; null if nothing was kept.
        file: the settings file that holds it; empty if nothing was kept.
    """

    camera: str
    threshold: float
    alerts: dict[str, Any]
    bundle_threshold: float = 0.0
    regions: Polygons | None = None
    ignore: Polygons | None = None
    frame_hw: tuple[int, int] | None = None
    regions_of: str = ""
    change: int | None = None
    file: str = ""


class ChangedValue(msgspec.Struct, frozen=True, kw_only=True):
    """A key that changed.

    Attributes:
        key: the key in the section of the camera, such as `alerts.threshold`.
        before: its value before; null: it was absent.
        after: its value since; null: it is absent.
    """

    key: str
    before: Any = None
    after: Any = None


class SettingsChange(msgspec.Struct, frozen=True, kw_only=True):
    """A kept change of a camera's settings.

    Attributes:
        number: its number; numbers only grow.
        camera: name of the camera.
        at_ms: when it was made, milliseconds since 1970 UTC.
        by: public key of the client; empty without keys.
        user: the person, as claimed by that key; empty if none was named.
        what: what changed.
        undone: it was taken back.
    """

    number: int
    camera: str
    at_ms: int
    by: str = ""
    user: str = ""
    what: tuple[ChangedValue, ...] = ()
    undone: bool = False


class ChangesKept(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to `ListChanges`.

    Attributes:
        camera: name of the camera.
        changes: the kept changes, the newest first.
        file: the settings file that changes are written to; empty if there is none.
        in_force: the settings in force, as in the reply to `Configure`.
    """

    camera: str
    changes: tuple[SettingsChange, ...]
    file: str = ""
    in_force: InForce | None = None


OfSettings = Configure | Undo | ListChanges
"""All requests about the settings of a camera."""

REPLIES: Mapping[str, type[msgspec.Struct]] = {"configure": InForce, "changes": ChangesKept}
"""Name of a request -> the type of its reply; `undo` has that of `configure`."""
