"""`patchedge check` and `patchedge warm` on settings: no camera is opened, and the exit code says what is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support.processes import DEVICE, call


def settings(folder: Path, text: str) -> Path:
    """Write a settings file."""
    path = folder / "settings.yaml"
    path.write_text(f"threads: 1\n{text}")
    return path


def test_check_looks_at_the_bundles_of_all_cameras(tiny_bundle: Path, tmp_path: Path) -> None:
    """Two cameras with bundles of their own give two lines, although neither camera is there."""
    other = shutil.copytree(tiny_bundle, tmp_path / "other.bundle")
    cameras = f"cameras:\n  a: {{source: 9}}\n  b: {{source: 'rtsp://10.255.255.1/x', bundle: {other}}}\n"
    done = call(*DEVICE, "check", "--config", settings(tmp_path, f"bundle: {tiny_bundle}\n{cameras}"))
    assert done.returncode == 0, done.stderr
    first, second, last = done.stdout.splitlines()
    assert first.startswith(f"{tiny_bundle}: 2 golden frames on CPUExecutionProvider")
    assert second.startswith(f"{other}: 2 golden frames")
    assert "2 cameras, profile" in last


def test_check_in_json_is_one_object(tiny_bundle: Path, tmp_path: Path) -> None:
    """A machine reads the profile, the cameras and the figures of each bundle; and why a provider does not serve."""
    text = f"bundle: {tiny_bundle}\ncameras: {{a: {{source: 0}}}}\n"
    wanted = "providers: [CUDAExecutionProvider, CPUExecutionProvider]\nprofile: none\n"
    done = call(*DEVICE, "check", "--json", "--config", settings(tmp_path, text + wanted))
    found = json.loads(done.stdout)
    assert (found["profile"], found["cameras"]) == ("none", ["a"])
    (bundle,) = found["bundles"]
    assert bundle["good"]
    assert bundle["passed_over"][0].startswith("CUDAExecutionProvider: not in this ONNX Runtime")
    assert "passed over CUDAExecutionProvider" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["check", "warm"])
def test_what_is_wrong_decides_the_exit_code(tiny_bundle: Path, tmp_path: Path, verb: str) -> None:
    """Wrong settings give 78, a bad bundle 65, no argument or two 2, no provider 69; each says so in a line."""
    broken = shutil.copytree(tiny_bundle, tmp_path / "broken.bundle")
    (broken / "bank.safetensors").write_bytes(b"no bank")
    camera = "cameras: {a: {source: 0}}\n"
    texts = {
        78: f"bundle: {tiny_bundle}\ncameras: {{a: {{source: 0, colour: 1}}}}\n",
        65: f"bundle: {broken}\n{camera}",
        69: f"bundle: {tiny_bundle}\n{camera}providers: [CUDAExecutionProvider]\n",
    }
    runs = {code: [verb, "--config", settings(tmp_path, text)] for code, text in texts.items()}
    for code, words in runs.items():
        settings(tmp_path, texts[code])
        done = call(*DEVICE, *words)
        assert done.returncode == code, done.stderr
        assert done.stderr.splitlines()[-1].startswith("patchedge: ")
        assert "Traceback" not in done.stderr
    for words in ([verb], [verb, tiny_bundle, "--config", "x.yaml"]):
        assert call(*DEVICE, *words).returncode == 2


def test_warm_says_what_it_took(tiny_bundle: Path, tmp_path: Path) -> None:
    """On the CPU nothing is built, and it says so; golden frames are run, and a budget that is too small is named."""
    text = f"bundle: {tiny_bundle}\ncameras: {{a: {{source: 0}}}}\nbudget_ms: 0.001\n"
    done = call(*DEVICE, "warm", "--config", settings(tmp_path, text))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{tiny_bundle}: CPUExecutionProvider, loaded in ")
    assert "nothing is to be built for the CPU" in done.stderr
    assert "more than the budget of 0.001 ms" in done.stderr


def test_warm_says_what_is_built(tiny_bundle: Path, tmp_path: Path) -> None:
    """A provider that is there and may build something is named before it begins: silence would look like a hang."""
    text = f"bundle: {tiny_bundle}\ncameras: {{a: {{source: 0}}}}\n"
    wanted = "providers: [AzureExecutionProvider, CPUExecutionProvider]\n"
    done = call(*DEVICE, "warm", "--config", settings(tmp_path, text + wanted))
    assert done.returncode == 0, done.stderr
    assert "AzureExecutionProvider: the first start may take minutes" in done.stderr
