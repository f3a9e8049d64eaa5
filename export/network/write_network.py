"""Make a network file: once, where torch is, for all the places where it is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge_config.bundle import files as bundles
from edge_config.bundle import network_file, sealed
from edge_config.bundle.manifest import FileEntry
from edge_config.bundle.network_file import NetworkParity, NetworkRecord
from edge_config.bundle.parity_result import Difference
from edge_config.bundle.staging import refuse_target, staging
from edge_config.errors import UsageError
from edge_config.installed import version
from export.network.make_network import MadeNetwork, make_network
from export.options import Options
from runtime.frame import Image
from runtime.learning.gate.differences import judge, relative
from runtime.process.threads import limit_threads

PICTURES = 8
"""Drawn pictures that the graph is compared on: a graph that differs shows it on the first."""

FEATURES = 1e-4
"""Largest difference from the network's own program, of a patch's length: float32 sums in another order."""

_TOOLS = ("onnx", "onnxruntime", "numpy", "torch", "timm", "efficientnet-lite-pytorch", "patchedge")


def write_network(options: Options) -> network_file.NetworkFile:
    """Make the network of these options, hold it against its own program, and write it to `options.out`.

    Raises:
        UsageError: a network or target that cannot be used.
        ParityRefused: the graph gives other features than the network's own program.
    """
    if options.precision != "float32" or options.tiled:
        raise UsageError("int8 and tiles depend on the pictures", remedy="use `patchedge-export fit` for them")
    out, threads = Path(options.out), limit_threads(options.threads)
    refuse_target(out, force=options.force)
    with staging(out, force=options.force) as folder:
        made = make_network(options, None, (options.size, options.size), folder, threads)
        files = {
            name: FileEntry(size=path.stat().st_size, sha256=bundles.file_sha256(path))
            for name in network_file.PARTS
            if (path := folder / name).exists()
        }
        record = NetworkRecord(
            format_version=network_file.FORMAT_VERSION,
            files=files,
            preprocessing=made.served.spec,
            features=made.served.section,
            parity=_parity(made),
            versions={tool: found for tool in _TOOLS if (found := version(tool))},
        )
        (folder / network_file.RECORD).write_bytes(sealed.encode(record))
    return network_file.read(out)


def _parity(made: MadeNetwork) -> NetworkParity:
    apart = []
    for picture in _drawn(made.served.spec.crop_hw):
        tensor = picture[None]
        apart.append(relative(made.served.embed(tensor), made.expected(tensor, made.served.adjust)))
    found = np.concatenate(apart)
    difference = Difference(largest=float(found.max()), mean=float(found.mean()))
    versions = "the versions of the packages may not go together"
    judge([(f"ONNX Runtime against {made.program}, features", difference.largest, FEATURES, versions)])
    return NetworkParity(pictures=PICTURES, reference=made.program, features=difference)


def _drawn(size_hw: tuple[int, int]) -> list[Image]:
    """Return noise of several sizes of grain, with edges and flat places: uint8 [H, W, 3]."""
    random = np.random.default_rng(0)
    pictures = []
    for number in range(PICTURES):
        grain = 1 << number % 6
        rows, columns = (-(-side // grain) for side in size_hw)
        coarse = random.integers(0, 256, (rows, columns, 3), dtype=np.uint8)
        picture = coarse.repeat(grain, axis=0).repeat(grain, axis=1)[: size_hw[0], : size_hw[1]]
        pictures.append(np.ascontiguousarray(picture))
    return pictures
