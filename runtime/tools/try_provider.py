"""Try providers with a bundle in a process of its own: one that crashes or hangs ends only that process."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import msgspec

from edge_config.bundle import files as bundles
from edge_config.bundle.files import Bundle
from edge_config.errors import BundleError, PatchedgeError
from edge_config.settings.sections import CPU, Provider
from runtime.inference.load import golden_images
from runtime.inference.providers.choice import TriedProvider
from runtime.process.child import BUILDING_S, TIMEOUT_S, ask
from runtime.process.threads import limit_threads
from runtime.tools.compare_batches import with_batch
from runtime.tools.compare_providers import measure, try_all

_ROUNDS = 12
"""How often the golden frames are measured."""


class ProviderTask(msgspec.Struct, frozen=True, kw_only=True):
    """What the process shall do.

    Attributes:
        path, id: of the bundle, which was verified.
        providers: to try, by preference.
        threads: of ONNX Runtime.
        rebuild_index: build the index from the bank.
    """

    path: str
    id: str
    providers: tuple[Provider, ...]
    threads: int
    rebuild_index: bool = False


def try_apart(
    bundle: Bundle, providers: tuple[Provider, ...], threads: int, *, rebuild_index: bool, child: str
) -> list[TriedProvider]:
    """Try providers in one process of their own, and return what became of each: golden frames, and times by turns.

    Of a single one also how many pictures it takes together.

    If the process is ended by a signal, or takes longer than `TIMEOUT_S` (the CPU) or `BUILDING_S` (where something may
    have to be built), none of them counts as starting.

    Args:
        bundle: verified.
        providers: to try.
        threads: of ONNX Runtime.
        rebuild_index: build the index from the bank.
        child: module whose `main` the process calls; ours is `__name__`.
    """
    task = ProviderTask(
        path=str(bundle.path), id=bundle.id, providers=providers, threads=threads, rebuild_index=rebuild_index
    )
    limit_s = TIMEOUT_S if providers == (CPU,) and not rebuild_index else BUILDING_S
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
        images = golden_images(bundle, trials[0].scorer.grid) * _ROUNDS if trials else []
        measured = measure(trials, images, len(images)) if trials else []
        if len(task.providers) == 1:
            measured = [
                with_batch(bundle, one.scorer, one.checked, alone) for one, alone in zip(trials, measured, strict=True)
            ]
        found = [*measured, *others]
    except PatchedgeError as error:
        found = _all_failed(task.providers, error.what)
    print(msgspec.json.encode(found).decode())


def _all_failed(providers: Sequence[Provider], why: str) -> list[TriedProvider]:
    return [TriedProvider(provider=one.name, why=why) for one in providers]
