"""Choose tiles: how large a picture must be so that the smallest fault is seen, and how it is cut."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edge_config.bundle.manifest import Preprocessing, Tiles
from edge_config.errors import UsageError
from edge_config.settings.sections import CPU
from export.options import Options
from runtime.scoring.tiles import Stitch

SEEN = 2.0
"""Pixels of the network's input that the shorter side of a fault needs (docs/evidence/small-faults.md)."""

OVERLAP = 64
"""Pixels of the network's input that neighbouring tiles share at least, and a quarter of a small input: a patch that is
taken from a tile has half of them around it, and the finer maps see no farther."""

MAX_ENLARGED = 2.0
"""Of pictures for a small fault: what no pixel of the camera shows, no larger picture shows either."""

MAX_TILES = 256
"""More of them take seconds for each frame, and GB of features for each picture."""

MANY_TILES = 64
"""Beyond it what they cost is said once more."""

SAID = 1.05
"""Times a fault by which the smallest one that is seen may be larger without a note: starts of tiles are rounded."""

SAME = 1e-4
"""Share of the longest feature by which one may differ between a tile alone and the same beside others: as much as the
parity gate allows for rounding."""

_ROUNDING = 1e-9  # of a length computed from a share

_FATAL = 4  # of ONNX Runtime: a graph that does not take several is no error


@dataclass(frozen=True, slots=True)
class Cut:
    """A picture that is cut into tiles.

    Attributes:
        hw: height and width of the resized picture, pixels.
        map_hw: height and width of the map over all of it, positions.
        tiles: section of the manifest.
    """

    hw: tuple[int, int]
    map_hw: tuple[int, int]
    tiles: Tiles


@dataclass(frozen=True, slots=True)
class Patches:
    """What a tile is for the network.

    Attributes:
        input_hw: height and width, pixels.
        map_hw: height and width of the first layer's map, positions.
        stride: every s-th row and column of it is a patch.
    """

    input_hw: tuple[int, int]
    map_hw: tuple[int, int]
    stride: int

    def steps(self) -> tuple[int, int]:
        """Return the height and the width of a position, pixels.

        Raises:
            UsageError: they are no whole pixels.
        """
        if any(side % cells for side, cells in zip(self.input_hw, self.map_hw, strict=True)):
            rows, columns = self.map_hw
            raise UsageError(
                f"tiles need whole pixels for each position, and the network has {rows} x {columns} positions for "
                f"{self.input_hw[0]} x {self.input_hw[1]} pixels",
                remedy="choose another --size, such as a multiple of 32",
            )
        return self.input_hw[0] // self.map_hw[0], self.input_hw[1] // self.map_hw[1]


def choose(wanted: str | None, smallest_fault: int | None, picture_hw: tuple[int, int], one: Patches) -> Cut | None:
    """Choose the tiles of pictures of the height and width `picture_hw`; None if one input shows enough.

    Args:
        wanted: rows and columns, such as `3x4`; with `auto` or None they follow from the smallest fault.
        smallest_fault: its shorter side, pixels of the picture.
        picture_hw: height and width of the pictures, pixels.
        one: what a tile is for the network.

    Raises:
        UsageError: there would be too many, or the network has no whole pixels for each position.
    """
    pitches = [step * one.stride for step in one.steps()]
    shared = [-(-min(OVERLAP, side // 4) // pitch) * pitch for side, pitch in zip(one.input_hw, pitches, strict=True)]
    if any(2 * overlap > side for overlap, side in zip(shared, one.input_hw, strict=True)):
        raise UsageError(
            f"tiles need several patches, and one covers {max(pitches)} of {max(one.input_hw)} pixels",
            remedy="choose a smaller --stride or a larger --size",
        )
    if wanted in {None, "auto"}:
        assert smallest_fault is not None  # noqa: S101 - the options require it
        scale = min(SEEN / smallest_fault, MAX_ENLARGED)
        if all(scale * side <= tile for side, tile in zip(picture_hw, one.input_hw, strict=True)):
            return None
        counts = [
            max(1, -(-(math.ceil(scale * side) - overlap) // (tile - overlap)))
            for side, tile, overlap in zip(picture_hw, one.input_hw, shared, strict=True)
        ]
    else:
        assert wanted is not None  # noqa: S101 - as above
        counts = [int(number) for number in wanted.split("x")]
        if counts == [1, 1]:
            return None
        room = [
            (tile - overlap) * count + overlap
            for tile, overlap, count in zip(one.input_hw, shared, counts, strict=True)
        ]
        scale = min(space / side for space, side in zip(room, picture_hw, strict=True))
    _refuse_many(counts, smallest_fault, picture_hw)
    axes = zip(picture_hw, one.input_hw, pitches, shared, counts, strict=True)
    (height, tops), (width, lefts) = (_axis(scale * side, *sizes) for side, *sizes in axes)
    tiles = Tiles(tops=tops, lefts=lefts, tile_hw=one.input_hw, picture_hw=picture_hw, smallest_fault=smallest_fault)
    rows, columns = one.steps()
    return Cut((height, width), (height // rows, width // columns), tiles)


def in_words(spec: Preprocessing) -> str:
    """Return what the tiles of a bundle are, for the summary; empty without them."""
    tiles = spec.tiles
    if tiles is None:
        return ""
    (height, width), (seen_height, seen_width) = tiles.picture_hw, spec.resize_hw
    tile_height, tile_width = (
        round(tile * side / seen)
        for tile, side, seen in zip(tiles.tile_hw, tiles.picture_hw, spec.resize_hw, strict=True)
    )
    return (
        f"{len(tiles.tops)} rows of {len(tiles.lefts)}, each of {tile_width} x {tile_height} pixels of the camera; "
        f"pictures of {width} x {height} are resized to {seen_width} x {seen_height}; faults from about "
        f"{smallest_seen(spec.resize_hw, tiles.picture_hw):.1f} pixels on are seen"
    )


def notes(
    options: Options, picture_hw: tuple[int, int], spec: Preprocessing, *, several: bool, frame_s: float
) -> list[str]:
    """Return what a user should know about the tiles before the work begins; nothing if none were asked for.

    Args:
        options: of the fit.
        picture_hw: usual height and width of the pictures, pixels.
        spec: section of the manifest.
        several: the graph takes several tiles at once.
        frame_s: time of the network for a frame, seconds.
    """
    if not options.tiled:
        return []
    seen = smallest_seen(spec.resize_hw, picture_hw)
    if spec.tiles is None:
        return [f"one input shows faults from about {seen:.1f} pixels on: no tiles are needed"]
    count = len(spec.tiles.tops) * len(spec.tiles.lefts)
    said = [f"{in_words(spec)}; the network takes about {frame_s * 1e3:.0f} ms for a frame here"]
    if options.smallest_fault is not None and seen > SAID * options.smallest_fault:
        said.append(
            f"faults of {options.smallest_fault} pixels may be missed: these tiles show about {seen:.1f} and more"
        )
    if options.tiles not in {None, "auto", f"{len(spec.tiles.tops)}x{len(spec.tiles.lefts)}"}:
        said.append(f"--tiles {options.tiles} becomes {len(spec.tiles.tops)}x{len(spec.tiles.lefts)}: these cover all")
    if count > MANY_TILES:
        said.append(
            f"{count} tiles cost {count} times what one input does: --smallest-fault {math.ceil(1.5 * seen)} takes half"
        )
    if not several:
        said.append("this network takes one tile at a time: providers other than the CPU gain less")
    return said


def smallest_seen(resize_hw: tuple[int, int], picture_hw: tuple[int, int]) -> float:
    """Return the shorter side of the smallest fault that is seen, pixels of pictures of `picture_hw`.

    Args:
        resize_hw: height and width that they are resized to, pixels.
        picture_hw: height and width of the pictures.
    """
    return SEEN * max(side / resized for side, resized in zip(picture_hw, resize_hw, strict=True))


def takes_several(graph: bytes, input_hw: tuple[int, int]) -> bool:
    """Return whether a graph computes two inputs at once as it computes each of them.

    Some networks hold the number 1 in their shapes, or compare the pictures of a batch.
    """
    pair = np.random.default_rng(0).integers(0, 256, (2, *input_hw, 3), dtype=np.uint8)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=[CPU.name])
        name = session.get_inputs()[0].name
        single = [session.run(None, {name: one[None]})[0] for one in pair]
        (both,) = session.run(None, {name: pair})
    except Exception:  # noqa: BLE001 - ONNX Runtime's exceptions have no common base: it does not
        return False
    alone = np.concatenate(single)
    largest = float(np.linalg.norm(alone, axis=1).max())
    return both.shape == alone.shape and bool(np.abs(both - alone).max() <= SAME * largest)


def by_tile(
    reference: Callable[[NDArray[np.uint8]], NDArray[np.float32]], stitch: Stitch, dimension: int
) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Return a reference for pictures in tiles, from one of a single input: tile by tile."""

    def features(tensor: NDArray[np.uint8]) -> NDArray[np.float32]:
        found = np.empty((stitch.patches, dimension), dtype=np.float32)
        for number in range(len(tensor)):
            stitch.put(found, number, reference(tensor[number : number + 1]))
        return found

    return features


def some_tiles(tensors: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    """Yield one tile of each picture uint8 [N, H, W, 3], another one of each, uint8 [1, H, W, 3]."""
    for number, tensor in enumerate(tensors):
        at = number % len(tensor)
        yield tensor[at : at + 1]


def _axis(length: float, tile: int, pitch: int, overlap: int, most: int) -> tuple[int, tuple[int, ...]]:
    """Return the length of the resized picture, at least a tile, and the starts of tiles that cover it evenly."""
    steps = max(0, math.ceil((length - tile) / pitch - _ROUNDING)) if most > 1 else 0
    count = min(most, 1 + -(-steps * pitch // (tile - overlap)))
    starts = (round(number * steps / max(1, count - 1)) * pitch for number in range(count))
    return tile + steps * pitch, tuple(starts)


def _refuse_many(counts: list[int], smallest_fault: int | None, picture_hw: tuple[int, int]) -> None:
    rows, columns = counts
    if rows * columns > MAX_TILES:
        height, width = picture_hw
        why = f", which faults of {smallest_fault} pixels need" if smallest_fault else ""
        raise UsageError(
            f"{rows} x {columns} tiles for pictures of {width} x {height} pixels{why}: more than {MAX_TILES} for each "
            "frame",
            remedy="give a larger --smallest-fault, or crop the pictures to what matters",
        )
