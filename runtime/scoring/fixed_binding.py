"""Input and output of a graph at a fixed place on a device, as CUDA graphs want them: they replay the addresses."""

from __future__ import annotations

import threading

import numpy as np
import onnxruntime
from numpy.typing import NDArray


class FixedBinding:
    """Run a session whose input and output stay where they are. Safe from any thread, one run at a time.

    Not run on a GPU: tested on the CPU, which takes the same calls.
    """

    def __init__(self, session: onnxruntime.InferenceSession, device: str) -> None:
        """Take a session; `device` is `cuda` or `cpu`. Room is made at the first run."""
        self._session, self._device = session, device
        self._lock = threading.Lock()
        self._bound: tuple[onnxruntime.IOBinding, onnxruntime.OrtValue, onnxruntime.OrtValue] | None = None

    def __call__(self, tensor: NDArray[np.uint8], features: NDArray[np.float32]) -> None:
        """Run the graph once, into `features`; both have the shapes of the first run."""
        with self._lock:
            self._bound = self._bound or self._bind(tensor.shape, features.shape)
            binding, source, target = self._bound
            source.update_inplace(np.ascontiguousarray(tensor))
            self._session.run_with_iobinding(binding)
            features[:] = target.numpy()

    def _bind(
        self, input_shape: tuple[int, ...], output_shape: tuple[int, ...]
    ) -> tuple[onnxruntime.IOBinding, onnxruntime.OrtValue, onnxruntime.OrtValue]:
        room = onnxruntime.OrtValue.ortvalue_from_shape_and_type
        source = room(input_shape, np.uint8, self._device, 0)
        target = room(output_shape, np.float32, self._device, 0)
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(self._session.get_inputs()[0].name, source)
        binding.bind_ortvalue_output(self._session.get_outputs()[0].name, target)
        return binding, source, target
