"""Connect to a Dask cluster, or start one of worker processes on this machine."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from edge_config.errors import MissingExtra, UnavailableError, UsageError
from runtime.learning.progress import say

if TYPE_CHECKING:
    from distributed import Client

CONNECT_S = 20
"""Time for the scheduler to answer, and for the first worker to be there."""

_SETTINGS = {
    "distributed.scheduler.active-memory-manager.start": False,  # every worker keeps what it was sent
    "distributed.scheduler.allowed-failures": 10,  # a worker that dies takes many tasks with it: not their fault
    "distributed.admin.large-graph-warning-threshold": "1GiB",  # a network and a bank are sent once
    "distributed.worker.memory.target": False,  # features have a file of their own where they are large
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.comm.timeouts.connect": f"{CONNECT_S}s",
}

_CERTIFICATES = "set ca-file, client.cert and client.key of distributed.comm.tls in Dask's configuration"


class WantedCluster(Protocol):
    """Options that say which cluster is used.

    Attributes:
        cluster: address of a scheduler, such as `tcp://scheduler:8786`; None: none.
        workers: number of worker processes on this machine; None: none.
        threads: of all local workers together; 0 means all cores.
        mixed: accept workers that compute differently.
        performance_report: file for Dask's report of the work; None: none.
    """

    @property
    def cluster(self) -> str | None: ...  # noqa: D102
    @property
    def workers(self) -> int | None: ...  # noqa: D102
    @property
    def threads(self) -> int: ...  # noqa: D102
    @property
    def mixed(self) -> bool: ...  # noqa: D102
    @property
    def performance_report(self) -> str | None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """These options alone, as `fit --plan` has them."""

    cluster: str | None = None
    workers: int | None = None
    threads: int = 0
    mixed: bool = False
    performance_report: str | None = None

    @property
    def spread(self) -> bool:
        """Whether workers do the work on pictures."""
        return bool(self.cluster or self.workers)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that is connected.

    Attributes:
        client: of its scheduler.
        mixed: workers that compute differently are accepted.
    """

    client: Client
    mixed: bool = False

    @property
    def addresses(self) -> list[str]:
        """Addresses of the workers that are there now."""
        return sorted(self.client.nthreads())  # type: ignore[no-untyped-call] # `scheduler_info` is sometimes cut short

    @property
    def workers(self) -> int:
        """Number of the workers that are there now, at least 1: one that died comes back, or another one comes."""
        return max(1, len(self.addresses))


@contextmanager
def cluster_of(options: WantedCluster) -> Iterator[Cluster]:
    """Connect to the cluster that the options ask for, and leave it, or end it where it is a local one.

    Raises:
        MissingExtra: Dask is not installed.
        UsageError: both a scheduler and local workers are asked for.
        UnavailableError: the scheduler does not answer, or has no worker.
    """
    if options.cluster and options.workers:
        raise UsageError(
            "--cluster and --workers: give one of them", remedy="--workers starts a cluster on this machine"
        )
    dask, distributed = _load()
    with dask.config.set(_SETTINGS):
        if options.cluster:
            with _connected(distributed, options.cluster) as client, _reported(distributed, options):
                yield Cluster(client, options.mixed)
        else:
            with _local(distributed, options) as client, _reported(distributed, options):
                yield Cluster(client, options.mixed)


def _load() -> tuple[Any, Any]:
    try:
        import dask
        import distributed
    except ImportError as error:
        raise MissingExtra(f"{error.name} is not installed", remedy="pip install 'patchedge[cluster]'") from error
    return dask, distributed


@contextmanager
def _connected(distributed: Any, address: str) -> Iterator[Client]:
    certificates = _certificates(distributed, address)
    try:
        asyncio.run(_answer(distributed, address, certificates))  # a client that cannot would leave its thread behind
    except distributed.comm.core.FatalCommClosedError as error:
        what = "the scheduler has no TLS, or its certificate or ours is of another CA"
        raise UnavailableError(what, where=address, remedy=_CERTIFICATES) from error
    except (OSError, ValueError) as error:
        remedy = "start it with `dask scheduler`, and check address and network"
        raise UnavailableError("no scheduler answers here", where=address, remedy=remedy) from error
    with distributed.Client(address) as client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_S)
        except TimeoutError as error:
            remedy = f"start some with `dask worker {address}`, where patchedge[export,cluster] is installed"
            raise UnavailableError("the scheduler has no workers", where=address, remedy=remedy) from error
        yield client


def _certificates(distributed: Any, address: str) -> dict[str, Any]:
    """Return the arguments of a connection: with TLS, the certificates of Dask's configuration."""
    try:
        found: dict[str, Any] = distributed.Security().get_connection_args("client")
    except (OSError, ValueError) as error:
        what = f"the certificates of Dask's configuration cannot be read ({error})"
        raise UsageError(what, where=address, remedy=_CERTIFICATES) from error
    if address.startswith("tls:") and found["ssl_context"] is None:
        raise UsageError("needs certificates", where=address, remedy=_CERTIFICATES)
    return found


async def _answer(distributed: Any, address: str, certificates: dict[str, Any]) -> None:
    comm = await distributed.core.connect(address, timeout=CONNECT_S, **certificates)
    await comm.close()


@contextmanager
def _local(distributed: Any, options: WantedCluster) -> Iterator[Client]:
    count = options.workers or 1
    threads = max(1, (options.threads or len(os.sched_getaffinity(0))) // count)
    with (
        tempfile.TemporaryDirectory(prefix="patchedge-workers-") as folder,
        distributed.LocalCluster(
            n_workers=count,
            security=_for_this_run(distributed),
            threads_per_worker=threads,
            processes=True,
            memory_limit=0,
            local_directory=folder,
            dashboard_address="127.0.0.1:0",
            silence_logs="ERROR",
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        say(f"{count} workers of {threads} threads; dashboard: {client.dashboard_link}")
        yield client


def _for_this_run(distributed: Any) -> Any:
    """Return certificates that are in memory alone: programs could be run here by any connection to a worker."""
    try:
        return distributed.Security.temporary()
    except ImportError:
        what = "the package `cryptography` is not installed: until this ends, other users of this machine could run"
        say(f"{what} programs in your name (pip install 'patchedge[cluster]')")
        return None


@contextmanager
def _reported(distributed: Any, options: WantedCluster) -> Iterator[None]:
    """Write Dask's report of the work, where it is asked for."""
    if not options.performance_report:
        yield
        return
    with distributed.performance_report(filename=options.performance_report):
        yield
