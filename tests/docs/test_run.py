"""Every block of README, tutorial and guide runs, page by page; test_pages.py says how a page is written."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import onnx
import pytest

from tests.docs.play import in_own_network
from tests.docs.reader import RUN
from tests.docs.stages import STAGES, Stage
from tests.support import pages, rtsp
from tests.support.brokers import MOSQUITTO, NATS_SERVER
from tests.support.cameras import frames
from tests.support.small import LAYERS, call_export, small_network
from tests.support.tiny import write_pictures

PAGE_S = 300
"""For all blocks of a page on a busy machine."""

LINKED = ("examples", "constraints.txt")
"""What a reader has in the folder where a page begins, as in a clone."""

PICTURES, STRANGE = 240, set(range(21, 61))
LEARNT = range(100, 116)

WRITTEN = [page for page in pages.RUN if not STAGES[page].draft]
RUNNING = [page for page in WRITTEN if any(not block.reason for block in pages.blocks(page, *RUN))]


def write_frames(folder: Path, numbers: range) -> Path:
    """Write pictures of a fixed camera."""
    folder.mkdir(parents=True)
    for number, picture in zip(numbers, frames(len(numbers), numbers.start), strict=True):
        cv2.imwrite(str(folder / f"{number:04d}.png"), picture)
    return folder


@pytest.fixture(scope="session")
def scene_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle of a small network, learnt from the scene that the pages' camera shows."""
    folder = tmp_path_factory.mktemp("scene")
    onnx.save(small_network(), folder / "small.onnx")
    network = ["--backbone", folder / "small.onnx", "--layers", ",".join(LAYERS), "--size", 64, "--threads", 1]
    images = write_frames(folder / "normal", LEARNT)
    done = call_export("fit", "--images", images, "--out", folder / "scene.bundle", *network)
    assert done.code == 0, done.err
    return folder / "scene.bundle"


@pytest.fixture
def bundle_of(request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """Return what gives the bundle of a stage."""
    return lambda name: request.getfixturevalue({"tiny": "tiny_bundle", "small": "scene_bundle"}[name])


def lay_out(stage: Stage, here: Path, bundle_of: Callable[[str], Path]) -> None:
    """Put the files that a page begins with into its folder."""
    here.mkdir()
    for name in LINKED:
        if (pages.ROOT / name).exists():
            (here / name).symlink_to(pages.ROOT / name)
    if stage.bundle:
        shutil.copytree(bundle_of(stage.bundle), here / "line.bundle")
    if stage.normal:
        write_frames(here / "normal", range(stage.normal))
    if stage.pictures:
        write_pictures(here / "pictures", STRANGE, PICTURES)
    for name, content in stage.files.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(content)


def missing(stage: Stage) -> str:
    """Return what this machine lacks for a page; "" if nothing."""
    if stage.camera and not rtsp.installed():
        return rtsp.MISSING
    if stage.mosquitto and not MOSQUITTO:
        return "mosquitto is not installed: apt-get install mosquitto"
    if stage.nats and not NATS_SERVER:
        return "nats-server is not installed: apt-get install nats-server"
    return "" if in_own_network() else "a network of its own is not allowed here: root, or user namespaces"


@pytest.mark.slow
@pytest.mark.timeout(PAGE_S)
@pytest.mark.parametrize("page", RUNNING)
def test_page_runs(page: str, bundle_of: Callable[[str], Path], tmp_path: Path) -> None:
    """Every block of a page does what the page says, one after the other, as for a reader that types them."""
    stage = STAGES[page]
    if lacking := missing(stage):
        pytest.skip(lacking)
    lay_out(stage, tmp_path / "page", bundle_of)
    words = [*in_own_network(), sys.executable, "-m", "tests.docs.play", page, str(tmp_path)]
    done = subprocess.run(words, cwd=pages.ROOT, capture_output=True, text=True, check=False, timeout=PAGE_S)
    assert done.returncode == 0, f"\n{done.stdout}{done.stderr}"
