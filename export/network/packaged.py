"""The network of the package: held against its own program where it was made, and here step by step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edge_config.bundle import files as bundles
from export.options import Options
from runtime.learning.network import Network
from runtime.learning.network_file import DEFAULT, FromFile
from runtime.learning.pictures.images import Pictures
from runtime.learning.pictures.survey import Survey
from runtime.scoring.adjust import Adjust
from runtime.scoring.embed import Embed


class PackagedNetwork:
    """The network of the options where they ask for none of their own: no torch is needed for it.

    That its graph computes what the network does was checked in torch when the file was made, and its bytes are those
    by their hash. What remains is this machine: here ONNX Runtime computes every operator of the file by itself, with
    none of the joined and rearranged ones that it serves with.

    Attributes:
        served: the graph, as the device runs it.
        precision: of its convolutions, `float32` or `bf16`.
        program: name of what computes the reference, in float32.
    """

    def __init__(self, pictures: Pictures, survey: Survey, folder: Path, threads: int, precision: str) -> None:
        """Copy it into the folder of the bundle."""
        file = FromFile(DEFAULT, threads, precision=precision)
        self.served: Network = file(pictures, survey, folder)
        self.precision = precision
        made = file.file.record.parity
        self.program = f"onnxruntime {onnxruntime.__version__} step by step ({made.reference} when it was packaged)"
        self._model, self._threads = folder / bundles.MODEL, threads
        self._reference: Embed | None = None

    @property
    def float_graph(self) -> bytes:
        """The graph in float32."""
        return self._model.read_bytes()

    def expected(self, tensor: NDArray[np.uint8], adjust: Adjust) -> NDArray[np.float32]:
        """Return what the graph must give, adjusted, float32 [patches, D]."""
        if self._reference is None:
            self._reference = Embed(self._model, self._threads, optimise=False)
        return adjust(self._reference(tensor))

    def notes(self, _options: Options, _picture_hw: tuple[int, int]) -> list[str]:
        """Return nothing: it has no tiles."""
        return []
