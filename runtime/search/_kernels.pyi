# Types of kernels.c: C-contiguous arrays, their shapes as it says.

from typing import Any

from numpy.typing import NDArray

BLOCK: int

def distances(
    size: int, features: NDArray[Any], entries: NDArray[Any], rows: NDArray[Any], out: NDArray[Any], /
) -> None: ...
def learn(length: int, history: NDArray[Any], rows: NDArray[Any], index: NDArray[Any], /) -> None: ...
def settle(
    k: int,
    most: int,
    at_least: float,
    expected: float,
    largest: float,
    features: NDArray[Any],
    bank: NDArray[Any],
    distance: NDArray[Any],
    index: NDArray[Any],
    tier: NDArray[Any],
    history: NDArray[Any],
    around: NDArray[Any],
    beside: NDArray[Any],
    middles: NDArray[Any],
    entries: NDArray[Any],
    order: NDArray[Any],
    centre: NDArray[Any],
    axes: NDArray[Any],
    rows: NDArray[Any],
    /,
) -> tuple[int, int]: ...
def tell_apart(
    k: int,
    most: int,
    at_least: float,
    expected: float,
    largest: float,
    features: NDArray[Any],
    bank: NDArray[Any],
    distance: NDArray[Any],
    index: NDArray[Any],
    tier: NDArray[Any],
    history: NDArray[Any],
    around: NDArray[Any],
    beside: NDArray[Any],
    middles: NDArray[Any],
    entries: NDArray[Any],
    order: NDArray[Any],
    centre: NDArray[Any],
    axes: NDArray[Any],
    rows: NDArray[Any],
    /,
) -> tuple[int, int]: ...
