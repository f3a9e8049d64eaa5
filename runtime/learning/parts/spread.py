"""How work on pictures is spread: here in this process, on a cluster by `export.cluster`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

from runtime.learning.bank.in_slices import Threads
from runtime.learning.parts.part import PROCESSOR, Change, Computing, PartOfPictures, PartPlace, Source
from runtime.learning.pictures.images import Pictures
from runtime.learning.pictures.look import Look, look_here

R = TypeVar("R")


class Parts(Protocol):
    """All pictures and their features, in parts.

    What is asked and told must be the same wherever it is done, and done again: an answer follows from the pictures and
    from what was told before.
    """

    @property
    def count(self) -> int:
        """Number of parts."""

    def tell(self, change: Change) -> None:
        """Change every part."""

    def ask(self, question: Callable[..., R], *shared: Any, what: str = "") -> list[R]:
        """Return an answer of each part to `question(part, *shared)`.

        Args:
            question: about a part.
            shared: large things, which are sent once to everybody who needs them.
            what: name of a long stage, whose progress is shown; a short one has none.
        """


class Spreading(Protocol):
    """Where work on pictures is done."""

    @property
    def here(self) -> bool:
        """Whether features lie in this process."""

    def look(self, pictures: Pictures) -> list[tuple[int, Look]]:
        """Look at pictures in pieces: return the position of the first of each piece, and what it shows."""

    def embed(self, source: Source, folder: Path) -> Parts:
        """Embed pictures. `folder` is on the disk that takes features too large for memory, if they lie here."""


class Here:
    """Work in this process, with all of its threads.

    Attributes:
        computing: what embeds pictures and selects a bank: the processor, or another device.
    """

    here = True

    def __init__(self, computing: Computing = PROCESSOR) -> None:
        """Have this do the work."""
        self.computing = computing

    def look(self, pictures: Pictures) -> list[tuple[int, Look]]:
        """Look at all of them as one piece."""
        return look_here(pictures)

    def embed(self, source: Source, folder: Path) -> Parts:
        """Embed all pictures as one part."""
        controller = ThreadpoolController()
        threads = max((one["num_threads"] for one in controller.info() if one["user_api"] == "blas"), default=1)
        place = PartPlace(folder, Threads(threads), shown=True, computing=self.computing)
        return _OnePart(source.embed(np.arange(len(source.pictures)), place), controller)


class _OnePart:
    """All pictures as one part."""

    count = 1

    def __init__(self, part: PartOfPictures, controller: ThreadpoolController) -> None:
        self._part, self._controller = part, controller

    def tell(self, change: Change) -> None:
        with _one_thread_of_blas(self._controller):
            change(self._part)

    def ask(self, question: Callable[..., R], *shared: Any, what: str = "") -> list[R]:  # noqa: ARG002
        with _one_thread_of_blas(self._controller):
            return [question(self._part, *shared)]


@contextmanager
def _one_thread_of_blas(controller: ThreadpoolController) -> Iterator[None]:
    """Have BLAS use no threads of its own: it would round otherwise with another number of them."""
    with controller.limit(limits=1, user_api="blas"):
        yield
