"""`patchedge bench --providers`: every provider by turns, and what became of those that do not serve."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from edge_config.errors import SourceUnavailable
from edge_config.settings.sections import CPU
from runtime.cli.bench import providers_table
from runtime.tools import bench_providers as bench_tool
from runtime.tools.bench_providers import ProvidersBench, bench_providers
from tests.inference.test_provider_choice import LOOSE
from tests.inference.test_providers import CUDA, OTHER, allowing
from tests.support.fakes import bad_provider
from tests.support.tiny import write_pictures


@pytest.fixture(autouse=True)
def three_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have one that cannot start, and two that can."""
    monkeypatch.setattr(bench_tool, "built_in", lambda _precision: (CUDA, OTHER, CPU))


def test_each_provider_has_figures_or_a_reason(tiny_bundle: Path, tmp_path: Path) -> None:
    """Those that serve have times and differences, the CPU among them; the others a reason; all of it is JSON, too."""
    bundle = allowing(tiny_bundle, tmp_path / "b.bundle", {OTHER.name: LOOSE, CPU.name: LOOSE})
    source = write_pictures(tmp_path / "pictures", {3}, 10)
    found = bench_providers(bundle, str(source), threads=1, frames=10)
    assert msgspec.json.decode(msgspec.json.encode(found), type=ProvidersBench) == found
    good = {one.provider: one for one in found.providers if not one.why}
    assert good.keys() == {OTHER.name, CPU.name}
    assert all(0 < one.graph_ms < one.frame_ms and one.scores <= LOOSE.scores for one in good.values())
    (bad,) = (one for one in found.providers if one.why)
    assert (bad.provider, bad.frame_ms) == (CUDA.name, None)
    head, *lines = providers_table(found.providers)
    assert head.split() == ["medians,", "ms", "network", "frame", "of", "CPU", "golden"]
    assert [line.split()[0] for line in lines] == [one.provider for one in found.providers]
    assert next(line.split()[3] for line in lines if line.startswith(CPU.name)) == "1.00"
    assert any(line.startswith(f"{CUDA.name}") and "passed over: not in this ONNX Runtime" in line for line in lines)


def test_too_few_frames_are_said(tiny_bundle: Path, tmp_path: Path) -> None:
    """Medians of nothing are not shown: the line names the source and how many it had."""
    source = write_pictures(tmp_path / "pictures", set(), 2)
    with pytest.raises(SourceUnavailable, match="2 readable frames, more than 3 are needed"):
        bench_providers(tiny_bundle, str(source), threads=1, frames=10)


@pytest.mark.slow
@pytest.mark.parametrize("does", ["crash", "crash_beside_others"])
def test_one_that_crashes_does_not_end_the_others(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str
) -> None:
    """A provider that ends its process is named, unless it does so beside others only; the CPU has its figures."""
    bundle = allowing(tiny_bundle, tmp_path / "b.bundle", {OTHER.name: LOOSE, CPU.name: LOOSE})
    source = write_pictures(tmp_path / "pictures", {3}, 10)
    monkeypatch.setenv(bad_provider.DOES, does)
    found = bench_providers(bundle, str(source), threads=1, frames=10, child=bad_provider.__name__)
    by_name = {one.provider: one for one in found.providers}
    assert by_name[CPU.name].frame_ms
    assert by_name[OTHER.name].why == ("does not start: ended by SIGSEGV" if does == "crash" else "")
    assert "not in this ONNX Runtime" in by_name[CUDA.name].why
