# Types of selection.c: C-contiguous arrays, their shapes as it says.

from typing import Any, TypeAlias

from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

CHUNK: int

def compare(
    points: Array,
    places: Array,
    entries: Array,
    centre: Array,
    levels: Array,
    halves: Array,
    distances: Array,
    nearest: Array,
    compared: Array,
    count: int,
    scale: float,
    limit: float,
    /,
) -> None: ...
def use(name: str, /) -> bool: ...
