"""Learn with a network file: the graph goes into the bundle as it is."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from edge_config.bundle import files as bundles
from edge_config.bundle import network_file
from edge_config.bundle.files import SignatureCheck
from edge_config.bundle.network_file import NetworkFile
from runtime.inference.providers.bf16 import made_with
from runtime.learning.gate.parity import TOLERANCES
from runtime.learning.network import Network
from runtime.learning.pictures.images import Pictures
from runtime.learning.pictures.sizes import Crop
from runtime.learning.pictures.survey import Survey
from runtime.scoring.embed import Embed

DEFAULT = Path(__file__).parent / "networks" / "efficientnet-lite0.network"
"""The network that `learn` takes, and `fit` too unless its options ask for another one. `make network` makes it."""


class FromFile:
    """Gives the network of a file to pictures.

    Attributes:
        file: the network file.
        crop: what it sees of a picture; None: all of it.
    """

    def __init__(
        self, path: Path, threads: int, judge: SignatureCheck | None = None, precision: str | None = None
    ) -> None:
        """Verify it.

        Args:
            path: its directory.
            threads: of ONNX Runtime.
            judge: checks its signature.
            precision: to compute it in; by default as it was made. A graph in float32 can be computed in bf16, too.

        Raises:
            BundleError: a subclass for each thing that can be wrong with it.
        """
        self.file: NetworkFile = network_file.read(path, judge)
        spec = self.file.record.preprocessing
        self.crop = None if spec.resize_hw == spec.crop_hw else Crop(spec.resize_hw[0], spec.crop_hw[0], accepted=True)
        self._threads = threads
        self._precision = precision

    def __call__(self, pictures: Pictures, _survey: Survey, folder: Path) -> Network:
        """Copy the graphs into the folder of a bundle, and start the one that is served."""
        record = self.file.record
        for name in record.files:
            shutil.copyfile(self.file.path / name, folder / name)
        spec = msgspec.structs.replace(record.preprocessing, depth=pictures.depth)
        precision = self._precision or record.features.precision
        section = msgspec.structs.replace(record.features, precision=precision)
        embed = Embed(folder / bundles.MODEL, self._threads, providers=made_with(precision, self._threads))
        return Network.of(spec, embed, section, TOLERANCES[precision])
