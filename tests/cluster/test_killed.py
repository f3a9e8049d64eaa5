"""A worker that is killed in the middle of its work, whichever it is, changes nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import export.fit
from export.cluster.connect import Cluster
from export.cluster.spread import OnCluster
from runtime.learning.parts.part import Source
from runtime.learning.pictures.images import Pictures
from tests.support.mortal import EMBED, LOOK, QUESTIONS, DiesWithin, MortalPictures
from tests.support.small import Done, call_export, small_options

PICTURES = 24

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # a worker starts anew nine times, on a busy machine


@pytest.fixture(autouse=True)
def no_thread_left() -> None:
    """Let threads be: Dask begins some for each worker that comes back, and ends them with the cluster."""


class OnMortalWorkers(OnCluster):
    """A cluster, one of whose workers dies in each stage."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        super().__init__(cluster)
        self._folder = folder

    def look(self, pictures: Pictures) -> Any:
        return super().look(MortalPictures.of(pictures, self._folder / LOOK))

    def embed(self, source: Source, folder: Path) -> Any:
        mortal = MortalPictures.of(source.pictures, self._folder / EMBED)
        parts = super().embed(replace(source, pictures=mortal), folder)
        asked = parts.ask
        parts.ask = lambda question, *shared, what="": asked(DiesWithin(question, self._folder), *shared, what=what)
        return parts


def test_a_worker_that_dies_in_the_middle_of_each_stage_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed with -9 between two pictures, or before an answer is sent, in every stage: same bundle, same report."""
    killed = tmp_path / "killed"
    killed.mkdir()
    words = [
        "fit",
        *small_options(tmp_path, tmp_path / "x.bundle", count=PICTURES),
        "--coreset",
        60,
        "--json",
        "--force",
    ]
    words.remove("--no-report")
    plain = made(call_export(*words))
    monkeypatch.setattr(export.fit, "OnCluster", partial(OnMortalWorkers, folder=killed))
    assert made(call_export(*words, "--workers", 2)) == plain
    assert {one.name for one in killed.iterdir()} == {LOOK, EMBED, *QUESTIONS}


def made(done: Done) -> tuple[str, Any]:
    """Return the id of the bundle that a fit made, and what its report says of synthetic faults."""
    assert done.code == 0, done.err
    report = json.loads(done.out)
    return report["bundle_id"], report["choice"]
