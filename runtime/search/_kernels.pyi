# Types of native/: C-contiguous arrays, their shapes as it says.

from typing import Any, TypeAlias

from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

BLOCK: int
NARROW: int
STAGES: int
WIDTH: int

def distances(size: int, features: Array, entries: Array, rows: Array, divisors: Array, out: Array, /) -> None: ...
def learn(length: int, history: Array, rows: Array, index: Array, /) -> None: ...
def learn_found(history: Array, index: Array, tier: Array, active: Array, /) -> float: ...
def use(name: str, /) -> bool: ...

class Tables:
    compared: int
    def __init__(
        self,
        bank: Array,
        beside: Array,
        divisors: Array,
        centre: Array,
        axes: Array,
        steps: Array,
        middles: Array,
        entries: Array,
        order: Array,
        largest: float,
        levels: float,
        widest: float,
        threads: int,
        /,
    ) -> None: ...
    def search(
        self,
        features: Array,
        active: Array,
        found: tuple[Array, Array, Array],
        known: tuple[Array, Array, float],
        k: int,
        listed: bool,
        /,
    ) -> float: ...
    def settle(
        self,
        features: Array,
        found: tuple[Array, Array, Array],
        known: tuple[Array, Array, float],
        k: int,
        at_least: float,
        /,
    ) -> None: ...
    def tell_apart(
        self,
        features: Array,
        found: tuple[Array, Array, Array],
        known: tuple[Array, Array, float],
        at_least: float,
        /,
    ) -> None: ...
