"""Options of `fit`: a strict settings file, overridden by the command line; recorded in the manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from edge_config.errors import SettingsError, UsageError
from edge_config.settings.problems import explain, look, refusal
from edge_config.settings.reading import Tree, read_file

DEFAULT = "efficientnet-lite0"

Byte = Annotated[float, Meta(ge=0, le=255)]
Positive = Annotated[float, Meta(gt=0, le=1e4)]
OpenShare = Annotated[float, Meta(gt=0, lt=1)]
Prefix = Annotated[int, Meta(ge=0, le=1024)]
Entries = Annotated[int, Meta(ge=2, le=10_000_000)]

DEFAULT_STRIDE = {DEFAULT: 2, "efficientnet-lite1": 2, "efficientnet-lite2": 2}
"""The usual layers of the packaged networks begin at stride 4: every second position is one patch to 8 pixels."""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The options of `fit`.

    Attributes:
        images: folder of normal pictures, or a video.
        out: where the bundle is written.
        backbone: a packaged network, the path of an ONNX file, or the name of a timm network.
        weights: file to take the weights from.
        layers: names of the layers, or of the tensors of an ONNX file.
        tokens_to_map: of an ONNX file: layers that are tokens become maps; the number of tokens before those of the
            patches, or "auto".
        mean, std: normalisation in RGB order, 0 to 255; null takes the network's own.
        size: side of the graph's input, pixels.
        depth: bits that are used in pictures of 16 bits; `auto` takes the fewest that hold all of their values.
        resize: pictures are resized to it and `size` is cropped from the centre; null means `size`.
        accept_crop: whatever that crop leaves unseen.
        aggregation: f_agg.
        patch_size: p.
        stride: s; null takes 2 for the usual layers of a packaged network and 1 for others.
        layer_dim, target_dim: of `adaptive`.
        precision: of the graph's convolutions.
        coreset: share of the patches below 1, or a number of entries from 2.
        projection_dim: d* of the random projection; 0 selects in the full space.
        seed: of the projection, of the first entry and of the synthetic faults.
        score: score mode.
        b: neighbours in `paper`.
        k: patches in `topk`.
        alpha: wanted false-alarm rate.
        hold_out: share of the pictures that is kept for calibration.
        max_images: take so many, spread evenly; null takes all of a folder and 300 of a video.
        skip_bad: pass over pictures that cannot be read.
        test_set: pictures with truth, in MVTec layout; what int8 costs is then measured on them too.
        threads: bound on all threads; 0 means all cores.
        force: replace the bundle that is there.
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
    accept_crop: bool = False
    aggregation: Literal["mean", "adaptive"] = "mean"
    patch_size: Annotated[int, Meta(ge=1, le=31)] = 3
    stride: Annotated[int, Meta(ge=1, le=16)] | None = None
    layer_dim: Annotated[int, Meta(ge=1, le=8192)] = 1024
    target_dim: Annotated[int, Meta(ge=1, le=8192)] = 1024
    precision: Literal["float32", "int8"] = "float32"
    coreset: OpenShare | Entries = 0.03
    projection_dim: Annotated[int, Meta(ge=0, le=4096)] = 128
    seed: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0
    score: Literal["paper", "max", "topk"] = "topk"
    b: Annotated[int, Meta(ge=2, le=16)] = 9
    k: Annotated[int, Meta(ge=1, le=1000)] = 5
    alpha: OpenShare = 0.01
    hold_out: OpenShare = 0.25
    max_images: Annotated[int, Meta(ge=1)] | None = None
    skip_bad: bool = False
    test_set: str | None = None
    threads: Annotated[int, Meta(ge=0, le=1024)] = 0
    force: bool = False

    def __post_init__(self) -> None:
        """Check what goes together."""
        if self.patch_size % 2 == 0:
            raise ValueError(f"patch_size {self.patch_size} is not odd")
        if self.resize is not None and self.resize < self.size:
            raise ValueError(f"resize {self.resize} is smaller than size {self.size}: crop from a larger one")

    @property
    def step(self) -> int:
        """The stride s in force."""
        return self.stride or (DEFAULT_STRIDE.get(self.backbone, 1) if self.layers is None else 1)


def read_options(given: dict[str, Any], file: Path | None) -> Options:
    """Lay the arguments of the command line over a settings file, and check the whole.

    Args:
        given: names of fields -> values that stand on the command line.
        file: settings, YAML or TOML; None if there are none.

    Raises:
        SettingsError: the file holds an unknown key or a value out of bounds.
        UsageError: the command line does, or something is missing.
    """
    tree = read_file(str(file), tell_later=True) if file else Tree({})
    together: dict[str, Any] = {"images": "-", "out": "-", **tree}
    if problems := [*tree.twice, *look(together, Options)[0]]:  # the file by itself first, so that its errors name it
        raise refusal(problems, str(file), tree.lines)
    try:
        msgspec.convert(together, Options)
    except msgspec.ValidationError as error:
        raise SettingsError(explain(str(error), Options.__struct_fields__), where=str(file)) from error
    together = {**tree, **given}
    try:
        return msgspec.convert(together, Options)
    except msgspec.ValidationError as error:
        raise UsageError(explain(str(error), Options.__struct_fields__)) from error
