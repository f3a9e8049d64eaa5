"""Networks of timm with random weights, the whole way. They need torchvision and its torch: `make test-timm`."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
from pathlib import Path

import pytest

from edge_config.errors import PatchedgeError, UsageError
from export.network.load_backbone import load_backbone
from tests.support.processes import DEVICE, ENOUGH_S, EXPORT, call, started, without_progress
from tests.support.tiny import write_pictures

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="timm is not here: make test-timm"),
    pytest.mark.timeout(300),  # a large network on a machine with other work
]
FIT_S = 240.0

PICTURES, SIZE, ENTRIES = 24, 96, 1000
INPUT_HW = (SIZE, SIZE)
SHOWN, STRANGE = 5, 3

RELATIVE = 1e-4  # the promise: ONNX Runtime against torch; measured 3e-7

NETWORKS = ("resnet18", "wide_resnet50_2")
CHANNELS_LAST = "swin_tiny_patch4_window7_224"


def fit(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `patchedge-export fit` to its end, with more variables in its environment."""
    words = [*EXPORT, "fit", *(str(word) for word in arguments)]
    env = {**os.environ, **environment}
    done = subprocess.run(words, capture_output=True, text=True, timeout=FIT_S, check=False, env=env)
    done.stderr = without_progress(done.stderr)
    return done


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory):
    """Return a function that saves random weights of a network."""
    import timm
    import torch

    folder = tmp_path_factory.mktemp("weights")

    def saved(name: str) -> Path:
        file = folder / f"{name}.pth"
        if not file.exists():
            torch.manual_seed(1)
            torch.save(timm.create_model(name).state_dict(), file)
        return file

    return saved


@pytest.fixture(scope="module", params=NETWORKS)
def fitted(request: pytest.FixtureRequest, weights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fit with the paper's aggregation; the bundle's folder is named after the network."""
    folder = tmp_path_factory.mktemp("fit")
    out = folder / f"{request.param}.bundle"
    normal = write_pictures(folder / "normal", strange=set(), count=PICTURES)
    done = fit(
        *("--images", normal, "--out", out, "--backbone", request.param),
        *("--weights", weights(request.param), "--size", SIZE, "--aggregation", "adaptive", "--coreset", ENTRIES),
    )
    assert done.returncode == 0, done.stderr
    return out


def test_fit_with_the_settings_of_the_paper(fitted: Path) -> None:
    """The bank has 1,000 entries of 1,024 numbers from layer2 and layer3, and ONNX Runtime equals torch within 1e-4."""
    shown = json.loads(call(*DEVICE, "bundle", "info", fitted).stdout)
    features = shown["features"]
    assert features["backbone"] == fitted.stem
    assert features["layers"] == ["layer2", "layer3"]
    assert (features["aggregation"], features["layer_dim"], features["target_dim"]) == ("adaptive", 1024, 1024)
    assert (features["dimension"], features["grid_hw"]) == (1024, [12, 12])
    assert shown["coreset"]["size"] == ENTRIES
    assert shown["parity"]["reference"].startswith("torch ")
    assert shown["parity"]["graph"]["features"]["largest"] <= RELATIVE
    assert {"torch", "timm"} <= set(shown["versions"])


def test_check_and_run_serve_the_bundle(fitted: Path, tmp_path: Path) -> None:
    """`check` accepts it, and a subscriber gets a score for each picture, the highest for the strange one."""
    assert call(*DEVICE, "check", fitted).returncode == 0
    shown = write_pictures(tmp_path / "shown", strange={STRANGE}, count=SHOWN)
    endpoint = f"ipc://{tmp_path}/events"
    with started(*DEVICE, "watch", endpoint, "--json", "--kind", "score", "--count", SHOWN) as watch:
        run = call(
            *(*DEVICE, "run", "--bundle", fitted, "--source", shown, "--pace", "max"),
            *("--bind", endpoint, "--wait-subscribers", 1),
        )
        scores = [json.loads(line)["message"] for line in watch.communicate(timeout=ENOUGH_S)[0].splitlines()]
    assert run.returncode == 0, run.stderr
    assert [score["frame_id"] for score in scores] == list(range(1, SHOWN + 1))
    assert max(scores, key=lambda score: score["score"])["frame_id"] == STRANGE


def test_layers_are_named_in_any_order(weights) -> None:
    """Layers that stand the coarse one first are the same as the usual ones, and so are hash and normalisation."""
    usual = load_backbone("resnet18", INPUT_HW, weights=weights("resnet18"))
    turned = load_backbone("resnet18", INPUT_HW, weights=weights("resnet18"), layers=["layer3", "layer2"])
    assert turned.layers == usual.layers == ("layer2", "layer3")
    assert turned.weights_sha256 == usual.weights_sha256
    assert usual.mean == pytest.approx((123.675, 116.28, 103.53))  # ImageNet's, 0 to 255
    assert load_backbone("resnet18", INPUT_HW, weights=weights("resnet18"), layers=["layer1"]).layers == ("layer1",)


def test_maps_have_their_channels_first(weights) -> None:
    """A network that computes with the channels last, for a fixed size, gives [1, c, h, w] at the wanted size."""
    import numpy as np

    backbone = load_backbone(CHANNELS_LAST, INPUT_HW, weights=weights(CHANNELS_LAST))
    maps = backbone.network.maps(np.zeros((1, 3, *INPUT_HW), dtype=np.float32))
    assert [found.shape for found in maps] == [(1, 192, 12, 12), (1, 384, 6, 6)]


def test_safetensors_give_the_same_maps(weights, tmp_path: Path) -> None:
    """Weights in a .safetensors file are the same network as in a file of torch."""
    import numpy as np
    import torch
    from safetensors.torch import save_file

    file = tmp_path / "resnet18.safetensors"
    save_file(torch.load(weights("resnet18"), weights_only=True), file)
    picture = np.random.default_rng(0).normal(size=(1, 3, *INPUT_HW)).astype(np.float32)
    one, other = (load_backbone("resnet18", INPUT_HW, weights=path) for path in (weights("resnet18"), file))
    for mine, theirs in zip(one.network.maps(picture), other.network.maps(picture), strict=True):
        assert mine.any()
        np.testing.assert_array_equal(mine, theirs)


class _Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def test_weights_cannot_run_code(tmp_path: Path) -> None:
    """A pickle that would run a command when loaded is refused, and the command is not run."""
    import torch

    file, proof = tmp_path / "evil.pth", tmp_path / "proof"
    torch.save({"conv1.weight": _Touch(proof)}, file)
    with pytest.raises(UsageError, match="unsafe or damaged"):
        load_backbone("resnet18", INPUT_HW, weights=file)
    assert not proof.exists()


def _other_network(file: Path) -> None:
    import timm
    import torch

    torch.save(timm.create_model("mobilenetv3_small_100").state_dict(), file)


def _one_layer_short(file: Path) -> None:
    import timm
    import torch

    state = timm.create_model("resnet18").state_dict()
    del state["layer3.0.conv1.weight"]
    torch.save(state, file)


def _other_shape(file: Path) -> None:
    import timm
    import torch

    state = timm.create_model("resnet18").state_dict()
    torch.save({**state, "conv1.weight": torch.zeros(64, 3, 3, 3)}, file)


def _no_dictionary(file: Path) -> None:
    import torch

    torch.save(torch.zeros(3), file)


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (_other_network, "no conv1.weight"),
        (_one_layer_short, "no layer3.0.conv1.weight"),
        (_other_shape, "size mismatch for conv1.weight"),
        (_no_dictionary, "holds no weights of resnet18"),
        (lambda file: file.write_bytes(b"no weights at all"), "holds no weights of resnet18"),
        (lambda file: file.write_bytes(b""), "holds no weights of resnet18"),
        (lambda file: file.mkdir(), "no such file"),
        (lambda _: None, "no such file"),
    ],
)
def test_file_without_the_weights_is_refused(tmp_path: Path, write, said: str) -> None:
    """A file with other weights, or none, is refused by name: nothing is ever learnt with what was not loaded."""
    file = tmp_path / "weights.pth"
    write(file)
    with pytest.raises(UsageError, match=r"weights\.pth") as caught:
        load_backbone("resnet18", INPUT_HW, weights=file)
    assert said in str(caught.value)


def test_weights_saved_while_training_are_found(weights, tmp_path: Path) -> None:
    """A checkpoint that keeps the weights under `state_dict`, beside other things, serves as well."""
    import torch

    file = tmp_path / "checkpoint.pth"
    state = torch.load(weights("resnet18"), weights_only=True)
    torch.save({"epoch": 3, "args": argparse.Namespace(lr=0.1), "state_dict": state}, file)
    assert load_backbone("resnet18", INPUT_HW, weights=file).layers == ("layer2", "layer3")


@pytest.mark.parametrize(
    ("name", "layers", "said"),
    [
        ("resnet81", None, "timm has no network resnet81"),
        ("hf-hub:nobody/nothing", None, "timm has no network"),
        ("resnet18", ["layer9"], "resnet18 has no layer layer9; it has act1, layer1, layer2, layer3, layer4"),
    ],
)
def test_unknown_names_are_refused(name: str, layers: list[str] | None, said: str) -> None:
    """A network or a layer that timm does not know is named, before anything is downloaded."""
    with pytest.raises(PatchedgeError, match=said) as caught:
        load_backbone(name, INPUT_HW, layers=layers)
    assert caught.value.exit_code == UsageError.exit_code


def test_weights_that_cannot_be_downloaded_end_in_one_line(tmp_path: Path) -> None:
    """Without a network and a cache, `fit` says in one line that --weights takes a file, and ends with 69."""
    normal = write_pictures(tmp_path / "normal", strange=set(), count=4)
    done = fit(
        *("--images", normal, "--out", tmp_path / "x.bundle", "--backbone", "resnet18"),
        HF_HUB_OFFLINE="1",
        HF_HOME=str(tmp_path / "cache"),
    )
    assert done.returncode == 69
    assert "the weights of resnet18 cannot be downloaded" in done.stderr
    assert "give a file by --weights" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "x.bundle").exists()


def test_torchvision_for_another_torch_names_the_remedy(tmp_path: Path) -> None:
    """A torchvision that was built for another torch, as importing it shows, ends with the install line."""
    (tmp_path / "torchvision.py").write_text('raise RuntimeError("operator torchvision::nms does not exist")')
    normal = write_pictures(tmp_path / "normal", strange=set(), count=4)
    done = fit(
        *("--images", normal, "--out", tmp_path / "x.bundle", "--backbone", "resnet18"),
        PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
    )
    assert done.returncode == 2
    assert "pip install 'patchedge[timm]'" in done.stderr
    assert "torchvision::nms" in done.stderr
    assert len(done.stderr.splitlines()) == 1
