"""`patchedge learn`: a bundle without the workshop, the same as the workshop's."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge_config.bundle import files as bundles
from edge_config.bundle import network_file
from runtime.learning.network_file import DEFAULT
from tests.support.small import call_device, call_export, errors_of, write_colours
from tests.support.workshop import PACKAGES, without

OPTIONS = ("--coreset", "64", "--threads", "1")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a few normal pictures."""
    return write_colours(tmp_path_factory.mktemp("normal") / "images", 8)


@pytest.fixture(scope="module")
def learnt(pictures: Path) -> Path:
    """Learn where neither torch nor onnx, scipy, sklearn, matplotlib can be imported, as on a device."""
    out = pictures.parent / "device.bundle"
    words = ["learn", "--images", str(pictures), "--out", str(out), *OPTIONS]
    code = f"{without(*PACKAGES)}import sys\nfrom runtime.cli.main import main\nsys.exit(main({words!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.slow
def test_bundle_learnt_without_torch_is_served(learnt: Path) -> None:
    """A bundle that was learnt where no package of the workshop is passes `check`, and has the packaged graph."""
    assert call_device("check", learnt).code == 0
    assert (learnt / bundles.MODEL).read_bytes() == (DEFAULT / bundles.MODEL).read_bytes()


@pytest.mark.slow
def test_manifest_names_neither_time_nor_torch(learnt: Path) -> None:
    """What the id hashes says nothing of time, host, torch or onnx: learnt again it is the same bundle."""
    manifest = bundles.read(learnt).manifest
    assert not {"torch", "onnx", "timm"} & set(manifest.versions)
    again = learnt.with_name("again.bundle")
    images = learnt.parent / "images"
    assert call_device("learn", "--images", images, "--out", again, *OPTIONS).code == 0
    assert bundles.read(again).id == bundles.read(learnt).id


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: (folder / bundles.MODEL).write_bytes(b"other"), "bytes instead of"),
        (lambda folder: (folder / "more.bin").write_bytes(b""), "does not belong"),
        (lambda folder: (folder / network_file.RECORD).unlink(), "is missing"),
        (shutil.rmtree, "no network file here"),
        (lambda folder: (folder / bundles.MANIFEST).write_bytes(b"of a bundle"), "no network file here"),
    ],
)
def test_damaged_network_file_is_one_line(pictures: Path, tmp_path: Path, change, said: str) -> None:
    """A network file that is not whole is refused in one line with exit code 65, and nothing is written."""
    shutil.copytree(DEFAULT, network := tmp_path / "x.network")
    change(network)
    done = call_device("learn", "--images", pictures, "--out", tmp_path / "x.bundle", "--network", network)
    assert done.code == 65
    (line,) = errors_of(done.err)
    assert said in line
    assert not (tmp_path / "x.bundle").exists()


def test_unsigned_network_is_refused_where_a_key_is_asked_for(pictures: Path, tmp_path: Path) -> None:
    """With --trust, a network file without a signature by this key is refused with exit code 65."""
    key = f"ed25519:{'ab' * 32}"
    done = call_device("learn", "--images", pictures, "--out", tmp_path / "x.bundle", "--trust", key)
    assert done.code == 65
    assert "no signature" in done.err


@pytest.mark.slow
def test_signed_network_is_learnt_with(pictures: Path, tmp_path: Path) -> None:
    """A network file that `sign` signed is accepted by its key, and refused by another with exit code 65."""
    shutil.copytree(DEFAULT, network := tmp_path / "x.network")
    for name in ("own", "other"):
        assert call_export("signing-key", tmp_path / name).code == 0
    assert call_export("sign", network, "--key", tmp_path / "own.key").code == 0
    words = ("learn", "--images", pictures, "--network", network, "--out", tmp_path / "x.bundle", *OPTIONS)
    assert call_device(*words, "--trust", tmp_path / "other.pub").code == 65
    assert call_device(*words, "--trust", tmp_path / "own.pub").code == 0
