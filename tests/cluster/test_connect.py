"""Connecting to a cluster: what is missing or not there is one line."""

from __future__ import annotations

import sys

import pytest

from edge_config.errors import MissingExtra, UnavailableError, UsageError
from export.cluster import connect
from export.cluster.connect import ClusterOptions, cluster_of


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Dask the error says which package is missing, and the line that installs it."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(MissingExtra, match=r"distributed is not installed; pip install 'patchedge\[cluster\]'"),
        cluster_of(ClusterOptions(workers=1)),
    ):
        pass


def test_a_scheduler_and_local_workers_exclude_each_other() -> None:
    """Nobody guesses which of the two is meant."""
    with (
        pytest.raises(UsageError, match="--cluster and --workers: give one of them"),
        cluster_of(ClusterOptions("tcp://127.0.0.1:1", workers=1)),
    ):
        pass


def test_a_scheduler_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the address, and what to start there."""
    monkeypatch.setattr(connect, "CONNECT_S", 0.1)
    with pytest.raises(UnavailableError, match=r"tcp://127\.0\.0\.1:1: no scheduler answers here"):  # noqa: SIM117
        with cluster_of(ClusterOptions("tcp://127.0.0.1:1")):
            pass
