"""What may vary without being a fault: section `may_vary` of the manifest and option of `fit`; and the usual range."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from edge_config.bundle.fields import ManifestPart, NonNegative


class MayVary(ManifestPart, frozen=True):
    """What is no fault, as declared by the user: learnt from altered copies of the normal pictures.

    Attributes:
        light: how much the light may vary, as a share: 0.2 is a gain from 0.8 to 1.2, or a gamma from 0.7 to 1.4.
        shift: largest displacement in any direction, pixels of the camera.
        rotation: largest rotation about the centre of the picture, both ways, degrees; `any` for every angle.
        focus: whether the picture may be slightly out of focus.
        flip: whether the picture may be mirrored, left to right or top to bottom.
    """

    light: Annotated[float, Meta(ge=0, le=0.5)] = 0.0
    shift: Annotated[float, Meta(ge=0, le=1000)] = 0.0
    rotation: Annotated[float, Meta(ge=0, le=90)] | Literal["any"] = 0.0
    focus: bool = False
    flip: bool = False

    def __str__(self) -> str:
        """Return it as `--may-vary` takes it."""
        parts = [
            f"light={100 * self.light:.10g}%" if self.light else "",
            f"shift={self.shift:g}px" if self.shift else "",
            f"rotation={self.rotation if self.rotation == 'any' else f'{self.rotation:g}'}" if self.rotation else "",
            "focus" if self.focus else "",
            "flip" if self.flip else "",
        ]
        return ",".join(filter(None, parts)) or "none"


NOTHING = MayVary()
"""The pictures are as they are: nothing else is normal."""


Range = tuple[NonNegative, NonNegative]


class Usual(ManifestPart, frozen=True):
    """The range of the normal pictures, as they are and altered as declared: a camera that leaves it has drifted.

    Each is from the quantile 0.02 to the quantile 0.98 of the pictures, measured on the thumbnail of the scene.

    Attributes:
        luminance: mean grey level, 0 to 255.
        highlights: mean grey level plus the standard deviation: how bright the bright parts are.
        edges: sharpness times luminance over the standard deviation: how sharp edges are, whatever the light.
    """

    luminance: Range
    highlights: Range
    edges: Range
