"""Bundles in bf16: refused in one line where nothing computes bf16, and what they are served by elsewhere."""

from __future__ import annotations

import json
import queue
from pathlib import Path

import msgspec
import onnxruntime
import pytest

from edge_config.bundle import files as bundles
from edge_config.bundle import manifest as manifests
from edge_config.errors import ProviderUnavailable
from edge_config.settings.sections import CPU, Provider, Trust
from runtime.events import EngineEvent, EngineRefused
from runtime.inference.engine import Engine
from runtime.inference.protocol import ScoringOptions
from runtime.inference.providers.bf16 import in_bf16, made_with, require_bf16
from runtime.inference.providers.choice import for_which, write_choice
from runtime.inference.providers.options import OPENVINO, complete, reduced_precision
from runtime.learning.gate.parity import TOLERANCES
from runtime.security.trust import read
from tests.inference.test_provider_choice import chosen
from tests.inference.test_providers import allowing
from tests.support.processes import DEVICE, ENOUGH_S, EXPORT, call
from tests.support.tiny import write_pictures

without_openvino = pytest.mark.skipif(
    OPENVINO in onnxruntime.get_available_providers(), reason="this ONNX Runtime has OpenVINO"
)


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """Return a bundle whose manifest says bf16."""
    made = allowing(tiny_bundle, tmp_path / "b.bundle", TOLERANCES["bf16"])
    old = manifests.decode((made / bundles.MANIFEST).read_bytes(), "")
    features = msgspec.structs.replace(old.features, precision="bf16")
    (made / bundles.MANIFEST).write_bytes(manifests.encode(msgspec.structs.replace(old, features=features)))
    return made


def machine(root: Path, line: str) -> Path:
    """Lay down a /proc/cpuinfo with one line about instructions."""
    (root / "proc").mkdir()
    (root / "proc/cpuinfo").write_text(f"processor\t: 0\nmodel name\t: Some CPU\n{line}\nbogomips\t: 1\n")
    return root


@pytest.mark.parametrize(
    "line",
    [
        "flags\t\t: fpu avx2 avx512f avx512_bf16",
        "flags\t\t: fpu amx_bf16 amx_tile",
        "Features\t: fp asimd i8mm bf16",
    ],
)
def test_processor_with_bfloat16_is_accepted(tmp_path: Path, line: str) -> None:
    """AVX-512 with bfloat16, AMX, and ARM with bfloat16 compute it."""
    require_bf16("b", machine(tmp_path, line), (OPENVINO, CPU.name))


@pytest.mark.parametrize("line", ["flags\t\t: fpu avx2 avx512f avx512_vnni", "Features\t: fp asimd i8mm", ""])
def test_processor_without_bfloat16_is_refused(tmp_path: Path, line: str) -> None:
    """OpenVINO would compute something else there: the line says what is missing, and what to take."""
    with pytest.raises(ProviderUnavailable, match=r"^b: .*avx512_bf16 or amx_bf16.*float32 or int8$"):
        require_bf16("b", machine(tmp_path, line), (OPENVINO, CPU.name))


def test_onnx_runtime_without_openvino_is_refused(tmp_path: Path) -> None:
    """The line names the package that is needed, and the extra that installs it."""
    root = machine(tmp_path, "flags\t\t: avx512_bf16")
    with pytest.raises(ProviderUnavailable, match=r"^b: .*OpenVINO.*onnxruntime-openvino \(extra `openvino`\)"):
        require_bf16("b", root, (CPU.name,))


@without_openvino
def test_bundle_is_refused_where_only_the_cpu_provider_is(bundle: Path) -> None:
    """`check` ends with 69 and one line, not with golden frames that differ."""
    done = call(*DEVICE, "check", bundle)
    assert (done.returncode, done.stdout) == (69, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"patchedge: {bundle}: bf16 needs OpenVINO")


@without_openvino
@pytest.mark.slow
@pytest.mark.parametrize("providers", [(CPU,), "auto"], ids=["CPU", "auto"])
def test_device_refuses_it_too(bundle: Path, providers: tuple[Provider, ...] | str) -> None:
    """The inference worker says the same, whatever the settings want."""
    events: queue.Queue[EngineEvent] = queue.Queue()
    engine = Engine({"cam": str(bundle)}, events.put, ScoringOptions(threads=1, providers=providers))
    engine.start()
    try:
        refused = events.get(timeout=ENOUGH_S)
    finally:
        engine.close()
    assert isinstance(refused, EngineRefused)
    assert "bf16 needs OpenVINO" in str(refused)


@without_openvino
@pytest.mark.slow
def test_fit_refuses_bf16_before_it_begins(tmp_path: Path) -> None:
    """`fit --precision bf16` ends with 69 before it looks at a picture, and nothing is left behind."""
    images = write_pictures(tmp_path / "images", set(), 8)
    done = call(*EXPORT, "fit", "--images", images, "--out", tmp_path / "x.bundle", "--precision", "bf16")
    assert done.returncode == 69
    (line,) = done.stderr.splitlines()
    assert line.startswith("patchedge-export: --precision bf16: bf16 needs OpenVINO")
    assert not (tmp_path / "x.bundle").exists()


def test_other_options_of_openvino_are_kept() -> None:
    """What the settings say of OpenVINO stays, but for the precision, which is that of the bundle."""
    given = {"CPU": {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": "2"}, "GPU": {"X": "1"}}
    own = Provider(name=OPENVINO, options={"load_config": json.dumps(given), "cache_dir": "/c"})
    made = complete(in_bf16((CPU, own)), 3)
    config = json.loads(str(made.options["load_config"]))
    assert (made.name, made.options["cache_dir"], config["GPU"]) == (OPENVINO, "/c", {"X": "1"})
    assert config["CPU"]["INFERENCE_PRECISION_HINT"] == "bf16"
    assert (config["CPU"]["NUM_STREAMS"], config["CPU"]["INFERENCE_NUM_THREADS"]) == ("2", "3")
    assert reduced_precision(made) == "bf16"


def test_float32_and_int8_are_made_with_the_cpu() -> None:
    """Nothing changes for the other precisions."""
    assert made_with("float32", 1) == made_with("int8", 1) == (CPU,)


def test_choice_of_the_same_graph_in_float32_is_another(bundle: Path, tiny_bundle: Path) -> None:
    """A bundle in bf16 has the model.onnx of one in float32, yet what `warm` chose for one does not count for other."""
    chosen(tiny_bundle)
    both = [for_which(read(path, Trust()), 1) for path in (tiny_bundle, bundle)]
    assert both[0] != both[1]
    kept = write_choice(msgspec.structs.replace(chosen(tiny_bundle), of=both[1]))
    assert kept != write_choice(chosen(tiny_bundle))
