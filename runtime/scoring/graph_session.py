"""A graph in ONNX Runtime: one session for one number of inputs at once, and others of the same file for more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edge_config.errors import BundleGraphInvalid, ProviderUnavailable
from edge_config.settings.providers import is_on
from edge_config.settings.sections import CPU, Provider
from runtime.scoring.fixed_binding import FixedBinding

onnxruntime.set_default_logger_severity(3)  # errors only: warnings about graph internals are not for users


_SPIN_US = "100"  # after an operator: longer than the gap between two, far shorter than a frame
# The duration was first seen in this version.
_CAN_SPIN_SHORTLY = tuple(map(int, onnxruntime.__version__.split(".")[:2])) >= (1, 32)

INPUTS = "tiles"
"""Name of the first axis of a graph that takes any number of inputs at once, be they tiles or pictures."""

_CUDA_GRAPHS = ("enable_cuda_graph", "trt_cuda_graph_enable")
"""Options that have CUDA or TensorRT record the graph once, with the addresses of input and output, and replay it."""


def session_options(threads: int, inputs: int | None = 1) -> onnxruntime.SessionOptions:
    """Return the options of a session with this number of threads; 0 means all cores. `inputs` as of `GraphSession`."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning threads would take the cores that the search needs a moment later. But without any spinning, each
    # operator waits for a sleeping thread to wake up: measured on two threads, 7.2 ms instead of 6.2.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if _CAN_SPIN_SHORTLY else "0")
    options.add_session_config_entry("session.intra_op.spin_duration_us", _SPIN_US)
    if inputs is not None:
        options.add_free_dimension_override_by_name(INPUTS, inputs)
    return options


class GraphSession:
    """Runs a graph: inputs uint8 [N, H, W, 3] to features float32 [N * patches, D]. Any thread may call it.

    Attributes:
        provider: name of the execution provider that computes it.
        input_shape, output_shape: as the session says; a name in place of N where it takes any number.
    """

    def __init__(
        self,
        model: Path,
        threads: int = 0,
        *,
        optimise: bool = True,
        providers: Sequence[Provider] = (CPU,),
        inputs: int | None = 1,
    ) -> None:
        """Load a graph.

        Args:
            model: path of the file.
            threads: threads of ONNX Runtime; 0 means all cores.
            optimise: False runs the operators of the file one by one: slow, for comparisons.
            providers: execution providers, by preference.
            inputs: inputs at once, where the file leaves that open: with a fixed number the session is planned for it,
                as one whose file has that number. None: any.

        Raises:
            BundleGraphInvalid: ONNX Runtime cannot load the file, or its input or output is invalid.
            ProviderUnavailable: the first provider does not start.
        """
        self._made_by = threads, optimise, providers
        self._others: dict[int, GraphSession] = {}
        options = session_options(threads, inputs)
        if not optimise:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            self._session = onnxruntime.InferenceSession(str(model), options, providers=chain_of(providers))
        except Exception as error:  # the only common base of ONNX Runtime's exceptions
            raise BundleGraphInvalid(f"ONNX Runtime refuses it ({error})", where=str(model)) from error
        found, made = self._session.get_inputs(), self._session.get_outputs()
        if len(found) != 1 or len(made) != 1 or found[0].type != "tensor(uint8)":
            raise BundleGraphInvalid("not a graph with one uint8 input and one output", where=str(model))
        self._session.disable_fallback()  # it would silently use another provider
        self.provider: str = self._session.get_providers()[0]
        if self.provider != providers[0].name:
            raise ProviderUnavailable("does not start: ONNX Runtime uses another provider", where=providers[0].name)
        self._input, self._output = found[0].name, made[0].name
        self.input_shape: tuple[int, ...] = tuple(found[0].shape)
        self.output_shape: tuple[int, ...] = tuple(made[0].shape)
        graphs = any(is_on(providers[0], option) for option in _CUDA_GRAPHS)
        self._fixed = FixedBinding(self._session, "cuda") if graphs else None

    def __call__(self, tensor: NDArray[np.uint8], features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the graph once, into `features`, and return them."""
        if self._fixed is not None:
            self._fixed(tensor, features)
            return features
        binding = self._session.io_binding()
        binding.bind_cpu_input(self._input, np.ascontiguousarray(tensor))
        binding.bind_output(self._output, "cpu", 0, np.float32, features.shape, features.ctypes.data)
        self._session.run_with_iobinding(binding)
        return features

    def of(self, inputs: int, model: Path) -> GraphSession:
        """Return the same graph for so many inputs at once; where its file takes one only, it does not.

        Each number has a session of its own: providers that compile a graph do that for each, and it happens once.

        Args:
            inputs: inputs at once.
            model: the graph's file in a bundle that is in service; the one that was loaded may be gone since.

        Raises:
            ProviderUnavailable: the file takes another number.
            BundleGraphInvalid: as a new one does.
        """
        if inputs == self.input_shape[0]:
            return self
        if inputs not in self._others:
            threads, optimise, providers = self._made_by
            made = GraphSession(model, threads, optimise=optimise, providers=providers, inputs=inputs)
            if made.input_shape[0] != inputs:
                raise ProviderUnavailable(f"its graph takes {made.input_shape[0]} at a time", where=str(model))
            self._others[inputs] = made
        return self._others[inputs]


def chain_of(providers: Sequence[Provider]) -> list[tuple[str, dict[str, str]]]:
    """Return providers in the form that a session takes."""
    return [(provider.name, _as_text(provider.options)) for provider in providers]


def _as_text(options: dict[str, str | int | float | bool]) -> dict[str, str]:
    """Return options in the form that ONNX Runtime reads."""
    return {key: str(int(value)) if isinstance(value, bool) else str(value) for key, value in options.items()}
