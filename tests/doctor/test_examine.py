"""`patchedge doctor` as a process: the page, the object, and the exit code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import pytest

from tests.support.processes import DEVICE, call
from tests.support.tiny import normal_picture

pytestmark = pytest.mark.slow

SECTIONS = ["device", "software", "bundles", "cameras", "places"]


def config(folder: Path, text: str) -> Path:
    """Write settings that name no port that others may have."""
    quiet = (
        f"events: {{bind: 'ipc://{folder}/e'}}\ncontrol: {{bind: 'ipc://{folder}/c'}}\nmetrics: {{enabled: false}}\n"
        f"journal: {{path: '{folder}/j.sqlite'}}\nprofile: none\n"
    )
    path = folder / "settings.yaml"
    path.write_text(quiet + text)
    return path


def test_page_names_every_part_of_the_device() -> None:
    """Without anything else, doctor looks at the device and its software, says a word for each, and ends with 0."""
    done = call(*DEVICE, "doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr
    for about in ("processor", "cores", "memory", "temperature", "throttling", "frequency", "clock", "profile"):
        assert f" {about} " in done.stdout
    for about in ("python", "packages", "hnswlib", "opencv", "providers", "cameras", "ports", "journal"):
        assert f" {about} " in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 120
    assert len(done.stdout.splitlines()) <= 66  # a page


def test_object_is_for_machines(tiny_bundle: Path) -> None:
    """`--json` gives each finding with its level, its figures, and a remedy where it is not well."""
    done = call(*DEVICE, "doctor", "--json", "--bundle", tiny_bundle)
    found = json.loads(done.stdout)
    assert found.pop("exit_code") == done.returncode == 0
    assert list(found) == SECTIONS
    everything = [finding for findings in found.values() for finding in findings]
    assert all(finding["remedy"] for finding in everything if finding["level"] != "ok")
    (bundle,) = found["bundles"]
    assert bundle["data"]["provider"] == "CPUExecutionProvider"
    assert bundle["data"]["frame_ms"] > 0


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("bundle: {whole}\ncameras: {{a: {{source: {clip}}}}}\n", 0, "clip.png opens: 64 x 48 pixels"),
        ("bundle: {whole}\ncameras: {{a: {{source: 87}}}}\n", 69, "87 does not exist"),
        ("bundle: {whole}\ncameras: {{a: {{source: 'gst:x ! appsink'}}}}\n", 69, "not csi:// and gst: (GSTREAMER)"),
        ("bundle: {broken}\ncameras: {{a: {{source: {clip}}}}}\n", 65, "bank.safetensors: 7 bytes instead of"),
        ("bundle: {whole}\ncameras: {{a: {{source: 87, colour: 1}}}}\n", 78, "unknown key `cameras.a.colour`"),
        ("bundle: {whole}\ncameras: {{a: {{source: 87}}}}\nclips: {{folder: {clip}}}\n", 69, "cannot be written"),
    ],
)
def test_worst_finding_is_the_exit_code(tiny_bundle: Path, tmp_path: Path, text: str, code: int, said: str) -> None:
    """Settings that are wrong give 78, a bad bundle 65, a camera or a back end that is not there 69."""
    broken = shutil.copytree(tiny_bundle, tmp_path / "broken.bundle")
    (broken / "bank.safetensors").write_bytes(b"no bank")
    clip = tmp_path / "clip.png"
    cv2.imwrite(str(clip), normal_picture(1))
    filled = text.format(whole=tiny_bundle, broken=broken, clip=clip)
    done = call(*DEVICE, "doctor", "--config", config(tmp_path, filled))
    assert done.returncode == code, done.stdout
    assert said in " ".join(done.stdout.split())
    assert "cannot be checked" not in done.stdout
