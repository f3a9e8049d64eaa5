"""Options of `fit`: a strict settings file, overridden by the command line; recorded in the manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from edge_config.bundle.fields import Polygons
from edge_config.bundle.may_vary import MayVary
from edge_config.errors import SettingsError, UsageError
from edge_config.settings.problems import look, refusal
from edge_config.settings.reading import Tree, read_file

DEFAULT = "efficientnet-lite0"

Byte = Annotated[float, Meta(ge=0, le=255)]
Positive = Annotated[float, Meta(gt=0, le=1e4)]
OpenShare = Annotated[float, Meta(gt=0, lt=1)]
Prefix = Annotated[int, Meta(ge=0, le=1024)]
AlertsPerDay = Annotated[float, Meta(ge=1e-3, le=1e6)]
Entries = Annotated[int, Meta(ge=2, le=10_000_000)]
TileGrid = Annotated[
    str, Meta(pattern=r"^(auto|[1-9][0-9]?x[1-9][0-9]?)\Z", description="`auto`, or rows and columns such as 3x4")
]
Pixels = Annotated[int, Meta(ge=1, le=16384)]

DEFAULT_STRIDE = {DEFAULT: 2, "efficientnet-lite1": 2, "efficientnet-lite2": 2}
"""Default stride: the usual layers of the packaged networks begin at 4 pixels, so this is one patch per 8 pixels."""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The options of `fit`. The range of a field is in its annotation.

    Attributes:
        images: folder of normal pictures, or a video.
        out: path of the bundle.
        backbone: a packaged network, the path of an ONNX file, or the name of a timm network.
        weights: file with the weights of the network; by default its own.
        layers: names of the layers to join, or of tensors of an ONNX file, the finest first.
        tokens_to_map: for an ONNX file: turn token layers [1, tokens, channels] into maps; number of tokens before
            those of the patches, or `auto`, which finds it from the grid.
        mean, std: normalisation, RGB, 0 to 255; by default the network's own.
        size: side of the graph's input, pixels.
        depth: bits in use in 16-bit pictures; `auto` uses the fewest that hold all of their values.
        resize: side that pictures are resized to before `size` is cropped from the centre, pixels; by default `size`.
        tiles: rows and columns of overlapping tiles, such as `3x4`, each the input of the network; `auto` chooses them
            for `smallest_fault`. By default the whole picture is one input.
        smallest_fault: the shorter side of the smallest fault that is to be found, pixels of the camera; alone it
            means `tiles` `auto`.
        accept_crop: accept a crop that leaves much of the pictures unseen.
        aggregation: how a neighbourhood becomes one feature (f_agg).
        patch_size: side p of the neighbourhood in positions of the map, odd.
        stride: every s-th row and column of the map is a patch; by default 2 for the usual layers of a packaged
            network and 1 for others.
        layer_dim: length of the feature of each layer, for `adaptive`.
        target_dim: length of the joined feature, for `adaptive`.
        precision: number type of the graph's convolutions.
        scaling: `channel` divides each channel by the root of its standard deviation over the training patches.
        centring: share of each picture's mean feature that is subtracted from its patches, 0 to 1; 0 is the paper's.
        position_means: share of each position's mean feature over the training pictures that is subtracted there, 0 to
            1; `auto` chooses it by how still the scene stands; 0 is the paper's.
        coreset: share of the patches to keep, below 1, or number of entries, from 2; `auto` stops where twice the
            entries hardly lower the scores of held-out pictures.
        spacing: `local` divides the distance to an entry by the spacing of the bank around it.
        projection_dim: dimension d* of the random projection to select in; 0 selects in the full space.
        seed: random seed of the projection, the first entry and the synthetic faults.
        score: `paper` is re-weighted, `max` is the largest patch distance, `topk` the mean of the k largest.
        b: number of neighbours in the re-weighting of `paper`.
        k: number of distances in the mean of `topk`.
        alpha: wanted false-alarm rate, 0 to 1.
        alerts_per_day: wanted number of false alerts a day, for which threshold and least duration of an alert are
            chosen; by default `alpha` sets the threshold. It needs pictures with their time: a video, or a folder that
            `patchedge record` wrote.
        hold_out: share of the pictures for calibration, 0 to 1.
        exclude: number of the strangest pictures to leave out, or `auto` for those that the rule calls foreign.
        regions: polygons [[x, y], ...] in pixels of the pictures; patches outside of all of them are neither learnt nor
            calibrated. Empty: none is left out.
        ignore: polygons [[x, y], ...] in pixels of the pictures; patches inside of one are neither learnt nor
            calibrated.
        max_images: maximum number of pictures, spread evenly; by default all of a folder and 300 of a video.
        may_vary: what is no fault: light, shift, rotation, focus, flip. It is learnt from altered copies of the
            pictures. What is given replaces the default as a whole; `none` allows nothing.
        tolerance_cost: measure what each tolerance costs in synthetic faults found.
        skip_bad: skip pictures that cannot be read.
        test_set: labelled pictures in MVTec layout, or a CSV list: the report says which share of them each threshold
            would find, and what int8 costs on them.
        no_report: write no page beside the bundle, and try no synthetic faults for it.
        threads: limit of all threads; 0 means all cores.
        force: replace an existing bundle.
    """

    images: Annotated[str, Meta(min_length=1)]
    out: Annotated[str, Meta(min_length=1)]
    backbone: Annotated[str, Meta(min_length=1)] = DEFAULT
    weights: str | None = None
    layers: Annotated[tuple[str, ...], Meta(min_length=1)] | None = None
    tokens_to_map: Prefix | Literal["auto"] | None = None
    mean: tuple[Byte, Byte, Byte] | None = None
    std: tuple[Positive, Positive, Positive] | None = None
    size: Annotated[int, Meta(ge=32, le=2048)] = 320
    depth: Annotated[int, Meta(ge=8, le=16)] | Literal["auto"] = "auto"
    resize: Annotated[int, Meta(ge=32, le=4096)] | None = None
    tiles: TileGrid | None = None
    smallest_fault: Pixels | None = None
    accept_crop: bool = False
    aggregation: Literal["mean", "adaptive"] = "mean"
    patch_size: Annotated[int, Meta(ge=1, le=31)] = 3
    stride: Annotated[int, Meta(ge=1, le=16)] | None = None
    layer_dim: Annotated[int, Meta(ge=1, le=8192)] = 1024
    target_dim: Annotated[int, Meta(ge=1, le=8192)] = 1024
    precision: Literal["float32", "int8"] = "float32"
    scaling: Literal["none", "channel"] = "channel"
    centring: Annotated[float, Meta(ge=0, le=1)] = 0.5
    position_means: Annotated[float, Meta(ge=0, le=1)] | Literal["auto"] = "auto"
    coreset: OpenShare | Entries | Literal["auto"] = "auto"
    spacing: Literal["none", "local"] = "local"
    projection_dim: Annotated[int, Meta(ge=0, le=4096)] = 128
    seed: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0
    score: Literal["paper", "max", "topk"] = "topk"
    b: Annotated[int, Meta(ge=2, le=16)] = 9
    k: Annotated[int, Meta(ge=1, le=1000)] = 5
    alpha: OpenShare = 0.01
    alerts_per_day: AlertsPerDay | None = None
    hold_out: OpenShare = 0.25
    exclude: Annotated[int, Meta(ge=1, le=1_000_000)] | Literal["auto"] | None = None
    regions: Polygons = ()
    ignore: Polygons = ()
    max_images: Annotated[int, Meta(ge=1)] | None = None
    may_vary: MayVary = MayVary(light=0.2)
    tolerance_cost: bool = False
    skip_bad: bool = False
    test_set: str | None = None
    no_report: bool = False
    threads: Annotated[int, Meta(ge=0, le=1024)] = 0
    force: bool = False

    def __post_init__(self) -> None:
        """Check values that must fit together."""
        if self.patch_size % 2 == 0:
            raise ValueError(f"patch_size {self.patch_size} is not odd")
        if self.resize is not None and self.resize < self.size:
            raise ValueError(f"resize {self.resize} is smaller than size {self.size}: crop from a larger one")
        if self.tiles == "auto" and self.smallest_fault is None:
            raise ValueError(
                "tiles auto needs smallest_fault: how large the smallest fault is, in pixels of the camera"
            )

    @property
    def tiled(self) -> bool:
        """Whether pictures are judged in tiles."""
        return self.tiles is not None or self.smallest_fault is not None

    @property
    def step(self) -> int:
        """The stride s in force."""
        return self.stride or (DEFAULT_STRIDE.get(self.backbone, 1) if self.layers is None else 1)


DEFAULTS: dict[str, Any] = dict(
    zip(Options.__struct_fields__[-len(Options.__struct_defaults__) :], Options.__struct_defaults__, strict=True)
)


def read_options(given: dict[str, Any], file: Path | None) -> Options:
    """Override a settings file by arguments of the command line, and check the result.

    Args:
        given: names of fields -> values from the command line.
        file: settings file, YAML or TOML; None without one.

    Raises:
        SettingsError: an unknown key or a value out of range in the file.
        UsageError: the same on the command line, or a required option is missing.
    """
    tree = read_file(str(file), tell_later=True) if file else Tree({})
    together: dict[str, Any] = {"images": "-", "out": "-", **tree}
    if problems := [*tree.twice, *look(together, Options)[0]]:  # the file alone first, so that its errors name it
        raise refusal(problems, str(file), tree.lines)
    try:
        msgspec.convert(together, Options)
    except msgspec.ValidationError as error:
        raise SettingsError(str(error), where=str(file)) from error
    together = {**tree, **given}
    if problems := look(together, Options)[0]:
        raise UsageError("; ".join(problem.what for problem in problems))
    try:
        return msgspec.convert(together, Options)
    except msgspec.ValidationError as error:
        raise UsageError(str(error)) from error
