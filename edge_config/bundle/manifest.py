"""manifest.json: how a bundle was made and how a device must use it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from edge_config.bundle import sealed
from edge_config.bundle.calibration import AlertsPromise, Calibration, Excluded, Outlier
from edge_config.bundle.fields import Count, Fraction, HeightWidth, ManifestPart, NonNegative, Sha256, Width
from edge_config.bundle.lineage import Lineage
from edge_config.bundle.may_vary import NOTHING, MayVary, Usual
from edge_config.bundle.parity_result import Parity
from edge_config.bundle.preprocessing import FULL_DEPTH, Preprocessing, Tiles
from edge_config.polygons import Polygons

__all__ = [
    "FORMAT_VERSION",
    "FULL_DEPTH",
    "AlertsPromise",
    "Calibration",
    "Coreset",
    "Excluded",
    "Features",
    "FileEntry",
    "Index",
    "Int8Plan",
    "Manifest",
    "Outlier",
    "Preprocessing",
    "Scene",
    "Scoring",
    "Tiles",
    "decode",
    "encode",
]

FORMAT_VERSION = 5


class FileEntry(ManifestPart, frozen=True):
    """A file of the bundle.

    Attributes:
        size: size, bytes.
        sha256: sha256 of its content, in hex.
    """

    size: Annotated[int, Meta(ge=0)]
    sha256: Sha256


class Int8Plan(ManifestPart, frozen=True):
    """Which convolutions of an int8 network stay in float32, as its change of normal pictures requires.

    Attributes:
        float32: names of their outputs in the graph.
        change: standard deviation of what int8 adds to the distance of a patch, as a share of the standard deviation of
            normal scores; null where there were too few pictures to measure it.
        allowed: largest change, a share too.
        time: estimated time of the network, as a share of float32's, from multiplications.
    """

    float32: tuple[str, ...]
    change: NonNegative | None
    allowed: NonNegative
    time: NonNegative


class Features(ManifestPart, frozen=True):
    """The patch features (PatchCore section 3.1).

    Attributes:
        backbone: name of the network.
        weights: origin of its weights.
        weights_sha256: sha256 of the weights.
        layers: names of the layers whose maps are joined, the finest first.
        aggregation: how a neighbourhood becomes one feature (f_agg): `mean` is average pooling of each channel,
            `adaptive` pools the flattened neighbourhood of each layer to `layer_dim`, and the joined layers to
            `target_dim`.
        layer_dim: length of the feature of a layer after pooling by `adaptive`; null with `mean`.
        target_dim: length of the joined feature after pooling by `adaptive`; null with `mean`.
        patch_size: side p of the neighbourhood in positions of the map, odd.
        stride: every s-th row and column of the first layer's map is a patch.
        map_hw: height and width of the first layer's map, positions; with tiles, of the maps of all of them together.
        grid_hw: rows and columns of patches.
        dimension: length D of a patch feature.
        precision: number type of the graph's convolutions; `bf16`: the graph is in float32, and OpenVINO computes it in
            bfloat16.
        int8_plan: what of an int8 network stays in float32; absent for others.
        prefix_tokens: number of tokens before those of the patches in each layer of a vision transformer, dropped
            inside the graph; null if all layers are maps.
        scaling: `channel` multiplies each channel by a factor from the training patches, see measure.safetensors;
            `none` leaves features as the graph gives them.
        centring: share of the frame's mean feature (over the patches in the regions of the bundle) that is subtracted
            from each patch, before scaling, 0 to 1.
        position_means: share of each position's mean feature over the training pictures, less the mean of all
            positions, that is subtracted there, before scaling, 0 to 1; see measure.safetensors.
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
    precision: Literal["float32", "int8", "bf16"]
    scaling: Literal["none", "channel"]
    centring: Fraction
    position_means: Fraction
    prefix_tokens: Annotated[int, Meta(ge=0, le=1024)] | None = None
    int8_plan: Int8Plan | UnsetType = UNSET


class Coreset(ManifestPart, frozen=True):
    """The memory bank after greedy selection (PatchCore section 3.2).

    Attributes:
        size: number k of entries of the bank.
        fraction: requested share of these patches, 0 to 1; null if a number of entries was requested, or `auto`.
        patches: number of patches of the training pictures, without those of altered copies.
        seed: random seed of the projection and of the first entry.
        projection_dim: dimension d* of the random projection; null without one.
        covering_radius: largest Euclidean distance of a training patch to the bank, scaled and unprojected.
        serving_radius: largest distance of a training patch to the bank as scores measure it, divided by the spacing;
            null if it is unknown. A bank grows until no new patch is farther.
        spacing: `local` divides the distance to an entry by the spacing of the bank around it, see
            measure.safetensors; `none` leaves it Euclidean.
        stopped: why the bank has this size: `option` where it was requested; by `auto`: `scores` where the last
            doubling lowered the scores of held-out pictures by less than 3 %, `limit` at the largest size.
        change: what the last doubling lowered these scores by, 0 to 1, the median over the pictures; null without
            `auto`, and where the bank was never doubled.
        candidates: number of patches, drawn at random from `patches`, that the bank was selected from; null if it was
            selected from all.
    """

    size: Count
    fraction: Fraction | None
    patches: Count
    seed: int
    projection_dim: Count | None
    covering_radius: NonNegative
    spacing: Literal["none", "local"]
    stopped: Literal["option", "scores", "limit"] = "option"
    change: float | None = None
    candidates: Count | None = None
    serving_radius: NonNegative | None = None


class Index(ManifestPart, frozen=True):
    """The HNSW graph over the bank.

    Attributes:
        space: squared Euclidean distance.
        M: maximum number of links of an element (twice as many in the lowest layer).
        ef_construction: length of the candidate list while the graph was built.
        ef: length of the candidate list in a search.
        recall_at_1: share of held-out patches whose nearest entry the graph finds, 0 to 1.
    """

    space: Literal["l2"]
    M: Width
    ef_construction: Count
    ef: Annotated[int, Meta(ge=1, le=100_000)]
    recall_at_1: Fraction


class Scoring(ManifestPart, frozen=True):
    """The score that the threshold belongs to (PatchCore section 3.3).

    Attributes:
        mode: `paper` is re-weighted, `max` is the largest patch distance, `topk` the mean of the k largest.
        b: number of neighbours in the re-weighting of `paper`.
        k: number of patches in the mean of `topk`.
    """

    mode: Literal["paper", "max", "topk"]
    b: Count
    k: Count


class Scene(ManifestPart, frozen=True):
    """Bounds of the normal pictures: outside of them a picture is not judged.

    All are measured on a thumbnail of the size of `scene_reference` in golden.safetensors, see
    `runtime/scene/thumbnail.py`.

    Attributes:
        luminance: smallest and largest mean grey level, 0 to 255.
        sharpness: smallest sharpness; a picture below it is defocused.
        detail: smallest detail; a picture below it is covered.
        shift: largest displacement against the reference, relative to the width of the thumbnail; null if the scene
            itself moves, which hides a moved camera.
        usual: range of the normal pictures, by which drift is noticed; null: unknown.
    """

    luminance: tuple[NonNegative, NonNegative]
    sharpness: NonNegative
    detail: NonNegative
    shift: NonNegative | None
    usual: Usual | None = None


class Manifest(ManifestPart, frozen=True, kw_only=True):
    """The whole of manifest.json.

    Attributes:
        format_version: version of this format.
        manifest_sha256: sha256 of manifest.json with 64 zeros in this place; it detects damage, not tampering.
        files: every other file of the bundle, by name.
        preprocessing: from a camera frame to the input of the graph.
        features: the patch features.
        coreset: the memory bank.
        index: the HNSW graph over the bank.
        scoring: the score that the threshold belongs to.
        calibration: the threshold, and its guarantee.
        alerts_promise: false alerts a day; null if the pictures had no time, or covered too little of it.
        parity: results of the parity gate.
        versions: versions of the packages that made the bundle, by name.
        scene: bounds of the normal pictures.
        may_vary: what is no fault.
        recalibrated_from: id of the bundle whose graph and bank this one shares; null for one that was fitted.
        excluded: pictures that were left out on request; null without a request.
        regions: polygons; patches outside of all of them were neither learnt nor calibrated. Empty: none was left out.
        ignore: polygons; patches inside of one were neither learnt nor calibrated.
        regions_hw: height and width of the pictures that these polygons belong to, pixels; for others they are scaled.
            Null without polygons.
        lineage: how the bundle grew from another one; null for one that was fitted or recalibrated.
    """

    format_version: int
    manifest_sha256: Sha256 = sealed.ZEROS
    files: dict[str, FileEntry]
    preprocessing: Preprocessing
    features: Features
    coreset: Coreset
    index: Index
    scoring: Scoring
    calibration: Calibration
    alerts_promise: AlertsPromise | None = None
    parity: Parity
    scene: Scene
    versions: dict[str, str]
    may_vary: MayVary = NOTHING
    recalibrated_from: Sha256 | None = None
    excluded: Excluded | None = None
    regions: Polygons = ()
    ignore: Polygons = ()
    regions_hw: HeightWidth | None = None
    lineage: Lineage | None = None

    def __post_init__(self) -> None:
        """Check what must fit together."""
        if (self.regions or self.ignore) and self.regions_hw is None:
            raise ValueError("regions without the size of their pictures, `regions_hw`")


def encode(manifest: Manifest) -> bytes:
    """Write the manifest as indented JSON in UTF-8, its own hash filled in."""
    return sealed.encode(manifest)


def decode(text: bytes, where: str) -> Manifest:
    """Read manifest.json; `where` names the file in the errors.

    Raises:
        BundleManifestInvalid: not JSON, or not valid in this format.
        BundleVersionUnknown: another format version.
        BundleFileHash: it was changed after it was written.
    """
    remedy = "learn again with this version of patchedge, or use the version that the bundle was made with"
    return sealed.decode(text, where, Manifest, FORMAT_VERSION, remedy)
