"""Benchmark every provider of ONNX Runtime that starts with a bundle, by turns on the same frames."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import msgspec
import onnxruntime

from edge_config.bundle import files as bundles
from edge_config.errors import SourceUnavailable
from runtime.camera import address
from runtime.camera.sources.in_process import open_source
from runtime.inference.providers.choice import TriedProvider
from runtime.process.threads import limit_threads
from runtime.tools.bench import decoded
from runtime.tools.bench_figures import Clock
from runtime.tools.compare_providers import built_in, measure, try_all


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


def bench_providers(path: Path, source: str, *, threads: int, frames: int) -> ProvidersBench:
    """Measure the network and a whole frame on each provider, and the differences of the golden frames.

    Args:
        path: the bundle.
        source: as of `patchedge run`; a recording is played once, at full speed.
        threads: bound on all threads; 0 means all cores.
        frames: maximum number of frames.

    Raises:
        BundleError: it must not be served.
        SourceUnavailable: there is no such source, or it has too few frames.
    """
    threads = limit_threads(threads, blas=1)
    bundle = bundles.read(path)
    camera = open_source(source, pace="max", depth=bundle.manifest.preprocessing.depth)
    trials, others = try_all(bundle, threads, built_in())
    images = (frame.image for frame in decoded(camera, frames, Clock()) if frame.image is not None)
    try:
        measured = measure(trials, images, frames)
    except ValueError as error:
        raise SourceUnavailable(str(error), where=address.redact(source)) from error
    finally:
        camera.close()
    return ProvidersBench(
        bundle=bundle.id,
        threads=threads,
        providers=(*measured, *others),
        machine=f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        onnxruntime=onnxruntime.__version__,
    )
