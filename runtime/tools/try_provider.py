"""Try providers with a bundle in a process of its own: one that crashes or hangs ends only that process."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from edge_config.bundle import files as bundles
from edge_config.bundle.files import Bundle
from edge_config.errors import BundleError, PatchedgeError
from edge_config.settings.sections import CPU, Provider
from runtime.camera.sources.in_process import FrameSource, open_source
from runtime.frame import Image
from runtime.inference.load import golden_images
from runtime.inference.providers.choice import TriedProvider
from runtime.process.child import BUILDING_S, TIMEOUT_S, ask
from runtime.process.threads import limit_threads
from runtime.tools.bench import decoded
from runtime.tools.bench_figures import Clock
from runtime.tools.compare_batches import with_batch
from runtime.tools.compare_providers import ProviderTrial, measure, try_all

_ROUNDS = 12
"""How often the golden frames are measured."""


FRAME_S = 10.0
"""Time-out for a frame of a source on one provider: in tiles, on a small device."""


class ProviderTask(msgspec.Struct, frozen=True, kw_only=True):
    """What the process shall do.

    Attributes:
        path, id: of the bundle, which was verified.
        providers: to try, by preference.
        threads: of ONNX Runtime.
        rebuild_index: build the index from the bank.
        source: what they are measured on, as of `patchedge run`; by default the golden frames.
        frames: maximum number of frames of the source.
    """

    path: str
    id: str
    providers: tuple[Provider, ...]
    threads: int
    rebuild_index: bool = False
    source: str | None = None
    frames: int = 0


def try_apart(
    bundle: Bundle,
    providers: tuple[Provider, ...],
    threads: int,
    *,
    rebuild_index: bool = False,
    source: str | None = None,
    frames: int = 0,
    child: str,
) -> list[TriedProvider]:
    """Try providers in one process of their own, and return what became of each: golden frames, and times by turns.

    Without a source, of a single one also how many pictures it takes together.

    If the process is ended by a signal, or takes longer than `TIMEOUT_S` (the CPU) or `BUILDING_S` (where something may
    have to be built) and `FRAME_S` for each frame of a source, none of them counts as starting.

    Args:
        bundle: verified.
        providers: to try.
        threads: of ONNX Runtime.
        rebuild_index: build the index from the bank.
        source: what they are measured on; by default the golden frames.
        frames: maximum number of frames of the source.
        child: module whose `main` the process calls; ours is `__name__`.
    """
    task = ProviderTask(
        path=str(bundle.path),
        id=bundle.id,
        providers=providers,
        threads=threads,
        rebuild_index=rebuild_index,
        source=source,
        frames=frames,
    )
    quick = providers == (CPU,) and not rebuild_index
    limit_s = (TIMEOUT_S if quick else BUILDING_S) + frames * len(providers) * FRAME_S
    answer = ask(child, msgspec.json.encode(task).decode(), timeout_s=limit_s)
    if answer.problem:
        return _all_failed(providers, f"does not start: {answer.problem}")
    return msgspec.convert(answer.value, list[TriedProvider])


def main() -> None:
    """Try the providers of the argument, and print what became of them as JSON."""
    task = msgspec.json.decode(sys.argv[1], type=ProviderTask)
    threads = limit_threads(task.threads, blas=1)
    try:
        bundle = bundles.read(task.path)
        if bundle.id != task.id:
            raise BundleError("was replaced meanwhile", where=task.path)
        trials, others = try_all(bundle, threads, task.providers, rebuild_index=task.rebuild_index)
        found = [*_measured(task, bundle, trials), *others] if trials else others
    except PatchedgeError as error:
        found = _all_failed(task.providers, error.what)
    print(msgspec.json.encode(found).decode())


def _measured(task: ProviderTask, bundle: Bundle, trials: Sequence[ProviderTrial]) -> list[TriedProvider]:
    """Measure the providers that started."""
    if task.source is not None:
        with frames_of(task.source, bundle) as camera:
            return measure(trials, shown(camera, task.frames), task.frames)
    images = golden_images(bundle, trials[0].scorer.grid) * _ROUNDS
    measured = measure(trials, images, len(images))
    if len(task.providers) > 1:
        return measured
    return [with_batch(bundle, one.scorer, one.checked, alone) for one, alone in zip(trials, measured, strict=True)]


@contextmanager
def frames_of(source: str, bundle: Bundle) -> Iterator[FrameSource]:
    """Open what a bundle is measured on: a recording from its beginning, at full speed.

    Raises:
        SourceUnavailable: it does not open.
    """
    camera = open_source(source, pace="max", depth=bundle.manifest.preprocessing.depth)
    try:
        yield camera
    finally:
        camera.close()


def shown(camera: FrameSource, most: int) -> Iterator[Image]:
    """Yield the pictures of frames, those that can be read."""
    return (frame.image for frame in decoded(camera, most, Clock()) if frame.image is not None)


def _all_failed(providers: Sequence[Provider], why: str) -> list[TriedProvider]:
    return [TriedProvider(provider=one.name, why=why) for one in providers]
