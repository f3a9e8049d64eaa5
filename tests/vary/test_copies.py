"""Altered copies: which pictures have one, and where its features are."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_config.bundle.may_vary import NOTHING, MayVary
from runtime.frame import Image
from runtime.learning.bank.features import FeatureTable, PatchFile, PatchMemory, embed_pictures
from runtime.learning.pictures.images import Pictures
from runtime.learning.vary.copies import MAX_LEARNT, embed_copies, learnt_again, plan
from runtime.learning.vary.strengths import at_random
from tests.support.small import colour_picture

PATCHES, DIMENSION = 3, 4


def held_out(count: int) -> np.ndarray:
    held = np.zeros(count, dtype=bool)
    held[3::4] = True
    return held


def test_without_a_tolerance_there_is_no_copy() -> None:
    """If nothing may vary, no picture is copied."""
    assert len(plan(NOTHING, held_out(40), seed=0)) == 0


@pytest.mark.parametrize("count", [4, 40, 4000])
def test_each_held_out_picture_has_one_copy_and_some_others_too(count: int) -> None:
    """Each held-out picture has one random copy; training pictures from first to last have a bounded number."""
    may_vary = MayVary(light=0.2)
    held = held_out(count)
    made = plan(may_vary, held, seed=7)
    assert made.held == [(int(number), at_random(may_vary, 7, int(number))) for number in np.flatnonzero(held)]
    learnt = [picture for picture, _ in made.learnt]
    assert not held[learnt].any()
    assert (learnt[0], learnt[-1]) == (0, np.flatnonzero(~held)[-1])
    assert len(learnt) <= MAX_LEARNT
    assert len({change for _, change in made.learnt}) == 9


@pytest.mark.parametrize("kind", ["memory", "room", "file"])
def test_copies_follow_the_pictures(tmp_path: Path, kind: str) -> None:
    """Features of copies come after those of all pictures, and each row knows its picture."""
    pictures = np.arange(2 * PATCHES * DIMENSION, dtype=np.float32).reshape(-1, DIMENSION)
    room = np.empty((len(pictures) * (2 if kind == "room" else 1), DIMENSION), np.float32)
    rows = PatchFile(tmp_path, DIMENSION) if kind == "file" else PatchMemory(room)
    rows.append(pictures)
    table = FeatureTable(rows, PATCHES)
    copy = np.full((PATCHES, DIMENSION), 7, dtype=np.float32)
    assert [table.add_copy(1, copy), table.add_copy(0, copy + 1)] == [2, 3]
    assert len(table) == 2
    assert np.array_equal(table[1], pictures[PATCHES:])
    assert np.array_equal(table[3], copy + 1)
    numbers = table.rows_of(np.array([0, 2, 3]))
    assert numbers.tolist() == [0, 1, 2, 6, 7, 8, 9, 10, 11]
    assert table.pictures_of(numbers).tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0]
    table.multiply(np.full(DIMENSION, 2, dtype=np.float32))
    assert np.array_equal(table[2], 2 * copy)


class Corner:
    """In place of the network: the values of a few pixels."""

    output_shape = (PATCHES, DIMENSION)

    def __call__(self, image: Image) -> np.ndarray:
        return image.reshape(-1)[: PATCHES * DIMENSION].reshape(self.output_shape).astype(np.float32)


def test_what_the_bank_learns_can_be_read_again(tmp_path: Path) -> None:
    """Training pictures and their copies come again in the order of their features, without those left out."""
    for number in range(8):
        cv2.imwrite(str(tmp_path / f"{number}.png"), colour_picture(number)[:20, :20])
    pictures, held, embed = Pictures(tmp_path), held_out(8), Corner()
    table = embed_pictures(pictures, 8, lambda image: image, embed, tmp_path, copies=100)
    chosen = plan(MayVary(light=0.2, shift=2), held, seed=1)
    copies = embed_copies(chosen, table, pictures, lambda image: image, embed)
    learnt = ~held
    learnt[4] = False
    blocks = [*np.flatnonzero(learnt), *(number for number in copies.learnt if learnt[table.pictures[number]])]
    again = [embed(image) for image in learnt_again(chosen, pictures, learnt)]
    assert len(again) == len(blocks) > learnt.sum()
    assert all(np.array_equal(found, table[block]) for found, block in zip(again, blocks, strict=True))
    assert sorted(copies.calibrated[held]) == sorted(set(range(8, len(table.pictures))) - set(copies.learnt))
