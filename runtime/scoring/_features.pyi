# Types of features.c: C-contiguous arrays, their shapes as it says.

from typing import Any

from numpy.typing import NDArray

def adjust(
    features: NDArray[Any], judged: NDArray[Any], scale: NDArray[Any], share: float, offset: NDArray[Any], /
) -> None: ...
