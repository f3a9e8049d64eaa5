"""What distances are measured in: offsets, a scale for each channel, and the spacing of the bank around each entry.

A patch q is as far from the entry m as |q - m| / (spacing(m) + mean), both scaled: where normal patches vary much, the
same difference says less. Both are fixed when the bank is made, and never computed again from a table of neighbours:
a threshold belongs to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_config.bundle import arrays
from edge_config.errors import BundleShapeMismatch


@dataclass(frozen=True, slots=True, eq=False)
class Measure:
    """The measure of a bank of k entries of D channels.

    Attributes:
        scale: factor of each channel, float32 [D], above 0: what the graph gives is multiplied by it, once.
        spacing: mean distance of each entry to its nearest entries, float32 [k], at least 0.
        mean: added to every spacing, above 0.
        offset: what is subtracted from the features at each position before scaling, float32 [patches, D]; None:
            nothing.
    """

    scale: NDArray[np.float32]
    spacing: NDArray[np.float32]
    mean: np.float32
    offset: NDArray[np.float32] | None = None

    @property
    def divisors(self) -> NDArray[np.float32] | None:
        """What distances to each entry are divided by, float32 [k], above 0; None if all are 1."""
        return None if self.undivided else np.asarray(self.spacing + self.mean)

    @property
    def undivided(self) -> bool:
        """Whether distances are Euclidean: no entry has a spacing, and nothing is divided by 1."""
        return bool(self.mean == 1 and not self.spacing.any())


def plain(entries: int, dimension: int) -> Measure:
    """Return the measure that changes nothing: Euclidean distances of the features as they are."""
    return Measure(np.ones(dimension, np.float32), np.zeros(entries, np.float32), np.float32(1))


def write_measure(path: Path, measure: Measure) -> None:
    """Write measure.safetensors.

    Raises:
        OSError: the disk did not take it.
    """
    offset = {} if measure.offset is None else {"offset": measure.offset}
    arrays.write(path, scale=measure.scale, spacing=measure.spacing, mean=np.array([measure.mean]), **offset)


def read_measure(
    path: Path, entries: int, dimension: int, *, patches: int | None = None, scales: bool = True, divides: bool = True
) -> Measure:
    """Read the measure of a bank.

    Args:
        path: of the file.
        entries: of the bank.
        dimension: number of channels.
        patches: of the grid that have an offset; None: there is none, or it does not matter.
        scales: whether it may scale, or must not.
        divides: likewise.

    Raises:
        BundleShapeMismatch: the file holds another one, or numbers that nothing can be measured in.
    """
    shapes: dict[str, tuple[int, ...]] = {"scale": (dimension,), "spacing": (entries,), "mean": (1,)}
    shapes |= {} if patches is None else {"offset": (patches, dimension)}
    found = arrays.read(path, *shapes)
    for name, shape in shapes.items():
        array = found[name]
        if array.shape != shape or array.dtype != np.float32:
            raise BundleShapeMismatch(
                f"{name} is {array.dtype} {array.shape}, the manifest says float32 {shape}", where=str(path)
            )
    measure = Measure(found["scale"], found["spacing"], found["mean"][0], found.get("offset"))
    with np.errstate(over="ignore"):
        largest = (measure.spacing + measure.mean).max()
    good = (measure.scale > 0).all() and (measure.spacing >= 0).all() and measure.mean > 0
    finite = np.isfinite(measure.scale).all() and np.isfinite(largest)
    if not (good and finite and (measure.offset is None or np.isfinite(measure.offset).all())):
        raise BundleShapeMismatch("contains values that nothing can be measured in", where=str(path))
    if ((measure.scale != 1).any() and not scales) or not (measure.undivided or divides):
        raise BundleShapeMismatch("scales or divides, the manifest says none", where=str(path))
    return measure
