# Types of pixels.c: C-contiguous arrays, their shapes as it says.

from typing import Any

from numpy.typing import NDArray

def shrink(
    image: NDArray[Any], height: int, width: int, out: NDArray[Any], out_height: int, out_width: int, /
) -> None: ...
