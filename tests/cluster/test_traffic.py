"""What travels while a bundle is learnt on workers is what the model says, and nothing that need not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from export.cluster.connect import ClusterOptions, cluster_of
from export.cluster.spread import OnCluster
from export.cluster.traffic import kind_of, size_of
from runtime.learning.bank.moments import Largest, Sums
from runtime.learning.learn import learn
from runtime.learning.network_file import DEFAULT, FromFile
from runtime.learning.options import LearnOptions
from runtime.learning.parts.part import About
from runtime.learning.pictures.images import Pictures
from runtime.learning.stopwatch import Stopwatch
from runtime.process.threads import limit_threads
from tests.programs.bench.cluster_traffic import differing, model_of, table
from tests.support.small import write_colours

PICTURES, WORKERS = 24, 2
OF_A_NAME = 60
"""Bytes of a name of `write_colours` and its path object, and some to spare."""


@pytest.fixture
def no_thread_left() -> None:
    """Let threads be: Dask begins some for each worker, and ends them with the cluster."""


@pytest.mark.slow
@pytest.mark.usefixtures("no_thread_left")
def test_the_model_says_what_travels(tmp_path: Path) -> None:
    """Each kind of message, to the workers and back, has the bytes that the model derives, within its tolerance."""
    images = write_colours(tmp_path / "images", PICTURES)
    threads = limit_threads(WORKERS)
    options = LearnOptions(images=str(images), out="-", coreset=400)
    (folder := tmp_path / "bundle").mkdir()
    with cluster_of(ClusterOptions(workers=WORKERS, threads=threads)) as cluster:
        on = OnCluster(cluster)
        done = learn(options, folder, FromFile(DEFAULT, threads), Stopwatch(), threads, on=on)
        on.close()
    assert differing(list(table(model_of(done, on.traffic, options, WORKERS), on.traffic))) == []


def test_a_part_of_the_pictures_is_sent_without_the_others(tmp_path: Path) -> None:
    """A worker that reads three of many pictures gets the names of three."""
    images = write_colours(tmp_path / "images", PICTURES)
    pictures = Pictures(images)
    few, all_of_them = size_of(pictures.part([3, 4, 5])), size_of(pictures)
    assert all_of_them - few > (PICTURES - 3) * len("normal.png")
    assert few < size_of(pictures.part([3])) + 2 * 2 * OF_A_NAME


@pytest.mark.parametrize("by_position", [False, True])
def test_sums_of_several_parts_are_sent_as_one(by_position: bool) -> None:  # noqa: FBT001
    """What a worker has added up over its parts is as large as that of one, and equal to that of all pictures."""
    random = np.random.default_rng(0)
    blocks = random.normal(size=(6, 5, 3)).astype(np.float32)
    centre = blocks[0] if by_position else blocks[0, 0]
    largest = Largest(centre)
    exponents = largest(blocks)
    assert (largest.together([largest(blocks[:2]), largest(blocks[2:])]) == exponents).all()
    assert (2.0 ** exponents.astype(float) > np.abs(blocks - centre).max(axis=(0, 1))).all()
    sums = Sums(centre, exponents, 40, by_position)
    of_all, of_parts = sums(blocks), sums.together([sums(blocks[:2]), sums(blocks[2:])])
    for one, other in zip(of_all, of_parts, strict=True):
        assert (one == other).all()
        assert one.shape == centre.shape
    assert About(np.arange(3), sums).together is sums.together


def test_messages_are_counted_by_what_is_asked() -> None:
    """A question about features, or within a selection, is named by the question and not by what brings it there."""
    sums = Sums(np.zeros(3, np.float32), np.zeros(3, np.int16), 40, by_position=False)
    assert kind_of(About(np.arange(3), sums)) == "Sums"
