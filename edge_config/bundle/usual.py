"""What the normal pictures looked like as a whole: the section `usual` of the scene of a manifest."""

from __future__ import annotations

from edge_config.bundle.fields import ManifestPart, NonNegative

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
