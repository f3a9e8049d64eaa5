"""The packaged network takes the pictures of several cameras in one run."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge_config.bundle.files import MODEL
from runtime.learning.network_file import DEFAULT
from runtime.scoring.embed import Embed
from tests.support.small import colour_picture

PICTURES = 4


@pytest.mark.parametrize("threads", [1, 2])
def test_features_of_several_pictures_are_those_of_each_alone(threads: int) -> None:
    """On the CPU they are the same to the last bit, wherever a picture is among the others."""
    embed = Embed(DEFAULT / MODEL, threads)
    assert embed.input_shape[0] == 1  # what is planned for one picture is planned for exactly one
    height, width = embed.input_shape[1:3]
    pictures = [np.resize(colour_picture(number), (1, height, width, 3)) for number in range(PICTURES)]
    room = np.empty(PICTURES * math.prod(embed.output_shape), dtype=np.float32)
    for found, picture in zip(embed.together(pictures, room), pictures, strict=True):
        assert np.array_equal(found, embed(picture))
