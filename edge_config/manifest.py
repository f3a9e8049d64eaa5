"""What manifest.json says: how a bundle was made and what a device must do with it."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from edge_config.errors import BundleFileHash, BundleManifestInvalid, BundleVersionUnknown

FORMAT_VERSION = 1

_ZEROS = b"0" * 64

Count = Annotated[int, Meta(ge=1, le=2**31)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
NonNegative = Annotated[float, Meta(ge=0)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Triple = tuple[float, float, float]
Side = Annotated[int, Meta(ge=1, le=16384)]
HeightWidth = tuple[Side, Side]


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of the manifest; a key that it does not know belongs to another version."""


class FileEntry(Part, frozen=True):
    """A file of the bundle: its size in bytes and its sha256 in hex."""

    size: Annotated[int, Meta(ge=0)]
    sha256: Sha256


class Preprocessing(Part, frozen=True):
    """From a camera frame to the input of the graph.

    Attributes:
        resize: `area` averages the covered pixels where the picture shrinks in both directions, else it is bilinear.
        resize_hw: height and width after resizing, pixels; the proportions are not kept.
        crop_hw: height and width of the centre that is kept: the input of the graph.
        color_order: order of the channels that the graph takes.
        mean, std: inside the graph, in RGB order on the scale 0 to 255: (x - mean) / std.
    """

    resize: Literal["area"]
    resize_hw: HeightWidth
    crop_hw: HeightWidth
    color_order: Literal["bgr"]
    mean: Triple
    std: Triple


class Features(Part, frozen=True):
    """The patch features (PatchCore section 3.1).

    Attributes:
        backbone, weights, weights_sha256: which network, where its weights came from, and their hash.
        layers: names of the layers whose maps are joined, the finest first.
        aggregation: f_agg over a neighbourhood; `mean` is average pooling.
        patch_size: p, odd.
        grid_hw: rows and columns of patches.
        dimension: D, length of a patch feature.
    """

    backbone: str
    weights: str
    weights_sha256: Sha256
    layers: tuple[str, ...]
    aggregation: Literal["mean"]
    patch_size: Count
    grid_hw: HeightWidth
    dimension: Count


class Coreset(Part, frozen=True):
    """The memory bank after greedy selection (PatchCore section 3.2).

    Attributes:
        size: k, entries of the bank.
        patches: patches that it was selected from.
        seed: of the projection and of the first entry.
        projection_dim: d* of the random projection; null if none was needed.
        covering_radius: largest distance of a training patch to the bank, unprojected.
    """

    size: Count
    patches: Count
    seed: int
    projection_dim: Count | None
    covering_radius: NonNegative


class Index(Part, frozen=True):
    """The HNSW graph over the bank, and how to search it."""

    space: Literal["l2"]
    M: Count
    ef_construction: Count
    ef: Annotated[int, Meta(ge=1, le=100_000)]
    recall_at_1: Fraction


class Scoring(Part, frozen=True):
    """The score that the threshold belongs to (PatchCore section 3.3): mode and b of the re-weighting."""

    mode: Literal["paper", "max"]
    b: Count


class Calibration(Part, frozen=True):
    """The threshold, from held-out normal pictures.

    Attributes:
        n: held-out pictures.
        alpha: wanted false-alarm rate.
        promised_alpha: the rate that the threshold promises; above alpha where n pictures cannot promise alpha.
        threshold: a score above it is anomalous.
        quantiles: of the n scores, by level such as "0.5".
    """

    n: Count
    alpha: Fraction
    promised_alpha: Fraction
    threshold: NonNegative
    quantiles: dict[str, float]


class Parity(Part, frozen=True):
    """Differences measured at sealing.

    Attributes:
        features_relative: largest ||ONNX Runtime - torch|| / ||torch|| over patches of real pictures.
        golden_relative: largest relative difference of a golden score that a device may show.
    """

    features_relative: NonNegative
    golden_relative: Annotated[float, Meta(ge=0, le=0.1)]


class Manifest(Part, frozen=True, kw_only=True):
    """The whole of manifest.json.

    Attributes:
        format_version: of this format.
        manifest_sha256: hash of manifest.json with 64 zeros in this place; it finds a byte that changed on the way,
            not somebody who meant to change it.
    """

    format_version: int
    manifest_sha256: Sha256 = _ZEROS.decode()
    files: dict[str, FileEntry]
    preprocessing: Preprocessing
    features: Features
    coreset: Coreset
    index: Index
    scoring: Scoring
    calibration: Calibration
    parity: Parity
    versions: dict[str, str]
    created: str


def encode(manifest: Manifest) -> bytes:
    """Write the manifest as indented JSON in UTF-8, its own hash filled in."""
    blank = msgspec.structs.replace(manifest, manifest_sha256=_ZEROS.decode())
    text = msgspec.json.format(msgspec.json.encode(blank), indent=2) + b"\n"
    return text.replace(_ZEROS, hashlib.sha256(text).hexdigest().encode(), 1)


def decode(text: bytes, where: str) -> Manifest:
    """Read manifest.json; `where` names the file in the errors.

    Raises:
        BundleManifestInvalid: not JSON, or not what this format says.
        BundleVersionUnknown: another format version.
        BundleFileHash: it is not as it was written.
    """
    try:
        tree: Any = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BundleManifestInvalid(f"not JSON ({error})", where=where, remedy="copy the bundle again") from error
    version = tree.get("format_version") if isinstance(tree, dict) else None
    if version != FORMAT_VERSION:
        raise BundleVersionUnknown(
            f"format version {version!r}, this program reads {FORMAT_VERSION}",
            where=where,
            remedy="export the bundle again with the patchedge version of the device",
        )
    own = str(tree.get("manifest_sha256")).encode()
    if hashlib.sha256(text.replace(own, _ZEROS, 1)).hexdigest().encode() != own:
        raise BundleFileHash("its content has changed", where=where, remedy="copy the bundle again")
    try:
        return msgspec.convert(tree, Manifest)
    except msgspec.ValidationError as error:
        raise BundleManifestInvalid(str(error), where=where, remedy="copy or export the bundle again") from error
