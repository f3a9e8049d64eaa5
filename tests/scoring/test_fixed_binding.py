"""A graph whose input and output stay at one place computes what it computes anywhere, for each caller."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest

from edge_config.settings.providers import is_on
from edge_config.settings.sections import CPU, Provider
from runtime.scoring.embed import Embed
from runtime.scoring.fixed_binding import FixedBinding
from runtime.scoring.graph_session import session_options
from tests.support.tiny import MODEL

PICTURES = 40

LONG_S = 0.01
"""Longer than another thread needs to begin."""


@pytest.fixture
def binding() -> FixedBinding:
    """Return the tiny graph on the CPU, at a fixed place."""
    session = onnxruntime.InferenceSession(str(MODEL), session_options(1), providers=[CPU.name])
    return FixedBinding(session, "cpu")


def tensors(embed: Embed) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, embed.input_shape, dtype=np.uint8) for _ in range(PICTURES)]


def run(binding: FixedBinding, tensor: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    features = np.empty(shape, dtype=np.float32)
    binding(tensor, features)
    return features


def test_features_are_the_same_and_stay_with_their_picture(binding: FixedBinding) -> None:
    """Each picture has its own features, which the next run leaves as they are."""
    embed = Embed(MODEL, 1)
    given = tensors(embed)
    found = [run(binding, one, embed.output_shape) for one in given]
    assert all(np.array_equal(ours, embed(one)) for ours, one in zip(found, given, strict=True))


def test_callers_in_several_threads_take_turns(binding: FixedBinding, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cameras that share a bundle share its graph: no run begins before the features of the last one are taken."""
    embed, session, inside, met = Embed(MODEL, 1), binding._session, threading.Semaphore(1), threading.Event()

    def alone(bound: object) -> None:
        if not inside.acquire(blocking=False):
            met.set()
        met.wait(LONG_S)
        session.run_with_iobinding(bound)
        inside.release()

    stand_in = SimpleNamespace(run_with_iobinding=alone, io_binding=session.io_binding)
    stand_in.get_inputs, stand_in.get_outputs = session.get_inputs, session.get_outputs
    monkeypatch.setattr(binding, "_session", stand_in)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: run(binding, one, embed.output_shape), tensors(embed)[:8]))
    assert not met.is_set()


@pytest.mark.parametrize(("value", "on"), [(True, True), ("1", True), ("True", True), (0, False), ("false", False)])
def test_options_are_on_as_onnx_runtime_reads_them(value: str | bool, on: bool) -> None:  # noqa: FBT001 - a table
    """Options may be truth values, numbers or texts."""
    provider = Provider(name="CUDAExecutionProvider", options={"enable_cuda_graph": value})
    assert is_on(provider, "enable_cuda_graph") is on
    assert not is_on(CPU, "enable_cuda_graph")
