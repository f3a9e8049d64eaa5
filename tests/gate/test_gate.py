"""The gate at sealing: whatever differs from what was learnt is refused, and no bundle is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import export.network.make_network
import runtime.learning.network
import runtime.learning.parts.make_bank
from edge_config.bundle import files as bundles
from edge_config.bundle.manifest import Preprocessing, Scoring
from edge_config.bundle.parity_result import GraphParity, Parity
from edge_config.errors import ParityRefused
from export.gate.parity import measure_graph
from export.network.backbone import Backbone
from export.network.load_backbone import load_backbone
from export.network.make_network import MadeNetwork, make_network
from export.options import Options
from runtime.frame import Image
from runtime.inference.assemble import assemble
from runtime.learning.bank.bank import MemoryBank
from runtime.learning.bank.index import build_index
from runtime.learning.gate.checked_search import CheckedSearch
from runtime.learning.gate.parity import compare_picture, judge_parity
from runtime.learning.gate.synthetic_faults import with_faults
from runtime.learning.network import Network
from runtime.learning.parts.features import SpreadFeatures
from runtime.learning.parts.make_bank import make_bank
from runtime.learning.parts.part import Source
from runtime.learning.parts.portable import PortableNetwork
from runtime.learning.parts.spread import Here
from runtime.learning.pictures.images import Pictures
from runtime.process.threads import limit_threads
from runtime.scoring.adjust import Adjust
from runtime.scoring.embed import Embed
from runtime.scoring.preprocess import Preprocess
from runtime.scoring.scorer import Scorer
from runtime.search.full import GraphSearch
from runtime.search.lazy import LazySearch
from runtime.search.pruned import PrunedSearch
from tests.support.small import call_export, colour_picture, errors_of, small_options, write_colours

pytestmark = pytest.mark.slow

FEATURES = 1e-4
"""The promise to users: ONNX Runtime against the network's own program, of a patch's length."""

SAME_SCORE = 1e-6
"""The device searches the patches on top exactly: only the order of sums is left."""

ONE_LEVEL = 1.0
"""OpenCV rounds to the level beside."""

LITTLE = 1
"""Levels of 255: by so little a mean is wrong that nobody would see it in a picture."""


class OtherKernel(Preprocess):
    """Picks a pixel where it should average."""

    def __init__(self, spec: Preprocessing) -> None:
        """Keep the size too."""
        super().__init__(spec)
        self._size = spec.resize_hw[::-1]

    def __call__(self, image: Image) -> np.ndarray:
        """Resize by the kernel that many programs take unless told otherwise."""
        return super().__call__(cv2.resize(image, self._size, interpolation=cv2.INTER_LINEAR))


@dataclass(frozen=True)
class Learnt:
    """All that a fit has before the gate, with the real network."""

    made: MadeNetwork
    network: Network
    memory: MemoryBank
    scorer: Scorer
    pictures: list[Image]
    folder: Path


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Learnt:
    """Learn from a few pictures, as `fit` does before the gate."""
    folder = tmp_path_factory.mktemp("learnt")
    images = write_colours(folder / "images", 6)
    options = Options(images=str(images), out=str(folder / "x.bundle"), size=64)
    pictures = Pictures(images)
    made = make_network(options, pictures, (64, 64), folder, limit_threads(1))
    network = made.served
    for _ in pictures:
        pass
    source = Source(pictures, PortableNetwork(network, folder / bundles.MODEL), None, 0)
    features = SpreadFeatures(Here().embed(source, folder), len(pictures), network.embed.output_shape, None)
    adjust = Adjust(np.ones(features.dimension, np.float32))
    some = [features[0]], lambda: [features[1]]
    memory, _ = make_bank(features, adjust, *some, options, folder, 1, np.arange(len(pictures)))
    scoring = Scoring(mode="paper", b=memory.neighbours.shape[1], k=1)
    stages = (network.preprocess, network.embed, memory.graph, memory.bank, memory.neighbours)
    unseen = [colour_picture(number) for number in range(20, 24)]
    both = [*unseen, *(fault for _, fault in with_faults(unseen, 0))]
    return Learnt(
        made,
        network,
        memory,
        assemble(*stages, scoring, network.grid, "lazy", divisors=memory.measure.divisors),
        both,
        folder,
    )


def gate(learnt: Learnt, scorer: Scorer) -> tuple[GraphParity, Parity]:
    exact = CheckedSearch(learnt.memory.bank, learnt.memory.measure.divisors)
    compared = (compare_picture(picture, learnt.network.spec, scorer, exact) for picture in learnt.pictures)
    parity = judge_parity(compared, learnt.network)
    return measure_graph(learnt.pictures, learnt.made, learnt.network, scorer, exact), parity


def test_what_was_learnt_passes_and_its_figures_are_recorded(learnt: Learnt) -> None:
    """Unchanged stages pass: features, scores and pixels are as near as is promised, and the reference is named."""
    made, parity = gate(learnt, learnt.scorer)
    assert made.pictures == parity.pictures == len(learnt.pictures)
    assert made.reference.startswith("torch ")
    assert 0 < made.graph.features.mean <= made.graph.features.largest <= FEATURES
    assert parity.search.scores.largest <= SAME_SCORE
    assert parity.resize_levels.largest <= ONE_LEVEL


def other_mean(learnt: Learnt) -> Scorer:
    """Return stages whose graph subtracts another mean."""
    model = onnx.load_model_from_string(learnt.made.float_graph)
    subtracted = next(node.input[2] for node in model.graph.node if node.op_type == "DequantizeLinear")
    constant = next(tensor for tensor in model.graph.initializer if tensor.name == subtracted)
    constant.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(constant) + np.uint8(LITTLE), subtracted))
    onnx.save(model, learnt.folder / "mean.onnx")
    return replace(learnt.scorer, embed=Embed(learnt.folder / "mean.onnx", 1))


def searching(learnt: Learnt, vectors: np.ndarray) -> Scorer:
    """Return stages with an index over other vectors."""
    graph = GraphSearch(build_index(vectors), ef=learnt.memory.index.ef, threads=1)
    search = LazySearch(
        graph, learnt.memory.bank, PrunedSearch(learnt.memory.bank, divisors=learnt.memory.measure.divisors)
    )
    return replace(learnt.scorer, search=search, whole=search)


def another_bank(learnt: Learnt) -> np.ndarray:
    """Return features of other pictures, as many as the bank has."""
    embed, preprocess = learnt.network.embed, learnt.network.preprocess
    others = np.concatenate([embed(preprocess(colour_picture(number))) for number in range(40, 44)])
    return others[: len(learnt.memory.bank)]


CHANGED: dict[str, tuple[Callable[[Learnt], Scorer], str]] = {
    "another colour order": (
        lambda it: replace(it.scorer, embed=lambda tensor: it.network.embed(np.ascontiguousarray(tensor[..., ::-1]))),
        "ONNX Runtime against torch .* features",
    ),
    "another mean": (other_mean, "ONNX Runtime against torch .* features"),
    "another resize kernel": (lambda it: replace(it.scorer, preprocess=OtherKernel(it.network.spec)), "resized pixels"),
    "index of another bank": (lambda it: searching(it, another_bank(it)), "index"),
}


@pytest.mark.parametrize("name", CHANGED)
def test_what_was_changed_is_refused(learnt: Learnt, name: str) -> None:
    """Any stage that is not what was learnt is refused in one line that says what differs."""
    change, said = CHANGED[name]
    with pytest.raises(ParityRefused, match=said) as caught:
        gate(learnt, change(learnt))
    assert caught.value.exit_code == 73
    assert "\n" not in str(caught.value)


# The whole of `fit`, with a stage replaced.


class Lying:
    """A network that is exported with other weights than it has."""

    def __init__(self, true: Backbone) -> None:
        """Take the network that computes the maps."""
        self.program = true.network.program
        self.maps = true.network.maps
        self._true = true.network

    def to_onnx(self) -> onnx.ModelProto:
        """Return its graph, a convolution a little stronger."""
        model = self._true.to_onnx()
        weight = model.graph.initializer[1]
        weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.001), weight.name))
        return model


def load_lying(*args: object, **options: object) -> Backbone:
    true = load_backbone(*args, **options)
    return replace(true, network=Lying(true))


REPLACED = {
    "another graph": (export.network.make_network, "load_backbone", load_lying),
    "another resize kernel": (runtime.learning.network, "Preprocess", OtherKernel),
    "index of another bank": (
        runtime.learning.parts.make_bank,
        "build_index",
        lambda bank: build_index(np.roll(bank, 1, axis=1)),
    ),
    "index in another order": (runtime.learning.parts.make_bank, "build_index", lambda bank: build_index(bank[::-1])),
}


@pytest.mark.parametrize("name", REPLACED)
def test_fit_that_is_refused_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """`fit` ends with one line where a stage is not what was learnt, and neither bundle nor a part of it is left."""
    words = small_options(tmp_path, tmp_path / "x.bundle")
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(*REPLACED[name])
    done = call_export("fit", *words)
    assert done.code == 73, done.err
    assert done.out == ""
    assert len(errors_of(done.err)) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_refused_fit_keeps_the_bundle_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --force too, a bundle is replaced only by one that passed the gate."""
    words = small_options(tmp_path, tmp_path / "x.bundle")
    assert call_export("fit", *words).code == 0
    before = {path: path.read_bytes() for path in (tmp_path / "x.bundle").iterdir()}
    monkeypatch.setattr(*REPLACED["another resize kernel"])
    assert call_export("fit", *words, "--force").code == 73
    assert {path: path.read_bytes() for path in (tmp_path / "x.bundle").iterdir()} == before


def test_scene_that_hardly_changes_can_be_learnt(tmp_path: Path) -> None:
    """Pictures that are all alike but for a grey level of noise, as of a scene that stands still, pass the gate."""
    words = small_options(tmp_path, tmp_path / "x.bundle")
    random = np.random.default_rng(0)
    for path in (tmp_path / "images").iterdir():
        picture = colour_picture(0).astype(int)
        noisy = picture + random.integers(-1, 2, picture.shape)
        cv2.imwrite(str(path), np.clip(noisy, 0, 255).astype(np.uint8))
    done = call_export("fit", *words, "--coreset", "0.5")
    assert done.code == 0, done.err


def test_network_that_sees_no_difference_is_named(tmp_path: Path) -> None:
    """Where pictures differ and their features do not, not only the pictures are blamed, and nothing is left."""
    words = small_options(tmp_path, tmp_path / "out.bundle")
    blind = onnx.load(tmp_path / "small.onnx")
    for weight in blind.graph.initializer:
        weight.CopyFrom(numpy_helper.from_array(np.zeros_like(numpy_helper.to_array(weight)), weight.name))
    onnx.save(blind, tmp_path / "small.onnx")
    done = call_export("fit", *words)
    assert done.code == 2
    (line,) = errors_of(done.err)
    assert "to the network all 3 held-out pictures are the same" in line
    assert "check --layers, --mean and --std" in line
    assert not (tmp_path / "out.bundle").exists()
