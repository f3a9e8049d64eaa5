"""Every block of README, tutorial and guide runs, page by page; test_pages.py says how a page is written."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from tests.docs.play import in_own_network
from tests.docs.reader import RUN
from tests.docs.stages import STAGES, Stage
from tests.support import pages, rtsp
from tests.support.brokers import MOSQUITTO, NATS_SERVER
from tests.support.cameras import exposed, frames
from tests.support.small import LAYERS, call_export, small_network
from tests.support.tiny import normal_picture, strange_picture, write_pictures
from tests.support.vit import write_vit

PAGE_S = 900
"""For all blocks of a page on a busy machine."""

LINKED = ("examples", "constraints.txt")
"""What a reader has in the folder where a page begins, as in a clone."""

PICTURES, STRANGE = 240, set(range(21, 61))
LEARNT = range(100, 116)
LABELLED, NEWER, CLIP = 6, 40, 30

RUNNING = [page for page in pages.RUN if any(not block.reason for block in pages.blocks(page, *RUN))]


def write_frames(folder: Path, numbers: range, *, varied: bool = False) -> Path:
    """Write pictures of a fixed camera; `varied`: in different light, so that those of a stream are normal too."""
    folder.mkdir(parents=True)
    for number, picture in zip(numbers, frames(len(numbers), numbers.start), strict=True):
        light = 0.96 + 0.08 * (number - numbers.start) / len(numbers) if varied else 1.0
        cv2.imwrite(str(folder / f"{number:04d}.png"), exposed(picture, light))
    return folder


def write_labelled(here: Path) -> None:
    """Write pictures for the tiny bundle whose truth is known, in folders and as a video, and new normal ones."""
    write_pictures(here / "parts/test/good", set(), LABELLED)
    write_pictures(here / "parts/test/scratch", set(range(1, LABELLED + 1)), LABELLED)
    masks = here / "parts/ground_truth/scratch"
    masks.mkdir(parents=True)
    for number in range(1, LABELLED + 1):
        normal, strange = normal_picture(number), strange_picture(number)
        cv2.imwrite(str(masks / f"{number:04d}_mask.png"), 255 * (normal != strange).any(axis=2).astype(np.uint8))
    write_pictures(here / "newer", set(), NEWER)
    height, width = normal_picture(1).shape[:2]
    clip = cv2.VideoWriter(str(here / "clip.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 25, (width, height))
    truth = ["frame,label"]
    for number in range(1, CLIP + 1):
        is_normal = number <= CLIP // 2
        clip.write(normal_picture(number) if is_normal else strange_picture(number))
        truth.append(f"{number},{'normal' if is_normal else 'anomalous'}")
    clip.release()
    (here / "truth.csv").write_text("\n".join([*truth, ""]))


@pytest.fixture(scope="session")
def scene_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle of a small network, learnt from the scene that the pages' camera shows."""
    folder = tmp_path_factory.mktemp("scene")
    onnx.save(small_network(), folder / "small.onnx")
    network = [
        "--backbone",
        folder / "small.onnx",
        "--layers",
        ",".join(LAYERS),
        "--size",
        64,
        "--threads",
        1,
        "--no-report",
    ]
    images = write_frames(folder / "normal", LEARNT, varied=True)
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
    if stage.newer:
        write_frames(here / "newer", range(stage.normal, stage.normal + stage.newer))
    if stage.labelled:
        write_labelled(here)
    if stage.networks:
        onnx.save(small_network(), here / "net.onnx")
        write_vit(here / "vit.onnx", (512, 512))
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
