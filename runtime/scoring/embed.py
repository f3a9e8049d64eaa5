"""Embed the graph's input into patch features, by ONNX Runtime."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_config.settings.sections import CPU, Provider
from runtime.scoring.adjust import Adjust
from runtime.scoring.graph_session import GraphSession
from runtime.scoring.tiles import Stitch

GraphRun = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Puts the features of a picture into an array, float32 [patches, D], and returns it."""

BATCH = 8
"""Tiles in one call of the graph, where another provider than the CPU computes it. The CPU takes one at a time: its
features are the same bit for bit, four at once took 7 % longer, and each takes 26 MB of memory (EfficientNet-lite0)."""


class Embed:
    """Run the graph: backbone, local aggregation and joining of the layers in one.

    Attributes:
        provider: name of the execution provider that computes it.
        reduced_precision: precision below float32 that it was told to compute in, such as `fp16`; empty if none.
        input_shape, output_shape: of a picture: [N, H, W, 3] and [patches, D].
        session: of the graph; bundles with the same network may share it.
        batch: number of pictures, a power of two, that one run may take together with the same scores.
    """

    def __init__(
        self,
        model: Path,
        threads: int = 0,
        *,
        optimise: bool = True,
        providers: Sequence[Provider] = (CPU,),
        stitch: Stitch | None = None,
        session: GraphSession | None = None,
    ) -> None:
        """Load model.onnx.

        Args:
            model: path of the file.
            threads: threads of ONNX Runtime; 0 means all cores.
            optimise: False runs the operators of the file one by one: slow, for comparisons.
            providers: execution providers, by preference: later ones take the operators that the first cannot compute.
            stitch: of pictures in tiles; None where a picture is one input.
            session: of these very arguments, if there is one already.

        Raises:
            BundleGraphInvalid: ONNX Runtime cannot load the file, or its input or output is invalid.
            ProviderUnavailable: the first provider does not start.
        """
        self._model = model
        self.session = session or GraphSession(
            model, threads, optimise=optimise, providers=providers, inputs=None if stitch else 1
        )
        self.provider = self.session.provider
        self.reduced_precision = ""
        self.input_shape, self.output_shape = self.session.input_shape, self.session.output_shape
        self._adjust = Adjust(np.ones(self.output_shape[1], dtype=np.float32))
        self._stitch = stitch
        self._at_once = 1
        self.batch = 1
        if stitch:
            self._at_once = 1 if self.provider == CPU.name or self.input_shape[:1] == (1,) else BATCH
            self.input_shape = stitch.tiles, *self.input_shape[1:]
            self.output_shape = stitch.patches, *self.output_shape[1:]

    def adjusted(self, adjust: Adjust) -> Embed:
        """Return the same graph with features that are adjusted after it."""
        other = copy.copy(self)
        other._adjust = adjust  # noqa: SLF001 - of its own kind
        return other

    def in_batches(self, batch: int) -> Embed:
        """Return the same graph for up to so many pictures at once."""
        other = copy.copy(self)
        other.batch = batch
        return other

    def __call__(self, tensor: NDArray[np.uint8], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Return the patch features, float32 [patches, D], of an input uint8 [N, H, W, 3] BGR, in `out` if given."""
        features = np.empty(self.output_shape, dtype=np.float32) if out is None else out
        if self._stitch is None:
            return self._adjust(self.session(tensor, features))
        some = np.empty((self._at_once * self._stitch.per_tile, features.shape[1]), dtype=np.float32)
        for first in range(0, len(tensor), self._at_once):
            inputs = _filled(tensor[first : first + self._at_once], self._at_once)
            self._stitch.put(features, first, self.session(inputs, some))
        return self._adjust(features)

    def together(self, tensors: Sequence[NDArray[np.uint8]], out: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the graph once for several pictures that are no tiles, for this bundle or others with its network.

        Args:
            tensors: their inputs, each uint8 [1, H, W, 3]; their number is a power of two up to `batch`.
            out: memory for so many features, float32 [pictures * patches * D].

        Returns:
            What the graph makes of each, float32 [pictures, patches, D], in `out`; `finish` it.
        """
        patches, dimension = self.output_shape
        self.session.of(len(tensors), self._model)(np.concatenate(tensors), out.reshape(-1, dimension))
        return out.reshape(-1, patches, dimension)

    def finish(self, made: NDArray[np.float32], out: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the patch features of one of these pictures, float32 [patches, D], in `out`."""
        out[:] = made
        return self._adjust(out)


def _filled(tensor: NDArray[np.uint8], batch: int) -> NDArray[np.uint8]:
    """Fill up inputs to a batch: providers that compile a graph do it for each number of inputs."""
    rest = batch - len(tensor)
    return np.concatenate([tensor, np.zeros((rest, *tensor.shape[1:]), dtype=np.uint8)]) if rest else tensor
