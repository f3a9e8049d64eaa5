"""Results of the parity gate, as manifest.json holds them, and the tolerances of a device."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from edge_config.bundle.fields import Count, Fraction, ManifestPart, NonNegative


class Difference(ManifestPart, frozen=True):
    """The largest and the mean difference.

    Attributes:
        largest: the largest difference.
        mean: the mean difference.
    """

    largest: NonNegative
    mean: NonNegative


class Comparison(ManifestPart, frozen=True):
    """Differences between two ways to score the same pictures.

    Attributes:
        features: ||a - b|| / ||b|| of each patch.
        distances: difference of each patch distance, relative to the largest one of the picture.
        scores: difference of each picture's score, relative to the same distance; of the largest distances if the two
            ways took different entries.
        ties: share of the pictures in which they did, as two entries or two patches are nearly equal.
    """

    features: Difference
    distances: Difference
    scores: Difference
    ties: Fraction


class Tolerance(ManifestPart, frozen=True):
    """Tolerance of a device against the golden frames.

    Attributes:
        scores: largest difference of scores, as in `Comparison`.
        distances_mean: mean difference of patch distances, as in `Comparison`.
    """

    scores: Annotated[float, Meta(ge=0, le=0.5)]
    distances_mean: Annotated[float, Meta(ge=0, le=0.5)]


def name_of_tolerance(provider: str, reduced_precision: str = "") -> str:
    """Return the name of a tolerance in `Parity`; `reduced_precision`, such as `fp16`, is empty where there is none."""
    return f"{provider}/{reduced_precision}" if reduced_precision else provider


class Parity(ManifestPart, frozen=True):
    """Results of the parity gate, on held-out pictures and synthetic faults.

    Attributes:
        pictures: number of pictures compared.
        resize_levels: difference of pixels resized by the device's code and by the definition of the kernel, 0 to 255.
        search: the device's search against an exact one, both on features of ONNX Runtime.
        tolerances: tolerance for the golden frames on a device, by execution provider of ONNX Runtime; of one that
            computes in fewer bits than the network's precision by its name, a slash and its precision, such as
            `TensorrtExecutionProvider/fp16`.
    """

    pictures: Count
    resize_levels: Difference
    search: Comparison
    tolerances: dict[str, Tolerance]


class GraphParity(ManifestPart, frozen=True):
    """The graph in ONNX Runtime against the program that the network came with.

    Attributes:
        pictures: number of pictures compared.
        reference: this program, such as "torch 2.13.0 float32".
        graph: ONNX Runtime against it, both with an exact search.
    """

    pictures: Count
    reference: str
    graph: Comparison
