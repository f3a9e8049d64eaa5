"""Learning over workers gives the bundle that one process gives, also where workers die."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import onnx
import pytest
from dask import config
from distributed import Client, Security

from edge_config.bundle import files as bundles
from edge_config.errors import UsageError
from export.cluster.connect import Cluster, ClusterOptions, cluster_of
from export.cluster.probe import KindProbe, refuse_mix
from export.cluster.spread import OnCluster
from export.fit import fit
from export.options import Options
from runtime.learning.learn import learn
from runtime.learning.network_file import FromFile
from runtime.learning.options import LearnOptions
from runtime.learning.parts.part import Source
from runtime.learning.parts.spread import Here, Spreading
from runtime.learning.stopwatch import Stopwatch
from runtime.process.threads import limit_threads
from tests.support.certificates import certificates, write_settings
from tests.support.ports import free_port
from tests.support.processes import ENOUGH_S, EXPORT, call, started
from tests.support.small import LAYERS, Done, call_export, small_network, write_colours

PICTURES = 24
WORKERS = 2

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_thread_left() -> None:
    """Let threads be: Dask begins some for each worker that comes back, and ends them with the cluster."""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a small network file."""
    folder = tmp_path_factory.mktemp("network")
    path = folder / "small.network"
    done = call_export("network", *backbone(folder), "--out", path)
    assert done.code == 0, done.err
    return path


def backbone(folder: Path) -> list[str]:
    """Write a backbone, and return the arguments that name it."""
    onnx.save(small_network(), folder / "small.onnx")
    return ["--backbone", str(folder / "small.onnx"), "--layers", ",".join(LAYERS), "--size", "64"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write normal pictures."""
    return write_colours(tmp_path_factory.mktemp("normal") / "images", PICTURES)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Start workers."""
    with cluster_of(ClusterOptions(workers=WORKERS, threads=2)) as cluster:
        yield cluster


def learnt(on: Spreading, network: Path, images: Path, folder: Path, **options: Any) -> str:
    """Learn, and return the id of the bundle."""
    folder.mkdir()
    threads = limit_threads(2)
    asked = LearnOptions(images=str(images), out=str(folder), coreset=60, **options)
    learn(asked, folder, FromFile(network, threads), Stopwatch(), threads, on=on)
    return bundles.read(folder).id


@pytest.fixture(scope="module")
def plain(network: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the id of the bundle that this process makes alone."""
    return learnt(Here(), network, pictures, tmp_path_factory.mktemp("plain") / "x")


@pytest.mark.parametrize("order", [list, lambda numbers: numbers[::-1], lambda numbers: numbers[::2] + numbers[1::2]])
def test_the_bundle_is_the_same_over_workers(
    cluster: Cluster, plain: str, network: Path, pictures: Path, tmp_path: Path, order: Callable[[list[int]], list[int]]
) -> None:
    """Whichever pictures lie together, and on whichever worker, the id is that of one process."""
    on = OnCluster(cluster, order)
    assert learnt(on, network, pictures, tmp_path / "x") == plain
    assert on.traffic.sent > 0
    on.close()


class Killing:
    """Parts whose next worker dies before the n-th question is answered."""

    def __init__(self, parts: Any, at: int, cluster: Cluster) -> None:
        self._parts, self._at, self._cluster = parts, at, cluster
        self.count = parts.count
        self.asked = 0

    def tell(self, change: Any) -> None:
        self._parts.tell(change)

    def ask(self, question: Any, *shared: Any, what: str = "") -> list[Any]:
        if self.asked == self._at:
            address = self._parts.homes[0]
            os.kill(self._cluster.client.run(os.getpid, workers=[address])[address], signal.SIGKILL)
        self.asked += 1
        return list(self._parts.ask(question, *shared, what=what))


class OnMortal(OnCluster):
    """A cluster, one of whose workers dies before a question is answered."""

    at = 0
    parts: Killing

    def embed(self, source: Source, folder: Path) -> Any:
        self.parts = Killing(super().embed(source, folder), self.at, self.cluster)
        return self.parts


@pytest.fixture(scope="module")
def questions(
    cluster: Cluster, plain: str, network: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> int:
    """Return how many questions are asked until a bundle is learnt."""
    whole = OnMortal(cluster)
    whole.at = -1
    assert learnt(whole, network, pictures, tmp_path_factory.mktemp("counted") / "x") == plain
    return whole.parts.asked


@pytest.mark.parametrize("stage", [0.0, 0.6, 1.0])
def test_a_worker_that_is_killed_changes_nothing(
    plain: str, network: Path, pictures: Path, tmp_path: Path, questions: int, stage: float
) -> None:
    """Killed with -9 before any question, only its pictures are done again, and the id is the same."""
    with cluster_of(ClusterOptions(workers=WORKERS, threads=2)) as cluster:
        mortal = OnMortal(cluster)
        mortal.at = round(stage * (questions - 1))
        assert learnt(mortal, network, pictures, tmp_path / "x") == plain
        assert mortal.parts.asked == questions
        mortal.close()


def test_workers_of_two_kinds_are_refused() -> None:
    """The line names both of them, with their kinds, and what helps."""
    same = [KindProbe("1", "kind A"), KindProbe("1", "kind B", "tcp://a:1")]
    refuse_mix(same)
    with pytest.raises(UsageError, match=r"this process \(kind A\) and tcp://b:2 \(kind C\); .*--mixed"):
        refuse_mix([*same, KindProbe("2", "kind C", "tcp://b:2")])


class PlainFit(NamedTuple):
    """What `fit` made without workers.

    Attributes:
        words: its command, without `--out`.
        id: of the bundle.
        choice: what the report says of synthetic faults.
    """

    words: list[Any]
    id: str
    choice: Any


@pytest.fixture(scope="module")
def plain_fit(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> PlainFit:
    """Run `fit` in one process."""
    folder = tmp_path_factory.mktemp("plain-fit")
    words = ["fit", "--images", pictures, "--coreset", "60", "--json", *backbone(folder)]
    return PlainFit(words, *made(call_export(*words, "--out", folder / "plain.bundle")))


def made(done: Done) -> tuple[str, Any]:
    """Return the id of the bundle that a fit made, and what its report says of synthetic faults."""
    assert done.code == 0, done.err
    report = json.loads(done.out)
    return report["bundle_id"], report["choice"]


def test_fit_takes_workers(plain_fit: PlainFit, tmp_path: Path) -> None:
    """`fit --workers` makes the bundle and the report of `fit`, and writes that of Dask where it is asked for."""
    page = tmp_path / "dask.html"
    asked = "--out", tmp_path / "x.bundle", "--workers", "1", "--performance-report", page
    assert made(call_export(*plain_fit.words, *asked)) == plain_fit[1:]
    assert "html" in page.read_text()[:200].lower()


@pytest.mark.parametrize("way", [{"precision": "int8"}, {"tiles": "2x2"}], ids=["int8", "tiles"])
def test_int8_and_tiles_are_the_same_over_workers(
    cluster: Cluster, pictures: Path, tmp_path: Path, way: dict[str, str]
) -> None:
    """A network in int8, and pictures that are cut into tiles, have the bundle and the report of one process, too."""
    onnx.save(small_network(), tmp_path / "small.onnx")
    named = {"backbone": str(tmp_path / "small.onnx"), "layers": tuple(LAYERS), "size": 64, "coreset": 60}
    options = Options(images=str(pictures), out=str(tmp_path / "x.bundle"), force=True, threads=2, **named, **way)
    alone, spread = fit(options), fit(options, cluster=cluster)
    assert spread.manifest.features.precision == way.get("precision", "float32")
    assert (spread.manifest.preprocessing.tiles is not None) == ("tiles" in way)
    assert spread.manifest.features.precision == way.get("precision", "float32")
    assert (spread.bundle_id, spread.choice) == (alone.bundle_id, alone.choice)
    assert spread.precision_cost == alone.precision_cost


@contextmanager
def dask(*words: Any) -> Iterator[None]:
    """Run a program of Dask as a user starts it, and end it."""
    with started(sys.executable, "-m", "dask", *words) as process:
        yield
        process.terminate()
        process.communicate(timeout=ENOUGH_S)


@pytest.mark.parametrize("protocol", ["tcp", "tls"])
def test_fit_works_with_a_scheduler_and_workers_of_their_own(
    plain_fit: PlainFit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    """With scheduler, workers and `fit` each started as a program, also with TLS, the bundle is that of `fit` alone."""
    port = free_port()
    address = f"{protocol}://127.0.0.1:{port}"
    settings = certificates(tmp_path, "cluster") if protocol == "tls" else {}
    monkeypatch.setenv("DASK_CONFIG", str(write_settings(tmp_path / "dask.yaml", settings)))
    with config.set(settings):
        security = Security()
    worker = "worker", address, "--nthreads", 1, "--no-dashboard", "--local-directory", tmp_path
    scheduler = "scheduler", "--protocol", protocol, "--host", "127.0.0.1", "--port", port, "--no-dashboard"
    with dask(*scheduler), dask(*worker), dask(*worker):
        with Client(address, timeout=ENOUGH_S, security=security) as client:
            client.wait_for_workers(2, timeout=ENOUGH_S)
        done = call(*EXPORT, *plain_fit.words, "--out", tmp_path / "x.bundle", "--cluster", address)
        assert made(Done(done.returncode, done.stdout, done.stderr)) == plain_fit[1:]
        with Client(address, timeout=ENOUGH_S, security=security) as client:
            used = client.run(eval, "'export.cluster.worker' in __import__('sys').modules")
    assert list(used.values()) == [True, True]
