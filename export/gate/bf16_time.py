"""What bf16 gains on this machine: the graph in bfloat16 beside the same in float32, by turns in one process."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

import numpy as np

from edge_config.settings.sections import CPU, Provider
from runtime.inference.providers.bf16 import made_with
from runtime.inference.providers.options import BF16, OPENVINO, complete
from runtime.scoring.embed import Embed

ROUNDS, WARM_UP = 30, 3
"""Runs of each, of which the median counts, and those before that do not: the default network takes 10 ms."""

WORTHWHILE = 0.95
"""Share of float32's time that bf16 may take to be worth its making: smaller differences come and go."""


def compare_times(model: Path, threads: int) -> list[str]:
    """Return a sentence about the time of the graph in bf16, as a share of that in float32, on this machine now.

    Args:
        model: the graph, in float32.
        threads: of ONNX Runtime.
    """
    bf16, *float32 = _medians(
        model, threads, made_with(BF16, threads)[0], CPU, complete(Provider(name=OPENVINO), threads)
    )
    by_cpu, by_openvino = (bf16 / one for one in float32)
    times = (
        f"bf16 takes {by_cpu:.2f} of the time that the CPU provider takes for the graph in float32 on this machine, "
        f"and {by_openvino:.2f} of OpenVINO's in float32 ({threads} threads)"
    )
    if max(by_cpu, by_openvino) <= WORTHWHILE:
        return [times]
    return [f"{times}: for this kind of machine make the bundle in float32, which is at least as fast, and more exact"]


def _medians(model: Path, threads: int, *providers: Provider) -> list[float]:
    """Return the median time of a run on each, seconds; each is the first as often as the others."""
    graphs = [Embed(model, threads, providers=(provider,)) for provider in providers]
    tensor = np.random.default_rng(0).integers(0, 256, graphs[0].input_shape, dtype=np.uint8)
    taken: list[list[float]] = [[] for _ in graphs]
    for number in range(WARM_UP + ROUNDS):
        for place in range(len(graphs)):
            which = (number + place) % len(graphs)
            began_s = time.perf_counter()
            graphs[which](tensor)
            taken[which].append(time.perf_counter() - began_s)
    return [median(one[WARM_UP:]) for one in taken]
