"""Try providers of ONNX Runtime with a bundle: golden frames, and times by turns."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import onnxruntime

from edge_config.bundle.files import Bundle
from edge_config.settings.sections import CPU, Provider
from runtime.frame import Image
from runtime.inference.golden_check import GoldenCheck
from runtime.inference.load import on_each
from runtime.inference.providers.bf16 import in_bf16
from runtime.inference.providers.choice import TriedProvider
from runtime.inference.providers.options import BF16, OPENVINO
from runtime.inference.providers.start import PassedOver
from runtime.process.progress import GAUGE
from runtime.scoring.scorer import Scorer

WARM_UP = 3
"""Number of first pictures that do not count."""


@dataclass(frozen=True, slots=True, eq=False)
class ProviderTrial:
    """A provider that starts.

    Attributes:
        provider: as it was started.
        scorer: the stages on it.
        checked: its golden frames.
    """

    provider: Provider
    scorer: Scorer
    checked: GoldenCheck


def built_in(precision: str = "float32") -> tuple[Provider, ...]:
    """Return the providers that are built in, as they serve a bundle of this precision, the CPU last."""
    names = onnxruntime.get_available_providers()
    plain = (Provider(name=name) for name in names if name != CPU.name)
    return (*(in_bf16() if precision == BF16 and one.name == OPENVINO else one for one in plain), CPU)


def try_all(
    bundle: Bundle, threads: int, providers: Sequence[Provider], *, rebuild_index: bool = False
) -> tuple[list[ProviderTrial], list[TriedProvider]]:
    """Start one provider after the other.

    Returns:
        Those whose golden frames are good, and what became of the others.
    """
    passed: list[PassedOver] = []
    by_name = {provider.name: provider for provider in providers}
    trials = [
        ProviderTrial(by_name[checked.provider], scorer, checked)
        for scorer, checked in on_each(bundle, threads, providers, passed, rebuild_index=rebuild_index)
    ]
    bad = [
        TriedProvider(
            provider=one.provider.name,
            scores=one.checked.scores,
            distances_mean=one.checked.distances_mean,
            why=one.checked.differences,
        )
        for one in trials
        if not one.checked.good
    ]
    failed = [TriedProvider(provider=one.provider, why=str(one).partition(": ")[2]) for one in passed]
    return [one for one in trials if one.checked.good], bad + failed


def measure(trials: Sequence[ProviderTrial], images: Iterable[Image], total: int) -> list[TriedProvider]:
    """Measure providers on the same pictures, by turns: each is the first as often as the others.

    Args:
        trials: the providers.
        images: pictures uint8 [H, W, 3] BGR; the first `WARM_UP` do not count.
        total: how many, for the progress.

    Raises:
        ValueError: there are no more than `WARM_UP`.
    """
    graph: list[list[float]] = [[] for _ in trials]
    frame: list[list[float]] = [[] for _ in trials]
    with GAUGE.stage("measure providers", total, "frames") as stage:
        for number, image in enumerate(images):
            tensor = trials[0].scorer.preprocess(image)
            for place in range(len(trials)):
                which = (number + place) % len(trials)
                scorer = trials[which].scorer
                began_s = time.perf_counter()
                scorer.embed(tensor)
                half_s = time.perf_counter()
                scorer(image)
                graph[which].append((half_s - began_s) * 1e3)
                frame[which].append((time.perf_counter() - half_s) * 1e3)
            stage.update()
    if any(len(one) <= WARM_UP for one in graph):
        raise ValueError(f"{len(graph[0])} readable frames, more than {WARM_UP} are needed")
    return [
        TriedProvider(
            provider=one.provider.name,
            graph_ms=median(graph[number][WARM_UP:]),
            frame_ms=median(frame[number][WARM_UP:]),
            scores=one.checked.scores,
            distances_mean=one.checked.distances_mean,
        )
        for number, one in enumerate(trials)
    ]
