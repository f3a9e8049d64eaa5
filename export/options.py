"""Options of `fit`: those of learning, and those of the network that the workshop makes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from runtime.learning.options import LearnOptions, defaults

DEFAULT = "efficientnet-lite0"

Byte = Annotated[float, Meta(ge=0, le=255)]
Positive = Annotated[float, Meta(gt=0, le=1e4)]
Prefix = Annotated[int, Meta(ge=0, le=1024)]
TileGrid = Annotated[
    str, Meta(pattern=r"^(auto|[1-9][0-9]?x[1-9][0-9]?)\Z", description="`auto`, or rows and columns such as 3x4")
]
Pixels = Annotated[int, Meta(ge=1, le=16384)]

DEFAULT_STRIDE = {DEFAULT: 2, "efficientnet-lite1": 2, "efficientnet-lite2": 2}
"""Default stride: the usual layers of the packaged networks begin at 4 pixels, so this is one patch per 8 pixels."""


OF_CLUSTER = frozenset({"cluster", "workers", "mixed", "performance_report"})
"""Options of where the work is done: they do not change the bundle."""

OF_FIT = frozenset({"accept_crop", "tolerance_cost", "test_set", "no_report", "device"}) | OF_CLUSTER
"""Options of the workshop that do not concern the network."""

ALONE = "device cuda: not with cluster or workers, which compute on the processors of their machines"

Device = Literal["cpu", "cuda"]


class Options(LearnOptions, frozen=True, kw_only=True):
    """The options of `fit`. The range of a field is in its annotation.

    `images` may also be an address, such as s3://bucket/normal, or a list of pictures with their hashes (.csv, .jsonl).

    Attributes:
        backbone: a packaged network, the path of an ONNX file, or the name of a timm network.
        weights: file with the weights of the network; by default its own.
        layers: names of the layers to join, or of tensors of an ONNX file, the finest first.
        tokens_to_map: for an ONNX file: turn token layers [1, tokens, channels] into maps; number of tokens before
            those of the patches, or `auto`, which finds it from the grid.
        mean, std: normalisation, RGB, 0 to 255; by default the network's own.
        size: side of the graph's input, pixels.
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
        precision: number type of the graph's convolutions; `bf16` needs OpenVINO, where the bundle is made and where it
            serves.
        tolerance_cost: measure what each tolerance costs in synthetic faults found.
        test_set: labelled pictures in MVTec layout, or a CSV list: the report says which share of them each threshold
            would find, and what int8 or bf16 costs on them.
        no_report: write no page beside the bundle, and try no synthetic faults for it.
        device: what embeds the pictures and selects the bank: the processor, or a GPU of NVIDIA.
        cluster: address of a Dask scheduler, such as `tcp://scheduler:8786`, whose workers do the work on pictures.
        workers: number of worker processes on this machine that do it; they share `threads`.
        mixed: accept workers that compute differently; the id of the bundle may differ then.
        performance_report: file for Dask's report of the work on a cluster, a page.
    """

    backbone: Annotated[str, Meta(min_length=1)] = DEFAULT
    weights: str | None = None
    layers: Annotated[tuple[str, ...], Meta(min_length=1)] | None = None
    tokens_to_map: Prefix | Literal["auto"] | None = None
    mean: tuple[Byte, Byte, Byte] | None = None
    std: tuple[Positive, Positive, Positive] | None = None
    size: Annotated[int, Meta(ge=32, le=2048)] = 320
    resize: Annotated[int, Meta(ge=32, le=4096)] | None = None
    tiles: TileGrid | None = None
    smallest_fault: Pixels | None = None
    accept_crop: bool = False
    aggregation: Literal["mean", "adaptive"] = "mean"
    patch_size: Annotated[int, Meta(ge=1, le=31)] = 3
    stride: Annotated[int, Meta(ge=1, le=16)] | None = None
    layer_dim: Annotated[int, Meta(ge=1, le=8192)] = 1024
    target_dim: Annotated[int, Meta(ge=1, le=8192)] = 1024
    precision: Literal["float32", "int8", "bf16"] = "float32"
    tolerance_cost: bool = False
    test_set: str | None = None
    no_report: bool = False
    device: Device = "cpu"
    cluster: Annotated[str, Meta(min_length=1)] | None = None
    workers: Annotated[int, Meta(ge=1, le=1024)] | None = None
    mixed: bool = False
    performance_report: str | None = None

    def __post_init__(self) -> None:
        """Check values that must fit together."""
        if self.patch_size % 2 == 0:
            raise ValueError(f"patch_size {self.patch_size} is not odd")
        if self.resize is not None and self.resize < self.size:
            raise ValueError(f"resize {self.resize} is smaller than size {self.size}: crop from a larger one")
        if self.cluster and self.workers:
            raise ValueError("cluster and workers: give one of them; workers starts a cluster on this machine")
        if (self.mixed or self.performance_report) and not self.spread:
            raise ValueError("mixed and performance_report need a cluster, or workers")
        if self.device != "cpu" and self.spread:
            raise ValueError(ALONE)
        if self.device != "cpu" and self.precision != "float32":
            raise ValueError(f"device cuda: not with precision {self.precision}, which a GPU rounds otherwise")
        if self.tiles == "auto" and self.smallest_fault is None:
            raise ValueError(
                "tiles auto needs smallest_fault: how large the smallest fault is, in pixels of the camera"
            )

    @property
    def spread(self) -> bool:
        """Whether workers do the work on pictures."""
        return bool(self.cluster or self.workers)

    @property
    def tiled(self) -> bool:
        """Whether pictures are judged in tiles."""
        return self.tiles is not None or self.smallest_fault is not None

    @property
    def default_network(self) -> bool:
        """Whether the graph is the one that is in the package: bf16 is the same graph, computed otherwise."""
        own = set(Options.__struct_fields__) - set(LearnOptions.__struct_fields__)
        own -= OF_FIT | {"precision"}
        return self.precision != "int8" and all(getattr(self, name) == DEFAULTS[name] for name in own)

    @property
    def step(self) -> int:
        """The stride s in force."""
        return self.stride or (DEFAULT_STRIDE.get(self.backbone, 1) if self.layers is None else 1)


DEFAULTS: dict[str, Any] = defaults(Options)
