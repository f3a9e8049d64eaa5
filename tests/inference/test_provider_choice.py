"""`providers: auto`: what is chosen, where it is kept, what it counts for, and what is said where there is none."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from edge_config.bundle.parity_result import Tolerance
from edge_config.errors import BundleError
from edge_config.settings.sections import CPU, Trust
from runtime.inference.load import load, load_and_check
from runtime.inference.providers.choice import ProviderChoice, TriedProvider, for_which, read_choice, write_choice
from runtime.security.trust import read
from runtime.state_folder import state_folder
from runtime.tools import choose_provider, try_provider
from runtime.tools.choose_provider import fastest
from tests.inference.test_providers import OTHER, allowing
from tests.support.fakes import bad_provider
from tests.support.processes import DEVICE, ENOUGH_S, call

LOOSE = Tolerance(scores=1e-3, distances_mean=1e-3)


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """Return a bundle that another provider may serve, which is not the CPU, and works."""
    return allowing(tiny_bundle, tmp_path / "b.bundle", {OTHER.name: LOOSE, CPU.name: LOOSE})


@pytest.fixture
def two_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have two providers built in, whatever this ONNX Runtime has."""
    monkeypatch.setattr(choose_provider, "built_in", lambda _precision: (OTHER, CPU))


def chosen(path: Path, threads: int = 1) -> ProviderChoice:
    """Keep a choice for a bundle: the other one before the CPU."""
    made = ProviderChoice(
        for_which(read(path, Trust()), threads), (OTHER.name, CPU.name), "2026-11-27T18:00:00+00:00", ()
    )
    write_choice(made)
    return made


def times(**frame_ms: float) -> list[TriedProvider]:
    return [TriedProvider(provider=name, graph_ms=1.0, frame_ms=value) for name, value in frame_ms.items()]


def test_fastest_is_chosen() -> None:
    """The shortest time of a whole frame decides."""
    assert fastest(times(CUDAExecutionProvider=2.0, CPUExecutionProvider=9.0, Other=3.0)) == "CUDAExecutionProvider"


def test_cpu_stays_where_nothing_is_clearly_faster() -> None:
    """A difference that the next run may turn round is no reason to leave what the bundle was made with."""
    assert fastest(times(OpenVINOExecutionProvider=8.9, CPUExecutionProvider=9.0)) == CPU.name
    assert fastest(times(CPUExecutionProvider=9.0)) == CPU.name
    assert fastest([]) == CPU.name


def test_provider_that_was_chosen_serves(bundle: Path) -> None:
    """Where a choice is kept for this network and machine, `auto` is its providers, and nothing is passed over."""
    chosen(bundle)
    _, scorer = load(bundle, 1, providers="auto")
    assert (scorer.provider, scorer.passed_over) == (OTHER.name, ())


def test_without_a_choice_the_cpu_serves_and_it_is_said(bundle: Path) -> None:
    """`auto` decides nothing by itself: without `patchedge warm` it is the CPU, and a line says what to run."""
    _, scorer, checked = load_and_check(bundle, 1, providers="auto")
    assert scorer.provider == CPU.name
    assert "run `patchedge warm`" in checked.passed_over[0]


def test_choice_counts_for_its_number_of_threads_only(bundle: Path) -> None:
    """Another number of threads may make another provider the fastest."""
    chosen(bundle, threads=1)
    assert load(bundle, 2, providers="auto")[1].provider == CPU.name


@pytest.mark.parametrize(
    ("change", "said"),
    [({"software": "1.0 with X"}, "another ONNX Runtime"), ({"processor": "x"}, "another processor")],
)
def test_choice_of_another_machine_does_not_count(bundle: Path, change: dict[str, str], said: str) -> None:
    """A disk that was moved, or an update of ONNX Runtime, makes a choice void, and the line says which it is."""
    made = chosen(bundle)
    path = next((state_folder() / "providers").iterdir())
    other = msgspec.structs.replace(made, of=msgspec.structs.replace(made.of, **change))
    path.write_bytes(msgspec.json.encode(other))
    found, why = read_choice(made.of)
    assert found is None
    assert said in why


def test_what_cannot_be_read_is_no_choice(bundle: Path) -> None:
    """A damaged file costs speed, not the start."""
    of = chosen(bundle).of
    next((state_folder() / "providers").iterdir()).write_bytes(b'{"of": ')
    assert read_choice(of)[0] is None
    assert load(bundle, 1, providers="auto")[1].provider == CPU.name


def test_provider_that_fails_later_is_passed_over(bundle: Path) -> None:
    """A chosen provider that is no longer there leaves its place to the CPU, as any provider does."""
    made = chosen(bundle)
    write_choice(msgspec.structs.replace(made, providers=("CUDAExecutionProvider", CPU.name)))
    _, scorer = load(bundle, 1, providers="auto")
    assert scorer.provider == CPU.name
    assert scorer.passed_over[0].startswith("CUDAExecutionProvider: not in this ONNX Runtime")


@pytest.mark.usefixtures("two_providers")
def test_all_that_serve_are_measured(bundle: Path) -> None:
    """Each provider that starts has times and differences, and the order that serves ends with the CPU."""
    made = choose_provider.choose(read(bundle, Trust()), 1)
    assert [one.provider for one in made.tried] == [OTHER.name, CPU.name]
    assert all(one.frame_ms and one.graph_ms and one.scores is not None and not one.why for one in made.tried)
    assert made.providers[-1] == CPU.name


@pytest.mark.usefixtures("two_providers")
def test_provider_with_other_scores_is_thrown_out(tiny_bundle: Path) -> None:
    """What the bundle does not allow is not measured, and its reason is kept."""
    made = choose_provider.choose(read(tiny_bundle, Trust()), 1)
    assert made.providers == (CPU.name,)
    (out,) = (one for one in made.tried if one.why)
    assert (out.provider, out.frame_ms) == (OTHER.name, None)
    assert f"no tolerance for {OTHER.name}" in out.why


@pytest.mark.slow
@pytest.mark.usefixtures("two_providers")
@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("compute_wrongly", "golden frames differ"),
        ("crash", "does not start: ended by SIGSEGV"),
        ("abort", "does not start: ended by SIGABRT"),
        ("end", "does not start: it ended without an answer"),
        ("hang", "does not start: no answer within 5 s"),
        ("crash_beside_others", "does not start: ended by SIGSEGV"),
    ],
)
def test_bad_provider_is_thrown_out(bundle: Path, monkeypatch: pytest.MonkeyPatch, does: str, said: str) -> None:
    """A provider that computes something else, crashes or hangs leaves its place to the CPU, and its reason is kept."""
    monkeypatch.setattr(try_provider, "BUILDING_S", 5.0 if does == "hang" else ENOUGH_S)
    monkeypatch.setenv(bad_provider.DOES, does)
    made = choose_provider.choose(read(bundle, Trust()), 1, child=bad_provider.__name__)
    assert made.providers == (CPU.name,)
    by_name = {one.provider: one for one in made.tried}
    assert by_name[OTHER.name].frame_ms is None
    assert said in by_name[OTHER.name].why
    assert by_name[CPU.name].frame_ms


@pytest.mark.usefixtures("two_providers")
def test_bad_bundle_is_no_fault_of_providers(bundle: Path) -> None:
    """Where not even the CPU serves, the error of the bundle is raised and nothing is chosen."""
    read_before = read(bundle, Trust())
    (bundle / "index.hnsw").write_bytes(b"no index")
    with pytest.raises(BundleError):
        choose_provider.choose(read_before, 1)


@pytest.mark.slow
def test_warm_chooses_and_doctor_explains(tiny_bundle: Path, tmp_path: Path) -> None:
    """`warm` keeps what it found and says it; `check` and `doctor` say before that it is missing."""
    settings = tmp_path / "s.yaml"
    text = f"affinity: [0]\nbundle: {tiny_bundle}\ncameras: {{a: {{source: {tmp_path}}}}}\nproviders: auto\n"
    settings.write_text(text)
    before = call(*DEVICE, "check", "--config", settings)
    assert "run `patchedge warm`" in before.stderr
    warm = call(*DEVICE, "warm", "--config", settings)
    assert warm.returncode == 0, warm.stderr
    assert "chosen: CPUExecutionProvider" in warm.stdout
    assert "passed over" not in call(*DEVICE, "check", "--config", settings).stderr
    report = json.loads(call(*DEVICE, "doctor", "--config", settings, "--json").stdout)
    (found,) = (one for one in report["bundles"] if one["about"] == "provider")
    assert found["level"] == "ok"
    assert "chosen by `patchedge warm`" in found["says"]
