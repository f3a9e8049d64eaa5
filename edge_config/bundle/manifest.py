"""manifest.json: how a bundle was made and how a device must use it."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from edge_config.bundle import promise
from edge_config.errors import BundleFileHash, BundleManifestInvalid, BundleVersionUnknown

FORMAT_VERSION = 2

FULL_DEPTH = 16
"""Bits that pictures of 16 bits fill, unless a bundle says otherwise."""

_ZEROS = b"0" * 64

Count = Annotated[int, Meta(ge=1, le=2**31)]
Width = Annotated[int, Meta(ge=1, le=2**20)]
"""Numbers in a vector, or links of an element."""

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
        resize: `area` averages the covered pixels where the picture shrinks in both directions, rounded half to even,
            else it is bilinear.
        resize_hw: height and width after resizing, pixels; the proportions are not kept.
        crop_hw: height and width of the centre that is kept: the input of the graph.
        color_order: order of the channels that the graph takes.
        mean, std: inside the graph, in RGB order on the scale 0 to 255: (x - mean) / std.
        depth: bits that are used in pictures of 16 bits: the high 8 of these are kept, and what is larger is white.
            Pictures of 8 bits stay as they are.
    """

    resize: Literal["area"]
    resize_hw: HeightWidth
    crop_hw: HeightWidth
    color_order: Literal["bgr"]
    mean: Triple
    std: Triple
    depth: Annotated[int, Meta(ge=8, le=16)] = FULL_DEPTH


class Features(Part, frozen=True):
    """The patch features (PatchCore section 3.1).

    Attributes:
        backbone, weights, weights_sha256: which network, where its weights came from, and their hash.
        layers: names of the layers whose maps are joined, the finest first.
        aggregation: f_agg over a neighbourhood: `mean` is average pooling of each channel, `adaptive` pools the
            flattened neighbourhood of each layer to `layer_dim`, and the joined layers to `target_dim`.
        layer_dim, target_dim: of `adaptive`; null with `mean`.
        patch_size: p, odd.
        stride: s; every s-th row and column of the first layer's map is a patch.
        map_hw: height and width of the first layer's map.
        grid_hw: rows and columns of patches.
        dimension: D, length of a patch feature.
        precision: of the graph's convolutions.
        prefix_tokens: of a vision transformer: tokens of each layer that come before those of the patches, and are
            dropped inside the graph; null where all layers were maps.
    """

    backbone: str
    weights: str
    weights_sha256: Sha256
    layers: Annotated[tuple[str, ...], Meta(min_length=1)]
    aggregation: Literal["mean", "adaptive"]
    layer_dim: Count | None
    target_dim: Count | None
    patch_size: Count
    stride: Count
    map_hw: HeightWidth
    grid_hw: HeightWidth
    dimension: Width
    precision: Literal["float32", "int8"]
    prefix_tokens: Annotated[int, Meta(ge=0, le=1024)] | None = None


class Coreset(Part, frozen=True):
    """The memory bank after greedy selection (PatchCore section 3.2).

    Attributes:
        size: k, entries of the bank.
        fraction: share of the patches that was asked for; null where a count was.
        patches: patches that it was selected from.
        seed: of the projection and of the first entry.
        projection_dim: d* of the random projection; null if there was none.
        covering_radius: largest distance of a training patch to the bank, unprojected.
    """

    size: Count
    fraction: Fraction | None
    patches: Count
    seed: int
    projection_dim: Count | None
    covering_radius: NonNegative


class Index(Part, frozen=True):
    """The HNSW graph over the bank, and how to search it."""

    space: Literal["l2"]
    M: Width
    ef_construction: Count
    ef: Annotated[int, Meta(ge=1, le=100_000)]
    recall_at_1: Fraction


class Scoring(Part, frozen=True):
    """The score that the threshold belongs to (PatchCore section 3.3).

    Attributes:
        mode: `paper` is re-weighted, `max` is the largest patch distance, `topk` the mean of the k largest.
        b: neighbours in the re-weighting of `paper`.
        k: patches in the mean of `topk`.
    """

    mode: Literal["paper", "max", "topk"]
    b: Count
    k: Count


class Calibration(Part, frozen=True):
    """The threshold, from held-out normal pictures.

    Attributes:
        n: held-out pictures.
        alpha: wanted false-alarm rate.
        promised_alpha: the rate that the threshold promises on average over calibrations; above alpha where n pictures
            cannot promise alpha.
        threshold: a score above it is anomalous.
        quantiles: of the n scores, by level such as "0.5".
        upper_alpha: the rate that this very calibration does not exceed with 95 % confidence; null in manifests that
            were written before there was one: `upper` computes it.
    """

    n: Count
    alpha: Fraction
    promised_alpha: Fraction
    threshold: NonNegative
    quantiles: dict[str, float]
    upper_alpha: Fraction | None = None

    @property
    def upper(self) -> float:
        """The rate that this very calibration does not exceed with 95 % confidence."""
        if self.upper_alpha is not None:
            return self.upper_alpha
        return promise.bound(self.n, promise.rank_of(self.n, self.promised_alpha))


class Difference(Part, frozen=True):
    """The largest and the mean of some differences."""

    largest: NonNegative
    mean: NonNegative


class Comparison(Part, frozen=True):
    """How far apart two ways to score the same pictures are.

    Attributes:
        features: ||a - b|| / ||b|| of each patch.
        distances: of each patch distance, as a share of the picture's largest one.
        scores: of each picture, as the same share; of the largest distances where the two ways took another entry.
        ties: share of the pictures where they did: two entries or two patches are nearly equal.
    """

    features: Difference
    distances: Difference
    scores: Difference
    ties: Fraction


class Tolerance(Part, frozen=True):
    """How far a device may be from the golden scores and from their patch distances, as in `Comparison`."""

    scores: Annotated[float, Meta(ge=0, le=0.5)]
    distances_mean: Annotated[float, Meta(ge=0, le=0.5)]


class Parity(Part, frozen=True):
    """What the gate measured at sealing, on held-out pictures and synthetic faults.

    Attributes:
        pictures: that were compared.
        reference: what computed the features independently, such as "torch 2.13.0 float32".
        resize_levels: of the pixels, resized by the device's code and by the definition of the kernel, 0 to 255.
        graph: ONNX Runtime against the reference, both searched exactly.
        search: the search of the device against the exact one, both on features of ONNX Runtime.
        tolerances: for the golden frames on a device, by provider of ONNX Runtime.
    """

    pictures: Count
    reference: str
    resize_levels: Difference
    graph: Comparison
    search: Comparison
    tolerances: dict[str, Tolerance]


class Scene(Part, frozen=True):
    """What the normal pictures look like as pictures: outside of it a camera is not trusted.

    All are measured on a thumbnail of the size of `scene_reference` in golden.npz, see runtime/scene/thumbnail.py.

    Attributes:
        luminance: smallest and largest mean grey level of a picture that can be judged, 0 to 255.
        sharpness: smallest sharpness of a picture that can be judged: below it is defocused.
        detail: smallest detail of a picture that can be judged: below it is covered.
        shift: largest shift against the reference of a picture that can be judged, as a share of the thumbnail's
            width; null where the scene itself moves, so that a moved camera cannot be told from it.
    """

    luminance: tuple[NonNegative, NonNegative]
    sharpness: NonNegative
    detail: NonNegative
    shift: NonNegative | None


class Manifest(Part, frozen=True, kw_only=True):
    """The whole of manifest.json.

    Attributes:
        format_version: of this format.
        manifest_sha256: hash of manifest.json with 64 zeros in this place; it finds a byte that changed on the way,
            not somebody who meant to change it.
        scene: null in bundles that were made before there was one: then only frozen and dark are noticed.
        recalibrated_from: id of the bundle whose graph and bank this one shares; null for one that was fitted.
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
    recalibrated_from: Sha256 | None = None
    scene: Scene | None = None
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
