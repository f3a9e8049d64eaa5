"""Write golden frames and manifest beside the files of network and bank, and load the bundle as a device does."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path

from edge_config.bundle import files as bundles
from edge_config.bundle import manifest as manifests
from edge_config.bundle.files import Bundle
from edge_config.bundle.manifest import AlertsPromise, Calibration, Excluded, Manifest, Scene, Scoring
from edge_config.bundle.may_vary import MayVary
from edge_config.bundle.parity_result import Parity
from edge_config.errors import BundleIndexInvalid, BundleParity, ParityRefused
from edge_config.installed import version
from runtime.inference.golden_frames import Golden, write_golden
from runtime.inference.load import load
from runtime.learning.bank.bank import MemoryBank
from runtime.learning.network import Network
from runtime.learning.pictures.regions import Looked
from runtime.scene.thumbnail import Thumbnail

_TOOLS = ("numpy", "onnxruntime", "opencv-python-headless", "hnswlib", "patchedge")


def write_bundle(
    folder: Path,
    network: Network,
    bank: MemoryBank,
    scoring: Scoring,
    calibration: Calibration,
    alerts_promise: AlertsPromise | None,
    parity: Parity,
    scene: Scene,
    may_vary: MayVary,
    reference: Thumbnail,
    golden: Sequence[Golden],
    threads: int,
    looked: Looked,
    excluded: Excluded | None,
) -> Bundle:
    """Complete the bundle whose folder holds the files of network and bank; `reference` is what shifts are measured by.

    Raises:
        ParityRefused: loaded again, the golden frames score otherwise than a moment ago, which no data may cause.
    """
    write_golden(folder / bundles.GOLDEN, golden, reference)
    manifest = Manifest(
        format_version=manifests.FORMAT_VERSION,
        files=bundles.file_table(folder),
        preprocessing=network.spec,
        features=network.features(),
        coreset=bank.coreset,
        index=bank.index,
        scoring=scoring,
        calibration=calibration,
        alerts_promise=alerts_promise,
        parity=parity,
        scene=scene,
        may_vary=may_vary,
        versions={"python": platform.python_version(), **{tool: found for tool in _TOOLS if (found := version(tool))}},
        regions=looked.regions,
        ignore=looked.ignore,
        excluded=excluded,
        regions_hw=looked.hw,
    )
    (folder / bundles.MANIFEST).write_bytes(manifests.encode(manifest))
    try:
        return load(folder, threads)[0]
    except (BundleParity, BundleIndexInvalid) as error:
        remedy = "no bundle was made; the same packages on the same machine gave other numbers a moment ago: report it"
        raise ParityRefused(error.what, remedy=remedy) from error
