"""What is done to a picture before the network, in bundles of tests."""

from __future__ import annotations

from edge_config.bundle.manifest import Preprocessing


def resized(resize_hw: tuple[int, int], crop_hw: tuple[int, int] | None = None) -> Preprocessing:
    """Return how a frame is resized by area and cropped in the middle, its levels left as they are."""
    return Preprocessing(
        resize="area",
        resize_hw=resize_hw,
        crop_hw=crop_hw or resize_hw,
        color_order="bgr",
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    )
