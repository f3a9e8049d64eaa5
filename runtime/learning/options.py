"""Options of learning: a strict settings file, overridden by the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from edge_config.bundle.may_vary import MayVary
from edge_config.errors import SettingsError, UsageError
from edge_config.polygons import Polygons
from edge_config.settings.problems import look, refusal
from edge_config.settings.reading import Tree, read_file

OpenShare = Annotated[float, Meta(gt=0, lt=1)]
AlertsPerDay = Annotated[float, Meta(ge=1e-3, le=1e6)]
Entries = Annotated[int, Meta(ge=2, le=10_000_000)]


class LearnOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The options of `learn`: what does not concern the network. The range of a field is in its annotation.

    Attributes:
        images: folder of normal pictures, or a video.
        out: path of the bundle.
        depth: bits in use in 16-bit pictures; `auto` uses the fewest that hold all of their values.
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
        skip_bad: skip pictures that cannot be read.
        threads: limit of all threads; 0 means all cores.
        force: replace an existing bundle.
    """

    images: Annotated[str, Meta(min_length=1)]
    out: Annotated[str, Meta(min_length=1)]
    depth: Annotated[int, Meta(ge=8, le=16)] | Literal["auto"] = "auto"
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
    skip_bad: bool = False
    threads: Annotated[int, Meta(ge=0, le=1024)] = 0
    force: bool = False


Chosen = TypeVar("Chosen", bound=LearnOptions)


def defaults(kind: type[LearnOptions]) -> dict[str, Any]:
    """Return the options that have a default, with it."""
    fields = msgspec.structs.fields(kind)
    return {field.name: field.default for field in fields if not field.required}


def read_options(given: dict[str, Any], file: Path | None, kind: type[Chosen]) -> Chosen:
    """Override a settings file by arguments of the command line, and check the result.

    Args:
        given: names of fields -> values from the command line.
        file: settings file, YAML or TOML; None without one.
        kind: whose options.

    Raises:
        SettingsError: an unknown key or a value out of range in the file.
        UsageError: the same on the command line, or a required option is missing.
    """
    tree = read_file(str(file), tell_later=True) if file else Tree({})
    together: dict[str, Any] = {"images": "-", "out": "-", **tree}
    if problems := [*tree.twice, *look(together, kind)[0]]:  # the file alone first, so that its errors name it
        raise refusal(problems, str(file), tree.lines)
    try:
        msgspec.convert(together, kind)
    except msgspec.ValidationError as error:
        raise SettingsError(str(error), where=str(file)) from error
    together = {**tree, **given}
    if missing := [f"--{name}" for name in ("images", "out") if name not in together]:
        raise UsageError(f"{' and '.join(missing)} must be given", remedy="such as --images normal/ --out line.bundle")
    if problems := look(together, kind)[0]:
        raise UsageError("; ".join(problem.what for problem in problems))
    try:
        return msgspec.convert(together, kind)
    except msgspec.ValidationError as error:
        raise UsageError(str(error)) from error
