"""Frames of several cameras in one run of the graph: each is scored as if it were alone, whatever the others are."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_config.bundle.parity_result import Tolerance
from edge_config.settings.sections import CPU, Provider, Trust
from runtime.doctor.inference import explain
from runtime.events import Reloaded, Scored
from runtime.frame import Image, Wanted
from runtime.inference.batches.embed_together import EmbedTogether
from runtime.inference.batches.same_scores import sizes_up_to
from runtime.inference.bundle_loader import BundleLoader
from runtime.inference.load import prepare
from runtime.inference.protocol import ScoringOptions
from runtime.inference.providers.choice import ProviderChoice, TriedProvider, for_which, write_choice
from runtime.inference.stages import Half, Stages
from runtime.scoring.adjust import Adjust
from runtime.scoring.graph_session import GraphSession
from runtime.security.trust import read
from runtime.tools.compare_batches import double
from tests.inference.test_engine import Harness, serving
from tests.inference.test_providers import OTHER, allowing
from tests.support.fakes.worker import FAIL, SEEN, marked
from tests.support.tiny import DIMENSION, MANY, THRESHOLD, make_bundle, normal_picture, strange_picture, with_threshold

CAMERAS = ("a", "b", "c", "d", "e")
PLAIN = Wanted(THRESHOLD, math.inf)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a bundle whose graph takes any number of pictures."""
    return make_bundle(tmp_path_factory.mktemp("many") / "many.bundle", model=MANY)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the number of pictures of each run of a graph from now on."""
    found: list[int] = []
    run = GraphSession.__call__

    def counted(session: GraphSession, tensor: np.ndarray, features: np.ndarray) -> np.ndarray:
        found.append(len(tensor))
        return run(session, tensor, features)

    monkeypatch.setattr(GraphSession, "__call__", counted)
    return found


def stages_of(*paths: Path, max_batch: int = 8) -> list[Stages]:
    """Load bundles for cameras, one after the other."""
    loader = BundleLoader(ScoringOptions(1, max_batch=max_batch))
    made = [loader.load([camera], str(path))[1][camera] for camera, path in zip(CAMERAS, paths, strict=False)]
    return [one.take_over(None) for one in made]


def together(stages: list[Stages], pictures: list[Image]) -> list[float | str]:
    """Return the scores of frames that are embedded together; text says why one has none."""
    return finished([one.look(picture, 0) for one, picture in zip(stages, pictures, strict=True)])


def finished(looked: list[Half | str]) -> list[float | str]:
    """Embed frames that were looked at together, and score one after the other."""
    halves = EmbedTogether()(looked)
    return [half if isinstance(half, str) else half.stages.score(half, PLAIN)[0].value for half in halves]


def alone(stages: list[Stages], pictures: list[Image]) -> list[float]:
    """Return the scores of the same frames one by one."""
    return [one.score(one.embed(picture, 0), PLAIN)[0].value for one, picture in zip(stages, pictures, strict=True)]


def scaled(stages: list[Stages]) -> list[Stages]:
    """Return the same with features that are scaled otherwise for every second camera, as other bundles do."""
    found = []
    for number, one in enumerate(stages):
        adjust = Adjust(np.full(DIMENSION, 1 + number % 2, dtype=np.float32))
        found.append(replace(one, scorer=replace(one.scorer, embed=one.scorer.embed.adjusted(adjust))))
    return found


PICTURES = [normal_picture(1), strange_picture(2), normal_picture(3), strange_picture(4), normal_picture(5)]


def test_scores_are_those_of_each_frame_alone(many: Path, tmp_path: Path, runs: list[int]) -> None:
    """Five frames, of two bundles with one network, take two runs of the graph, and each has the score that it has."""
    other = with_threshold(many, tmp_path / "other.bundle", THRESHOLD / 2)
    paths = [many, other, many, other, many]
    expected = alone(scaled(stages_of(*paths)), PICTURES)
    stages = scaled(stages_of(*paths))
    runs.clear()
    assert together(stages, PICTURES) == expected
    assert runs == [4, 1]


def test_frame_that_fails_costs_nothing_but_itself(many: Path, runs: list[int]) -> None:
    """Where the input of one cannot be made, the others go together without it."""
    expected = alone(stages_of(*[many] * 5), PICTURES)
    stages = stages_of(*[many] * 5)
    runs.clear()
    looked = [one.look(picture, 0) for one, picture in zip(stages, PICTURES, strict=True)]
    looked[1].image = np.empty((0, 0, 3), dtype=np.uint8)
    found = finished(looked)
    assert isinstance(found[1], str)
    assert [found[0], *found[2:]] == [expected[0], *expected[2:]]
    assert runs == [4]


def test_frames_are_run_alone_where_together_they_fail(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that has no memory for several at once scores each of them by itself."""
    expected = alone(stages_of(*[many] * 5), PICTURES)
    stages = stages_of(*[many] * 5)

    def fails(*_: object) -> GraphSession:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(GraphSession, "of", fails)
    assert together(stages, PICTURES) == expected


def test_frame_like_the_last_one_is_not_embedded_again(many: Path, runs: list[int]) -> None:
    """Of three frames that wait one is identical to the last of its camera: the graph runs for the other two."""
    stages = stages_of(*[many] * 3)
    stages[1].score(stages[1].embed(PICTURES[1], 0, (7, THRESHOLD)), PLAIN)
    runs.clear()
    looked = [one.look(picture, 1, (7, THRESHOLD)) for one, picture in zip(stages, PICTURES, strict=False)]
    halves = list(EmbedTogether()(looked))
    assert [half.repeated for half in halves if isinstance(half, Half)] == [False, True, False]
    assert runs == [2]


def test_graph_that_takes_one_picture_is_run_for_each(tiny_bundle: Path) -> None:
    """A bundle from before, or a network that holds the number 1, serves one by one, and the reason is said."""
    (stages,) = stages_of(tiny_bundle)
    assert stages.info.batch == 1
    assert "takes 1 at a time" in stages.info.passed_over[0]


def test_batches_are_off_by_default(many: Path) -> None:
    """Without a word in the settings, and without a choice of `warm`, each frame is run alone."""
    loader = BundleLoader(ScoringOptions(1))
    info, stages = loader.load(["a"], str(many))
    assert info.batch == 1
    assert stages["a"].scorer.goes_with[1] == 1


@pytest.mark.parametrize(("wanted", "sizes"), [(1, []), (2, [2]), (7, [2, 4]), (16, [2, 4, 8, 16])])
def test_powers_of_two_are_run(wanted: int, sizes: list[int]) -> None:
    """Providers that compile a graph do so for each number of pictures: there are few of them."""
    assert sizes_up_to(wanted) == sizes


def shifted(by: float) -> Callable[..., Any]:
    """Return what makes sessions for several pictures whose features are off by a share."""
    of = GraphSession.of

    def other(session: GraphSession, inputs: int, model: Path) -> Any:
        found = of(session, inputs, model)
        if inputs < 4:
            return found

        def run(tensor: np.ndarray, features: np.ndarray) -> np.ndarray:
            features = found(tensor, features)
            features *= 1 + by
            return features

        return run

    return other


@pytest.mark.parametrize(
    ("provider", "by", "batch"),
    [(OTHER, 1e-6, 8), (OTHER, 1e-2, 2), (CPU, 1e-6, 2), (CPU, 0.0, 8)],
    ids=["rounding of another provider", "other scores", "rounding on the CPU", "the same"],
)
def test_no_batch_changes_a_score(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provider: Provider, by: float, batch: int
) -> None:
    """Other providers are held to the bundle's tolerance, the CPU to the bit; what fails is not run, and is said."""
    bundle = allowing(
        many, tmp_path / "b.bundle", {one.name: Tolerance(scores=1e-3, distances_mean=1e-3) for one in (OTHER, CPU)}
    )
    monkeypatch.setattr(GraphSession, "of", shifted(by))
    wanted = (provider,) if provider == CPU else (provider, CPU)
    scorer, _ = prepare(read(bundle, Trust()), 1, providers=wanted, max_batch=8)
    assert scorer.goes_with[1] == batch
    assert [line.startswith("batches of 8: ") for line in scorer.passed_over] == [True] * (batch < 8)


def test_bundles_with_one_network_share_its_session(many: Path, tmp_path: Path) -> None:
    """Sixteen cameras with a bundle each have one copy of the weights, as if they had one bundle."""
    other = with_threshold(many, tmp_path / "other.bundle", THRESHOLD / 2)
    one, two = stages_of(many, other)
    assert one.info.id != two.info.id
    assert one.scorer.goes_with[0] is two.scorer.goes_with[0]
    assert one.buffers is two.buffers
    assert one.scorer.search is not two.scorer.search


def test_first_bundle_of_a_network_may_be_gone(many: Path, tmp_path: Path) -> None:
    """Other bundles with its network go on in batches, from the files of their own."""
    first = Path(shutil.copy(many / "model.onnx", tmp_path / "first.onnx"))
    session = GraphSession(first, 1)
    first.unlink()
    assert session.of(2, many / "model.onnx").input_shape[0] == 2


def test_candidate_has_memory_of_its_own(many: Path) -> None:
    """It scores after the frame in service: sharing memory with frames behind it, both would wait for ever."""
    loader = BundleLoader(ScoringOptions(1))
    _, stages = loader.load(["a"], str(many))
    beside = loader.load_beside("a", str(many))[0]
    assert beside.buffers is not stages["a"].buffers


def gains(*ms: float) -> Callable[[int], tuple[float, float]]:
    """Return what a provider takes for each picture: alone, of two together, of four."""
    took = {1 << power: one for power, one in enumerate(ms)}
    return lambda size: (took[size // 2], took[size])


@pytest.mark.parametrize(
    ("ms", "rest_ms", "batch", "tried"),
    [
        ((9.4, 10.0), 1.0, 1, 2),  # the CPU of a machine with AVX-512, default network
        ((1.0, 0.6, 0.4, 0.3, 0.25), 1.0, 8, 5),  # from 8 to 16 saves 4 % of a frame
        ((1.0, 0.6, 0.4, 0.3, 0.25), 0.0, 16, 5),
        ((1.0, 0.98), 0.0, 1, 2),
    ],
    ids=["loses", "gains up to 8", "gains up to 16", "gains too little"],
)
def test_pictures_go_together_for_as_long_as_a_frame_gains(
    ms: tuple[float, ...], rest_ms: float, batch: int, tried: int
) -> None:
    """Twice as many must save a twentieth of a whole frame; what is behind a size that does not is never tried."""
    found = double(gains(*ms), 16, rest_ms)
    assert found.batch == batch
    assert found.graph_ms == pytest.approx(ms[:tried])


def keep_choice(bundle: Path, batch: int) -> str:
    """Keep a choice of `warm` by which one provider takes several pictures; return how doctor explains it."""
    first = TriedProvider(provider=OTHER.name, graph_ms=1.0, frame_ms=2.0, batch=batch, batch_ms=(1.0, 0.6, 0.4, 0.41))
    of = for_which(read(bundle, Trust()), 1)
    choice = ProviderChoice(of, (OTHER.name, CPU.name), "2026-11-27T18:00:00+00:00", (first,))
    write_choice(choice)
    return explain("line.bundle", choice, {"provider": OTHER.name}).says


def test_providers_auto_take_as_many_as_warm_measured(many: Path, tmp_path: Path) -> None:
    """The number is kept beside the provider, counts where the settings name none, and doctor says why it is so."""
    loose = {one.name: Tolerance(scores=1e-3, distances_mean=1e-3) for one in (OTHER, CPU)}
    bundle = allowing(many, tmp_path / "b.bundle", loose)
    said = keep_choice(bundle, 4)
    assert "up to 4 cameras together" in said
    assert "2: 0.60 ms" in said
    for limit, batch in ((None, 4), (2, 2), (1, 1)):
        options = ScoringOptions(1, providers="auto", max_batch=limit)
        info, _ = BundleLoader(options).load(["a"], str(bundle))
        assert (info.provider, info.batch) == (OTHER.name, batch)


def submit_all(harness: Harness, pictures: dict[str, Image]) -> dict[str, Scored]:
    """Have a picture of each camera scored, and wait for all."""
    for camera, picture in pictures.items():
        harness.submit(picture, camera)
    told = [harness.next(Scored) for _ in pictures]
    return {one.camera: one for one in told}


@pytest.mark.slow
def test_worker_scores_cameras_together(many: Path) -> None:
    """A worker has room for two batches; each camera gets its own score, and one that fails gets its reason alone."""
    expected = dict(zip("abcd", alone(stages_of(*[many] * 4), PICTURES[:4]), strict=True))
    with serving(dict.fromkeys("abcd", many), max_batch=4) as harness:
        assert harness.engine.room == 8
        pictures = dict(zip("abcd", PICTURES, strict=False))
        told = submit_all(harness, pictures)
        assert {camera: one.result.value for camera, one in told.items()} == expected
        told = submit_all(harness, {**pictures, "b": marked(PICTURES[1], FAIL), "c": marked(PICTURES[2], SEEN)})
        assert told["b"].result is None
        assert "marked to fail" in told["b"].reason
        assert told["c"].result.scene == "dark"
        assert [told[camera].result.value for camera in "ad"] == [expected[camera] for camera in "ad"]


@pytest.mark.slow
def test_new_bundle_takes_over_between_batches(many: Path, tmp_path: Path) -> None:
    """After a swap of one camera's bundle the scores are as before, in batches of both bundles."""
    other = with_threshold(many, tmp_path / "other.bundle", THRESHOLD / 2)
    with serving(dict.fromkeys("abcd", many), max_batch=4) as harness:
        pictures = dict(zip("abcd", PICTURES, strict=False))
        before = submit_all(harness, pictures)
        harness.engine.reload("b", str(other))
        harness.next(Reloaded)
        after = submit_all(harness, pictures)
        assert {one: told.result.value for one, told in after.items()} == {
            one: told.result.value for one, told in before.items()
        }
