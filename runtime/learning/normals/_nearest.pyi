# Types of nearest.c: C-contiguous arrays, their shapes as it says.

from typing import Any, TypeAlias

from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

def nearest(
    products: Array,
    lengths: Array,
    norms: Array,
    weights: Array,
    starts: Array,
    own: int,
    twins: int,
    out: Array,
    /,
) -> None: ...
