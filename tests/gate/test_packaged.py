"""`fit` with the network of the package: no torch is loaded, and the graph is held against its operators one by one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_config.bundle import network_file
from edge_config.errors import ParityRefused
from export.gate.parity import measure_graph
from export.network.packaged import PackagedNetwork
from runtime.frame import Grid
from runtime.inference.assemble import assemble
from runtime.learning.bank.index import build_index, neighbour_table
from runtime.learning.network_file import DEFAULT
from runtime.learning.pictures.images import Pictures
from runtime.learning.pictures.survey import Survey
from runtime.search.full import GraphSearch
from tests.support.small import colour_picture, write_colours
from tests.support.tiny import SCORING

FEATURES = 1e-4
"""Of a feature's length: sums in another order."""

WITHOUT_TORCH = """
import sys
sys.modules.update(dict.fromkeys(("torch", "onnx", "sklearn")))  # None: importing them fails
from export.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_fit_with_the_usual_network_needs_no_torch(tmp_path: Path) -> None:
    """At the defaults a bundle is made where torch and onnx cannot be loaded, and its report names both references."""
    images = write_colours(tmp_path / "images", 6)
    words = ["fit", "--images", images, "--out", tmp_path / "x.bundle", "--coreset", "64", "--no-report", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    graph = json.loads(done.stdout)["graph"]
    assert graph["reference"].startswith("onnxruntime ")
    assert network_file.read(DEFAULT).record.parity.reference in graph["reference"]
    assert 0 < graph["graph"]["features"]["largest"] <= FEATURES


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> PackagedNetwork:
    folder = tmp_path_factory.mktemp("packaged")
    pictures = Pictures(write_colours(folder / "images", 1))
    return PackagedNetwork(pictures, Survey(), folder, 1, "float32")


@pytest.mark.parametrize("factor", [1.0, 1.0005])
def test_kernel_that_computes_otherwise_is_refused(packaged: PackagedNetwork, factor: float) -> None:
    """What this machine serves is held against its own operators one by one: half a thousandth more is refused."""
    network = packaged.served
    picture = cv2.resize(colour_picture(3), (320, 320))
    bank = np.ascontiguousarray(network.embed(network.preprocess(colour_picture(4)))[:256])
    graph, table = GraphSearch(build_index(bank), ef=64, threads=1), neighbour_table(bank, SCORING.b)

    def embed(tensor: np.ndarray) -> np.ndarray:
        return network.embed(tensor) * np.float32(factor)

    scorer = assemble(network.preprocess, embed, graph, bank, table, SCORING, Grid((80, 80), 2), "lazy")
    if factor == 1:
        assert measure_graph([picture], packaged, network, scorer, scorer.search).graph.features.largest <= FEATURES
        return
    with pytest.raises(ParityRefused, match="step by step"):
        measure_graph([picture], packaged, network, scorer, scorer.search)
