"""Benchmark every provider of ONNX Runtime that starts with a bundle, by turns on the same frames."""

from __future__ import annotations

import os
import platform
from itertools import islice
from pathlib import Path

import msgspec
import onnxruntime

from edge_config.bundle import files as bundles
from edge_config.errors import SourceUnavailable
from edge_config.settings.sections import Provider
from runtime.camera import address
from runtime.inference.load import prepare
from runtime.inference.providers.choice import TriedProvider
from runtime.process.progress import GAUGE
from runtime.process.threads import limit_threads
from runtime.tools import try_provider
from runtime.tools.compare_providers import WARM_UP, built_in
from runtime.tools.try_provider import frames_of, shown, try_apart


class ProvidersBench(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of all providers.

    Attributes:
        bundle: its id.
        threads: in force.
        providers: what became of each that is built in; those that serve first.
        machine, onnxruntime: on what.
    """

    bundle: str
    threads: int
    providers: tuple[TriedProvider, ...]
    machine: str
    onnxruntime: str


def bench_providers(
    path: Path, source: str, *, threads: int, frames: int, child: str = try_provider.__name__
) -> ProvidersBench:
    """Measure the network and a whole frame on each provider, and the differences of the golden frames.

    They share one process, so that they go by turns. If that ends, each is tried in one of its own, and then those that
    serve go by turns.

    Args:
        path: the bundle.
        source: as of `patchedge run`; a recording is played once, at full speed.
        threads: bound on all threads; 0 means all cores.
        frames: maximum number of frames.
        child: module whose `main` tries providers in a process of its own.

    Raises:
        BundleError: it must not be served.
        SourceUnavailable: there is no such source, or it has too few frames.
    """
    threads = limit_threads(threads, blas=1)
    bundle = bundles.read(path)
    with frames_of(source, bundle) as camera:
        count = sum(1 for _ in islice(shown(camera, frames), WARM_UP + 1))
    if count <= WARM_UP:
        raise SourceUnavailable(
            f"{count} readable frames, more than {WARM_UP} are needed", where=address.redact(source)
        )

    def attempt(*providers: Provider) -> list[TriedProvider]:
        with GAUGE.stage(f"measure {', '.join(one.name for one in providers)}"):
            return try_apart(bundle, providers, threads, source=source, frames=frames, child=child)

    wanted = built_in(bundle.manifest.features.precision)
    found = attempt(*wanted)
    if all(one.why for one in found):
        alone = {provider.name: attempt(provider)[0] for provider in wanted}
        good = [provider for provider in wanted if not alone[provider.name].why]
        if not good:
            prepare(bundle, threads)  # raises what is wrong with the bundle
        if len(good) > 1:
            alone |= {one.provider: one for one in attempt(*good) if not one.why}
        found = list(alone.values())
    return ProvidersBench(
        bundle=bundle.id,
        threads=threads,
        providers=tuple(sorted(found, key=lambda one: bool(one.why))),
        machine=f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        onnxruntime=onnxruntime.__version__,
    )
