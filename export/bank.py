"""The memory bank of all patches, embedded by the very stages that the device uses."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from export.progress import progress
from runtime.embed import Embed
from runtime.frame import Image
from runtime.preprocess import Preprocess


def embed_pictures(
    pictures: Iterable[tuple[str, Image]], count: int, preprocess: Preprocess, embed: Embed
) -> NDArray[np.float32]:
    """Embed every picture.

    Args:
        pictures: names and pictures uint8 [H, W, 3] BGR.
        count: at most so many.
        preprocess: the runtime's stage.
        embed: the runtime's stage.

    Returns:
        Patch features, float32 [pictures, patches, D].
    """
    patches, dimension = embed.output_shape
    features = np.empty((count, patches, dimension), dtype=np.float32)
    done = 0
    for _name, image in progress(pictures, "embed pictures", total=count, unit="picture"):
        features[done] = embed(preprocess(image))
        done += 1
    return features[:done]
