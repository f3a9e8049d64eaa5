"""Orders to load bundles, or to look otherwise at a camera, one after the other: the loading thread of the worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edge_config.bundle.files import Bundle
from runtime.frame import BundleInfo
from runtime.inference.beside.shadow import Shadows
from runtime.inference.bundle_loader import BundleLoader, learnt_inspection
from runtime.inference.protocol import (
    DropBeside,
    Load,
    LoadBeside,
    Loaded,
    LoadedBeside,
    LoadOrder,
    Refusal,
    Review,
    ScoringOptions,
)
from runtime.inference.stages import Stages
from runtime.process.memory_error import give_back
from runtime.scene.inspect import Inspect
from runtime.view import View

Made = tuple[int, BundleInfo, dict[str, Stages], bool]
"""What takes over with the next frame: number of the order, the bundle, the stages, and whether it was loaded now."""


class LoadOrders:
    """Carries out orders. Use it from one thread.

    Attributes:
        shadows: score frames by the candidates, in another thread.
    """

    def __init__(
        self,
        options: ScoringOptions,
        views: Mapping[str, View],
        inspection: Callable[[Bundle], Inspect] | None,
        answer: Callable[[Loaded | LoadedBeside], object],
    ) -> None:
        """Load nothing yet.

        Args:
            options: how to score.
            views: as of `BundleLoader`.
            inspection: as of `BundleLoader`; by default `learnt_inspection`.
            answer: sends an answer.
        """
        self._loader = BundleLoader(options, views, inspection or learnt_inspection)
        self._answer = answer
        self.shadows = Shadows()

    def take(self, order: LoadOrder) -> Made | None:
        """Carry out an order; return what takes over with the next frame, or None where it is answered."""
        try:
            return self._make(order)
        except Exception as error:  # noqa: BLE001 - a bundle that can be read by halves breaks anything
            self._answer(refused(order, error))
            return None

    def _make(self, order: LoadOrder) -> Made | None:
        match order:
            case Load():
                return order.number, *self._loader.load(order.cameras, order.path, order.root), True
            case LoadBeside() | DropBeside():
                self.shadows.drop(order.camera)
                self._loader.drop_beside(order.camera)
                give_back()
                if isinstance(order, LoadBeside):
                    self._load_beside(order)
                return None
            case review, view:
                return self._review(review, view)

    def _load_beside(self, order: LoadBeside) -> None:
        stages, *figures = self._loader.load_beside(order.camera, order.path)
        self.shadows.put(order.camera, stages)
        self._answer(LoadedBeside(order.number, stages.info, None, *figures))

    def _review(self, review: Review, view: View) -> Made | None:
        info, stages = self._loader.review(review.camera, view, review.frame_hw, check_only=review.check_only)
        if not review.check_only:
            if (beside := self._loader.beside(review.camera)) is not None:
                self.shadows.put(review.camera, beside)
            return review.number, info, stages, False
        self._answer(Loaded(review.number, info=info))
        return None


def refused(order: LoadOrder, error: Exception) -> Loaded | LoadedBeside:
    """Return the answer to an order that cannot be carried out."""
    match order:
        case Load() | LoadBeside():
            kind = LoadedBeside if isinstance(order, LoadBeside) else Loaded
            return kind(order.number, refusal=Refusal.of(error, order.path))
        case DropBeside():
            return LoadedBeside(0, refusal=Refusal.of(error))
        case review, _:
            return Loaded(review.number, refusal=Refusal.of(error))
