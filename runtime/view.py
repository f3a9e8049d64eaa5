"""Which parts of the frames of a camera are judged."""

from __future__ import annotations

from dataclasses import dataclass

from edge_config.polygons import Polygon
from edge_config.settings.sections import Camera


@dataclass(frozen=True, slots=True)
class View:
    """How the frames of one camera are looked at; see `sections.Camera`.

    Attributes:
        regions, ignore: the camera's own polygons.
        own: they are used; False: those of the bundle are.
    """

    regions: tuple[Polygon, ...] = ()
    ignore: tuple[Polygon, ...] = ()
    own: bool = True

    @classmethod
    def of(cls, camera: Camera) -> View:
        """Take it from the settings of a camera."""
        own = camera.regions is not None or camera.ignore is not None
        return cls(camera.regions or (), camera.ignore or (), own)
