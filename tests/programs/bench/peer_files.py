"""What the contenders of `peers.py` run: one bundle of ours, the peer's exports with its bank, the bare network."""

from __future__ import annotations

import contextlib
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.numpy import load_file

from edge_config.bundle import files as bundles
from export.cli.main import main as patchedge_export
from tests.programs.bench import peer_anomalib
from tests.programs.bench.peer_anomalib import Network

PROJECTION = 128
PAPER = "--scaling none --centring 0 --position-means 0 --spacing none --may-vary none --score paper --aggregation mean"
"""What the peer has, too: neither channels nor distances are scaled, no part of a mean is taken off."""


@dataclass(frozen=True)
class Files:
    """Paths of all that is compared; `exports` has (ONNX, OpenVINO) of the peer by what it makes: score, map."""

    weights: Path
    bundle: Path
    network: Path
    exports: dict[str, tuple[Path, Path]]

    @property
    def there(self) -> bool:
        """Return whether an earlier run has made them all."""
        paths = [path for pair in self.exports.values() for path in pair]
        return all(path.exists() for path in (self.weights, self.bundle, self.network, *paths))


def paths(work: Path, network: str, entries: int) -> Files:
    """Return where the files of a network and a size of the bank are."""
    folder = work / f"{network}-{entries}"
    exports = {
        made: (folder / made / "weights" / "onnx" / "model.onnx", folder / made / "weights" / "openvino" / "model.xml")
        for made in ("score", "map")
    }
    return Files(folder / "network.pth", folder / "ours.bundle", folder / "network.onnx", exports)


def make(files: Files, network: Network, learn: Path, entries: int, size: int) -> None:
    """Learn as a user does, with the settings that the peer has, and export the peer with the same bank."""
    shutil.rmtree(files.bundle.parent, ignore_errors=True)
    files.bundle.parent.mkdir(parents=True)
    torch.save(network.state(), files.weights)
    _fit(files, network, learn, entries, size)
    bank = load_file(files.bundle / bundles.BANK)["bank"]
    for made, found in files.exports.items():
        peer = peer_anomalib.make_peer(network, files.weights, bank, size, with_map=made == "map")
        exported = peer_anomalib.export_peer(peer, files.bundle.parent / made, size)
        if exported != found:
            raise RuntimeError(f"the peer exports {exported}, not {found}")
    module, picture = peer_anomalib.make_network(network, files.weights), torch.zeros(1, 3, size, size)
    options = {"opset_version": peer_anomalib.OPSET, "dynamo": True, "verbose": False}
    torch.onnx.export(module, (picture,), files.network, **options)


def _fit(files: Files, network: Network, learn: Path, entries: int, size: int) -> None:
    mean, std = (",".join(map(str, values)) for values in (network.mean, network.std))
    arguments = ["--images", learn, "--out", files.bundle, "--backbone", network.name, "--weights", files.weights]
    arguments += ["--layers", ",".join(network.layers), "--mean", mean, "--std", std, "--stride", 1, "--size", size]
    arguments += [*PAPER.split(), "--coreset", entries, "--projection-dim", PROJECTION, "--no-report"]
    with contextlib.redirect_stdout(sys.stderr):  # where the summary belongs here
        code = patchedge_export(["fit", *map(str, arguments)])
    if code:
        raise RuntimeError(f"patchedge-export fit ended with {code}")
