"""The network file of the package, and those that `patchedge-export network` makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_config.bundle import files as bundles
from edge_config.bundle import network_file
from runtime.learning.network_file import DEFAULT
from tests.support.small import call_device, call_export, small_options, write_colours

torch = pytest.importorskip("torch")

MODEL_SHA256 = "ec919d827799f40cf429819a307bd5efe9689e95f75ae1ecb9705328c11e90a2"
"""Of the packaged graph: what every bundle of the defaults has."""

SAME_FEATURES = 1e-4
"""The promise to users: ONNX Runtime against the network's own program, of a patch's length."""


def test_packaged_network_is_the_known_one() -> None:
    """The package has the graph with this hash, and a record of its comparison with torch."""
    found = network_file.read(DEFAULT)
    assert bundles.file_sha256(DEFAULT / bundles.MODEL) == MODEL_SHA256
    assert found.record.parity.reference.startswith("torch ")
    assert found.record.parity.features.largest < SAME_FEATURES


@pytest.mark.slow
def test_packaged_network_can_be_made_again(tmp_path: Path) -> None:
    """The command of `make network` makes the graphs of the package byte for byte."""
    out = tmp_path / "again.network"
    done = call_export("network", "--out", out)
    assert done.code == 0, done.err
    for name in network_file.PARTS:
        assert (out / name).read_bytes() == (DEFAULT / name).read_bytes()


@pytest.mark.slow
def test_fit_and_learn_make_the_same_bundle(tmp_path: Path) -> None:
    """From the same pictures with the same options, the workshop and a device make one bundle, byte for byte."""
    images = write_colours(tmp_path / "images", 8)
    words = ("--images", images, "--coreset", "64", "--threads", "1")
    assert call_device("learn", *words, "--out", tmp_path / "device.bundle").code == 0
    assert call_export("fit", *words, "--no-report", "--out", tmp_path / "workshop.bundle").code == 0
    one, other = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("device.bundle", "workshop.bundle")
    )
    assert one == other


@pytest.mark.slow
def test_own_network_goes_into_the_bundle(tmp_path: Path) -> None:
    """A network file of another network is learnt with, and the bundle has its graph."""
    words = [str(word) for word in small_options(tmp_path, tmp_path / "x.bundle")]
    options = words[: words.index("--images")] + words[words.index("--images") + 2 :]
    network_options = [
        word
        for name in ("--backbone", "--layers", "--size")
        if name in options
        for word in options[options.index(name) : options.index(name) + 2]
    ]
    assert call_export("network", "--out", tmp_path / "x.network", *network_options).code == 0
    words = ("--images", tmp_path / "images", "--out", tmp_path / "y.bundle", "--coreset", "64")
    done = call_device("learn", "--network", tmp_path / "x.network", *words)
    assert done.code == 0, done.err
    assert (tmp_path / "y.bundle" / bundles.MODEL).read_bytes() == (tmp_path / "x.network" / bundles.MODEL).read_bytes()
