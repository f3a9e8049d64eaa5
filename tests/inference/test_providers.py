"""Providers of ONNX Runtime that are not there, do not start, or compute something else."""

from __future__ import annotations

import json
import queue
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from edge_config.bundle import files as bundles
from edge_config.bundle import manifest as manifests
from edge_config.bundle.parity_result import Tolerance
from edge_config.errors import BundleGraphInvalid, BundleParity, ProviderUnavailable
from edge_config.settings.sections import CPU, Provider
from runtime.events import EngineEvent, EngineReady, EngineRefused
from runtime.inference.engine import Engine
from runtime.inference.load import load, load_and_check
from runtime.inference.protocol import ScoringOptions
from runtime.inference.providers.options import complete
from runtime.inference.providers.start import PassedOver, starting
from runtime.scoring.embed import Embed
from tests.support.fakes import bad_provider
from tests.support.processes import DEVICE, ENOUGH_S, call
from tests.support.tiny import MODEL, write_pictures

CUDA, TENSORRT = Provider(name="CUDAExecutionProvider"), Provider(name="TensorrtExecutionProvider")
OTHER = Provider(name=bad_provider.BAD)
"""A provider that is not the CPU, and works."""

ALL = (TENSORRT.name, CUDA.name, CPU.name)


def allowing(bundle: Path, target: Path, tolerances: dict[str, Tolerance]) -> Path:
    """Copy a bundle, with other tolerances."""
    shutil.copytree(bundle, target)
    old = manifests.decode((target / bundles.MANIFEST).read_bytes(), "")
    parity = msgspec.structs.replace(old.parity, tolerances=tolerances)
    (target / bundles.MANIFEST).write_bytes(manifests.encode(msgspec.structs.replace(old, parity=parity)))
    return target


def start_only(*good: str):
    """Return a start of sessions in which the libraries of all other providers fail."""

    def start(model: Path, threads: int, providers: Sequence[Provider]) -> Embed:
        if providers[0].name not in good:
            raise RuntimeError(f"libcudnn.so.9: cannot open shared object file\n for {providers[0].name}")
        embed = Embed(model, threads)
        embed.provider = providers[0].name
        return embed

    return start


def test_first_that_starts_is_taken_and_the_others_are_named() -> None:
    """One that is not built in and one whose library is missing are passed over, each with its reason in a line."""
    passed: list[PassedOver] = []
    wanted, present = (TENSORRT, CUDA, CPU), (CUDA.name, CPU.name)
    embed = next(starting(MODEL, 1, wanted, passed, start=start_only(CPU.name), present=present))
    assert embed.provider == CPU.name
    assert [one.provider for one in passed] == [TENSORRT.name, CUDA.name]
    assert "not in this ONNX Runtime" in passed[0].why
    assert str(passed[1]).endswith("libcudnn.so.9: cannot open shared object file for CUDAExecutionProvider")


def test_a_provider_is_backed_by_those_after_it() -> None:
    """What a provider cannot compute goes to the next of the list, so that TensorRT has CUDA behind it."""
    chains = []

    def start(_: Path, __: int, providers: Sequence[Provider]) -> Embed:
        chains.append([provider.name for provider in providers])
        return Embed(MODEL, 1)

    assert list(starting(MODEL, 1, (TENSORRT, CUDA, CPU), [], start=start, present=ALL))
    assert chains == [list(ALL), [CUDA.name, CPU.name], [CPU.name]]


def test_session_that_goes_on_without_its_provider_is_no_success() -> None:
    """ONNX Runtime computes on the CPU where a provider cannot, and only warns: that is told, and not taken for it."""
    with (
        pytest.warns(UserWarning, match="CUDAExecutionProvider"),
        pytest.raises(ProviderUnavailable, match="does not start: ONNX Runtime uses another provider"),
    ):
        Embed(MODEL, 1, providers=(CUDA, CPU))


def test_no_provider_at_all_is_said(tiny_bundle: Path) -> None:
    """Where none of the list is there, the error names each, and the one that always is."""
    with pytest.raises(ProviderUnavailable, match=r"TensorrtExecutionProvider: not in .*add CPUExecutionProvider"):
        load(tiny_bundle, 1, providers=(TENSORRT,))


def test_graph_that_nothing_takes_is_the_bundles_fault(tmp_path: Path) -> None:
    """A file that is no graph is refused as such, whatever else is in the list."""
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    passed: list[PassedOver] = []
    with pytest.raises(BundleGraphInvalid):
        list(starting(tmp_path / "model.onnx", 1, (OTHER, CPU), passed))
    assert [one.provider for one in passed] == [OTHER.name]


def test_provider_that_a_bundle_does_not_allow_is_passed_over(tiny_bundle: Path) -> None:
    """A provider that the manifest has no tolerance for does not serve, however well it starts."""
    _, scorer, checked = load_and_check(tiny_bundle, 1, providers=(OTHER, CPU))
    assert (scorer.provider, checked.provider, checked.good) == (CPU.name, CPU.name, True)
    assert checked.passed_over == (f"{OTHER.name}: its manifest has no tolerance for {OTHER.name}",)
    with pytest.raises(BundleParity, match=f"no tolerance for {OTHER.name}"):
        load(tiny_bundle, 1, providers=(OTHER,))


def test_provider_that_a_bundle_allows_serves(tiny_bundle: Path, tmp_path: Path) -> None:
    """A provider other than the CPU that computes what the exporter did is taken, and nothing is passed over."""
    loose = Tolerance(scores=1e-3, distances_mean=1e-3)
    bundle = allowing(tiny_bundle, tmp_path / "b.bundle", {OTHER.name: loose, CPU.name: loose})
    _, scorer = load(bundle, 1, providers=(OTHER, CPU))
    assert (scorer.provider, scorer.passed_over) == (OTHER.name, ())


def test_provider_that_computes_something_else_does_not_serve(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Golden frames outside of the tolerance pass a provider over, and the next one serves."""
    loose = Tolerance(scores=1e-3, distances_mean=1e-3)
    bundle = allowing(tiny_bundle, tmp_path / "b.bundle", {OTHER.name: loose, CPU.name: loose})
    compute = Embed.__call__

    def wrong(self: Embed, *given):
        features = compute(self, *given)
        return features * 1.5 if self.provider == OTHER.name else features

    monkeypatch.setattr(Embed, "__call__", wrong)
    _, scorer = load(bundle, 1, providers=(OTHER, CPU))
    assert scorer.provider == CPU.name
    assert "golden frames differ on this machine: scores by" in scorer.passed_over[0]


def test_provider_that_fails_at_the_first_frame_does_not_serve(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider that starts and then throws, as for want of its memory, is passed over."""
    loose = Tolerance(scores=1e-3, distances_mean=1e-3)
    bundle = allowing(tiny_bundle, tmp_path / "b.bundle", {OTHER.name: loose, CPU.name: loose})
    compute = Embed.__call__

    def throws(self: Embed, *given):
        if self.provider == OTHER.name:
            raise RuntimeError("out of memory")
        return compute(self, *given)

    monkeypatch.setattr(Embed, "__call__", throws)
    assert load(bundle, 1, providers=(OTHER, CPU))[1].passed_over == (f"{OTHER.name}: out of memory",)


def test_engine_caches_lie_where_the_device_keeps_its_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`{state}` is the service's own folder, and the folder of a cache is there before TensorRT wants it."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    options: dict[str, str | int | float | bool] = {"trt_engine_cache_path": "{state}/tensorrt", "device_id": 0}
    found = complete(Provider(name=TENSORRT.name, options=options), 1)
    assert found.options["trt_engine_cache_path"] == f"{tmp_path}/tensorrt"
    assert found.options["device_id"] == 0
    assert (tmp_path / "tensorrt").is_dir()


@pytest.mark.slow
def test_worker_tells_what_computes_and_what_does_not(tiny_bundle: Path) -> None:
    """The providers of the settings reach the worker; the runtime hears which one serves, and why not the others."""
    events: queue.Queue[EngineEvent] = queue.Queue()
    engine = Engine(
        {"cam": str(tiny_bundle)}, events.put, ScoringOptions(threads=1, providers=(TENSORRT, CPU), affinity=(0,))
    )
    engine.start()
    try:
        ready = events.get(timeout=ENOUGH_S)
    finally:
        engine.close()
    assert isinstance(ready, EngineReady)
    assert ready.bundles["cam"].provider == CPU.name
    assert [line.partition(":")[0] for line in ready.bundles["cam"].passed_over] == [TENSORRT.name]


@pytest.mark.slow
def test_worker_without_a_provider_ends_the_start(tiny_bundle: Path) -> None:
    """Where no provider of the list starts, the runtime does not, and says why."""
    events: queue.Queue[EngineEvent] = queue.Queue()
    engine = Engine({"cam": str(tiny_bundle)}, events.put, ScoringOptions(threads=1, providers=(TENSORRT,)))
    engine.start()
    try:
        refused = events.get(timeout=ENOUGH_S)
    finally:
        engine.close()
    assert isinstance(refused, EngineRefused)
    assert isinstance(refused.error, ProviderUnavailable)


@pytest.mark.slow
def test_run_says_that_it_falls_back(tiny_bundle: Path, tmp_path: Path) -> None:
    """`patchedge run` on a device without its GPU's provider serves by the CPU, and warns with the reason."""
    source = write_pictures(tmp_path / "pictures", set(), 2)
    (tmp_path / "s.yaml").write_text(
        f"bundle: {tiny_bundle}\ncameras: {{cam: {{source: {source}, pace: max}}}}\nmetrics: {{enabled: false}}\n"
        f"events: {{bind: 'ipc://{tmp_path}/e'}}\ncontrol: {{bind: 'ipc://{tmp_path}/c'}}\nthreads: 1\n"
        "providers: [TensorrtExecutionProvider, CPUExecutionProvider]\n"
    )
    done = call(*DEVICE, "run", "--config", tmp_path / "s.yaml")
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stderr.splitlines()]
    (warning,) = [line for line in said if line["event"] == "provider passed over"]
    assert warning["level"] == "warning"
    assert warning["computes"] == CPU.name
    assert "TensorrtExecutionProvider: not in this ONNX Runtime" in warning["problem"]
