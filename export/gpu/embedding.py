"""Embed pictures by a provider of ONNX Runtime for a GPU, after it was held against the CPU provider."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_config.errors import ProviderUnavailable
from edge_config.settings.sections import CPU, Provider
from runtime.inference.providers.start import PassedOver, starting
from runtime.learning.gate.differences import ROUNDING, apart, judge
from runtime.learning.parts.portable import MAX_STREAMS, PortableNetwork
from runtime.scoring.embed import Embed
from runtime.scoring.graph_session import GraphSession
from runtime.scoring.tiles import Stitch

REMEDY = "install what it needs (docs/guide/providers.md), or leave out `--device cuda`"

_REASON = "leave out `--device cuda`: the GPU computes in fewer bits (TF32?), or it or its driver is faulty"


class ProviderEmbedding:
    """Gives graphs that a provider computes."""

    def __init__(self, provider: Provider, threads: int) -> None:
        """Take the provider, and the threads of what it leaves to the CPU."""
        self._chain = (provider,) if provider.name == CPU.name else (provider, CPU)
        self._threads = threads
        self._made: tuple[PortableNetwork, Embed] | None = None

    def streams(self, network: PortableNetwork, threads: int) -> tuple[Embed, int]:
        """Return a network that has its file, for as many pictures at a time: they are read and resized meanwhile.

        Raises:
            ProviderUnavailable: it does not start.
            ParityRefused: its features are not those of the CPU.
        """
        if self._made is None or self._made[0] is not network:
            embed = network.started(self.start)
            hold_against(embed, network.network.embed)
            self._made = network, embed
        return self._made[1], min(threads, MAX_STREAMS)

    def start(self, model: Path, stitch: Stitch | None = None) -> Embed:
        """Start a graph.

        Raises:
            ProviderUnavailable: the provider is not there, or does not start.
        """

        def start(model: Path, threads: int, chain: Sequence[Provider]) -> Embed:
            session = _Session(model, threads, providers=chain, inputs=None if stitch else 1)
            return Embed(model, threads, providers=chain, stitch=stitch, session=session)

        passed: list[PassedOver] = []
        embed = next(starting(model, self._threads, self._chain, passed, start=start))
        if passed:
            raise ProviderUnavailable(passed[0].why, where=passed[0].provider, remedy=REMEDY)
        return embed


def hold_against(embed: Embed, cpu: Embed) -> None:
    """Compare features of a drawn picture, relative to the longest one.

    Raises:
        ParityRefused: they differ by more than rounding.
    """
    drawn = np.random.default_rng(0).integers(256, size=cpu.input_shape, dtype=np.uint8)
    way = f"{embed.provider} against {cpu.provider}, features"
    judge([(way, apart(embed(drawn), cpu(drawn)), ROUNDING, _REASON)])


class _Session(GraphSession):
    """A graph on a device that may fail, or run out of memory, at any picture."""

    def __call__(self, tensor: NDArray[np.uint8], features: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            return super().__call__(tensor, features)
        except Exception as error:  # the only common base of ONNX Runtime's exceptions
            raise ProviderUnavailable(f"fails ({error})", where=self.provider, remedy=REMEDY) from error
