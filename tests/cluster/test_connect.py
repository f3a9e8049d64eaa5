"""Connecting to a cluster: what is missing or not there is one line."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import distributed
import pytest
from dask import config
from distributed import LocalCluster, Security
from distributed.core import connect as connect_to

from edge_config.errors import MissingExtra, UnavailableError, UsageError
from export.cluster import awaited, connect
from export.cluster.connect import ClusterOptions, cluster_of
from tests.support.certificates import certificates

ANSWER_S = 5.0  # for which a refusal may be tried again


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


@pytest.fixture
def no_thread_left() -> None:
    """Let threads be: Dask begins some for each worker, and ends them with the cluster."""


@pytest.mark.slow
@pytest.mark.usefixtures("no_thread_left")
def test_nobody_else_on_the_machine_reaches_local_workers() -> None:
    """Scheduler and workers of `--workers` refuse those without the certificate of this very run."""
    pytest.importorskip("cryptography")
    with cluster_of(ClusterOptions(workers=1, threads=1)) as cluster:
        assert cluster.client.submit(abs, -1).result() == 1
        stranger = Security.temporary().get_connection_args("client")
        for address in (cluster.client.scheduler.address, *cluster.addresses):
            assert asyncio.run(is_refused(address, **stranger))
            assert asyncio.run(is_refused(address.replace("tls:", "tcp:")))


async def is_refused(address: str, **certificates: Any) -> bool:
    """Return whether a connection comes to nothing."""
    try:
        comm = await connect_to(address, timeout=ANSWER_S, **certificates)
    except OSError:
        return True
    await comm.close()
    return False


def test_without_certificates_it_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where none can be made, the work goes on, and a line says who could run programs."""
    monkeypatch.setitem(sys.modules, "cryptography", None)
    assert connect._for_this_run(distributed) is None
    assert "other users of this machine could run programs in your name" in capsys.readouterr().err


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[str]:
    """Yield the address of a scheduler that speaks TLS."""
    with config.set(certificates(tmp_path, "scheduler")):
        security = Security()
    asked = {"n_workers": 0, "processes": False, "dashboard_address": None, "silence_logs": "CRITICAL"}
    with LocalCluster(protocol="tls://", security=security, **asked) as cluster:
        yield cluster.scheduler_address


def test_a_certificate_of_another_ca_is_one_line(guarded: str, tmp_path: Path) -> None:
    """With a certificate that the scheduler does not know the error says so, and where Dask has the right one."""
    with (
        config.set(certificates(tmp_path, "stranger")),
        pytest.raises(UnavailableError, match=r"its certificate or ours is of another CA; set ca-file, client\.cert"),
        cluster_of(ClusterOptions(guarded)),
    ):
        pass


def test_a_missing_certificate_is_one_line(tmp_path: Path) -> None:
    """Without certificates, and with one whose file is gone, nothing is connected to: the error says what to set."""
    with (
        pytest.raises(UsageError, match=r"tls://127\.0\.0\.1:1: needs certificates; set ca-file, client\.cert"),
        cluster_of(ClusterOptions("tls://127.0.0.1:1")),
    ):
        pass
    settings = certificates(tmp_path, "gone")
    (tmp_path / "gone.key").unlink()
    with (
        config.set(settings),
        pytest.raises(UsageError, match="the certificates of Dask's configuration cannot be read"),
        cluster_of(ClusterOptions("tls://127.0.0.1:1")),
    ):
        pass


@pytest.mark.slow
@pytest.mark.usefixtures("no_thread_left")
def test_workers_that_are_gone_for_good_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that no worker will ever take ends with one line, and does not wait for ever."""
    monkeypatch.setattr(awaited, "WORKERLESS_S", 0.5)
    monkeypatch.setattr(awaited, "LOOK_S", 0.1)
    with cluster_of(ClusterOptions(workers=1)) as cluster:
        cluster.client.cluster.scale(0)
        while cluster.addresses:
            pass
        future = cluster.client.submit(abs, -1)
        with pytest.raises(UnavailableError, match="all workers of the cluster are gone, and none has come back"):
            awaited.result_of(future)
