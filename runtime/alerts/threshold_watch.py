"""What watches the scores of a camera, and may set its threshold."""

from __future__ import annotations

from typing import Protocol

from runtime.frame import BundleInfo, Frame, SharedFrame


class ThresholdWatch(Protocol):
    """Watches the scores of a camera to set its threshold: a burn-in.

    Attributes:
        silent: no alert is raised now.
        threshold: takes the place of that of the bundle; None: it does not.
        left_s: watched time until alerts are raised again, seconds; None: they are raised.
    """

    @property
    def silent(self) -> bool: ...  # noqa: D102

    @property
    def threshold(self) -> float | None: ...  # noqa: D102

    @property
    def left_s(self) -> float | None: ...  # noqa: D102

    def serve(self, bundle: BundleInfo) -> None:
        """Take note of the bundle that scores come from now."""

    def take(self, frame: Frame | SharedFrame, value: float, *, repeated: bool) -> None:
        """Take the score of a frame."""
