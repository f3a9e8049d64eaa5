"""Embed the graph's input into patch features, by ONNX Runtime."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edge_config.errors import BundleGraphInvalid, ProviderUnavailable
from edge_config.settings.providers import is_on
from edge_config.settings.sections import CPU, Provider
from runtime.scoring.adjust import Adjust
from runtime.scoring.fixed_binding import FixedBinding
from runtime.scoring.tiles import Stitch

onnxruntime.set_default_logger_severity(3)  # errors only: warnings about graph internals are not for users


_SPIN_US = "100"  # after an operator: longer than the gap between two, far shorter than a frame
# The duration was first seen in this version.
_CAN_SPIN_SHORTLY = tuple(map(int, onnxruntime.__version__.split(".")[:2])) >= (1, 32)


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """Return the options of a session with this number of threads; 0 means all cores."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning threads would take the cores that the search needs a moment later. But without any spinning, each
    # operator waits for a sleeping thread to wake up: measured on two threads, 7.2 ms instead of 6.2.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if _CAN_SPIN_SHORTLY else "0")
    options.add_session_config_entry("session.intra_op.spin_duration_us", _SPIN_US)
    return options


BATCH = 8
"""Tiles in one call of the graph, where another provider than the CPU computes it. The CPU takes one at a time: its
features are the same bit for bit, four at once took 7 % longer, and each takes 26 MB of memory (EfficientNet-lite0)."""


_CUDA_GRAPHS = ("enable_cuda_graph", "trt_cuda_graph_enable")
"""Options that have CUDA or TensorRT record the graph once, with the addresses of input and output, and replay it."""


class Embed:
    """Run the graph: backbone, local aggregation and joining of the layers in one.

    Attributes:
        provider: name of the execution provider that computes it.
        reduced_precision: precision below float32 that it was told to compute in, such as `fp16`; empty if none.
        input_shape, output_shape: of a picture: [N, H, W, 3] and [patches, D].
    """

    def __init__(
        self,
        model: Path,
        threads: int = 0,
        *,
        optimise: bool = True,
        providers: Sequence[Provider] = (CPU,),
        stitch: Stitch | None = None,
    ) -> None:
        """Load model.onnx.

        Args:
            model: path of the file.
            threads: threads of ONNX Runtime; 0 means all cores.
            optimise: False runs the operators of the file one by one: slow, for comparisons.
            providers: execution providers, by preference: later ones take the operators that the first cannot compute.
            stitch: of pictures in tiles; None where a picture is one input.

        Raises:
            BundleGraphInvalid: ONNX Runtime cannot load the file, or its input or output is invalid.
            ProviderUnavailable: the first provider does not start.
        """
        options = session_options(threads)
        if not optimise:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            chain = [(provider.name, _as_text(provider.options)) for provider in providers]
            self._session = onnxruntime.InferenceSession(str(model), options, providers=chain)
        except Exception as error:  # the only common base of ONNX Runtime's exceptions
            raise BundleGraphInvalid(f"ONNX Runtime refuses it ({error})", where=str(model)) from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1 or inputs[0].type != "tensor(uint8)":
            raise BundleGraphInvalid("not a graph with one uint8 input and one output", where=str(model))
        self._session.disable_fallback()  # it would silently use another provider
        self.provider: str = self._session.get_providers()[0]
        self.reduced_precision = ""
        if self.provider != providers[0].name:
            raise ProviderUnavailable("does not start: ONNX Runtime uses another provider", where=providers[0].name)
        self._input, self._output = inputs[0].name, outputs[0].name
        self.input_shape: tuple[int, ...] = tuple(inputs[0].shape)
        self.output_shape: tuple[int, ...] = tuple(outputs[0].shape)
        self._adjust = Adjust(np.ones(self.output_shape[1], dtype=np.float32))
        self._stitch = stitch
        graphs = any(is_on(providers[0], option) for option in _CUDA_GRAPHS)
        self._fixed = FixedBinding(self._session, "cuda") if graphs else None
        self._batch = 1
        if stitch:
            self._batch = 1 if self.provider == CPU.name or self.input_shape[:1] == (1,) else BATCH
            self.input_shape = stitch.tiles, *self.input_shape[1:]
            self.output_shape = stitch.patches, *self.output_shape[1:]

    def adjusted(self, adjust: Adjust) -> Embed:
        """Return the same graph with features that are adjusted after it."""
        other = copy.copy(self)
        other._adjust = adjust  # noqa: SLF001 - of its own kind
        return other

    def __call__(self, tensor: NDArray[np.uint8], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Return the patch features, float32 [patches, D], of an input uint8 [N, H, W, 3] BGR, in `out` if given."""
        features = np.empty(self.output_shape, dtype=np.float32) if out is None else out
        if self._stitch is None:
            return self._adjust(self._run(tensor, features))
        some = np.empty((self._batch * self._stitch.per_tile, features.shape[1]), dtype=np.float32)
        for first in range(0, len(tensor), self._batch):
            inputs = _filled(tensor[first : first + self._batch], self._batch)
            self._stitch.put(features, first, self._run(inputs, some))
        return self._adjust(features)

    def _run(self, tensor: NDArray[np.uint8], features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the graph once, into `features`."""
        if self._fixed is not None:
            self._fixed(tensor, features)
            return features
        binding = self._session.io_binding()
        binding.bind_cpu_input(self._input, np.ascontiguousarray(tensor))
        binding.bind_output(self._output, "cpu", 0, np.float32, features.shape, features.ctypes.data)
        self._session.run_with_iobinding(binding)
        return features


def _filled(tensor: NDArray[np.uint8], batch: int) -> NDArray[np.uint8]:
    """Fill up inputs to a batch: providers that compile a graph do it for each number of inputs."""
    rest = batch - len(tensor)
    return np.concatenate([tensor, np.zeros((rest, *tensor.shape[1:]), dtype=np.uint8)]) if rest else tensor


def _as_text(options: dict[str, str | int | float | bool]) -> dict[str, str]:
    """Return options in the form that ONNX Runtime reads."""
    return {key: str(int(value)) if isinstance(value, bool) else str(value) for key, value in options.items()}
