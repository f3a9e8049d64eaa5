"""Where a fit computes: on the processor, or on a GPU, which is tried before the work begins."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial

import numpy as np

from edge_config.bundle import files as bundles
from edge_config.errors import MissingExtra, ProviderUnavailable
from edge_config.settings.sections import Provider
from export.gpu.embedding import REMEDY, ProviderEmbedding, hold_against
from export.options import Device
from runtime.inference.providers.options import CUDA
from runtime.learning.bank.chosen import Comparer, Comparisons, Entries, Old, norms_of
from runtime.learning.bank.grid import to_grid
from runtime.learning.network_file import DEFAULT
from runtime.learning.parts.part import Computing
from runtime.learning.parts.spread import Here
from runtime.learning.progress import say
from runtime.process.threads import limit_threads
from runtime.scoring.embed import Embed

Make = Callable[[int, int], Comparer]
"""Makes room for entries: takes their number, and the length of a point."""

_POINTS, _ENTRIES, _DIMENSION = 4096, 512, 128  # of the trial: as wide as those of a fit


def here_on(device: Device, threads: int) -> Here:
    """Return where the work of this process is done, with so many threads.

    Raises:
        MissingExtra: torch is not installed.
        ProviderUnavailable: there is no GPU, or torch or ONNX Runtime cannot use it.
        ParityRefused: the GPU's features are not those of the processor.
    """
    if device == "cpu":
        return Here()
    name = _gpu_of_torch()
    threads = limit_threads(threads)  # torch has brought pools of its own
    here = computing_on(Provider(name=CUDA), "cuda", threads)
    say(f"{name} embeds the pictures and selects the bank; all else is done by the processor")
    return here


def computing_on(provider: Provider, device: str, threads: int) -> Here:
    """Return the place where a provider embeds and a device of torch selects, after a trial of both."""
    from export.gpu.entries import TorchEntries

    entries = partial(TorchEntries, device=device)
    require_exact(entries, device)
    embedding, model = ProviderEmbedding(provider, threads), DEFAULT / bundles.MODEL
    hold_against(embedding.start(model), Embed(model, threads))
    return Here(Computing(embedding.streams, entries))


def require_exact(entries: Make, where: str) -> None:
    """Compare drawn points, as large as the grid allows, with drawn entries.

    Raises:
        ProviderUnavailable: the distances are not those of the processor.
    """
    points = to_grid(np.random.default_rng(0).uniform(-1, 1, (_POINTS, _DIMENSION)).astype(np.float32))
    far = int(norms_of(points, points[:1]).argmax())
    points[[1, far]] = points[[far, 1]]  # the second entry is the farthest from the first one
    exact, found = Comparisons.nothing(_POINTS), Comparisons.nothing(_POINTS)
    makers: tuple[tuple[Make, Comparisons], ...] = (Old, exact), (entries, found)
    for make, known in makers:
        comparer = make(_ENTRIES, _DIMENSION)
        for rows in np.split(np.arange(_ENTRIES), [1]):  # the first entry alone, as a selection does
            comparer.append(int(rows[0]), Entries(rows, points[rows]))
        comparer.compare(points, np.arange(_POINTS), known, limit=0.0)
    if not np.array_equal(exact.distances, found.distances):
        raise ProviderUnavailable("its products in float64 are not exact", where=where, remedy=REMEDY)


def _gpu_of_torch() -> str:
    """Return the name of the GPU that torch computes on. ONNX Runtime finds CUDA's libraries once torch has them."""
    try:
        import torch
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "torch is not installed, which `--device cuda` needs",
            remedy="pip install 'patchedge[gpu,export]' with a torch for CUDA, or leave out `--device cuda`",
        ) from error
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        there = torch.cuda.is_available()
    if there:
        return torch.cuda.get_device_name()
    if torch.version.cuda is None:
        raise ProviderUnavailable(f"torch {torch.__version__} is built without CUDA", where="torch", remedy=REMEDY)
    why = f" ({said[0].message})" if said else ""
    raise ProviderUnavailable(f"finds no GPU that it can use{why}", where=f"torch {torch.__version__}", remedy=REMEDY)
