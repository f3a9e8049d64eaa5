"""A plan of cameras: each bundle is learnt once, whatever interrupts, and a bad camera does not stop the others."""

from __future__ import annotations

import json
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest

from edge_config.bundle import files as bundles
from edge_config.bundle.files import SIGNATURE, SignatureCheck
from edge_config.bundle.staging import staging
from edge_config.errors import ParityRefused, PatchedgeError, SettingsError, UsageError
from edge_config.settings.sections import Trust
from export.plan.outcome import Outcomes
from export.plan.run import run_plan
from export.plan.settings import read_plan
from export.signing import make_key
from runtime.security.trust import Judge
from tests.support.processes import ENOUGH_S, EXPORT, call, started
from tests.support.small import LAYERS, call_export, errors_of, small_network, write_colours
from tests.support.tiny import make_bundle, with_threshold, write_pictures

SETS = 2
"""Sets of pictures: three cameras each see the same, so that few single fits say which id each must have."""

CAMERAS = 6
STOPS = ((signal.SIGINT, 1), (signal.SIGTERM, 3), (signal.SIGKILL, 4))
"""The signal, and the camera in whose fit it comes, from 0."""


def _plan(folder: Path, cameras: dict[str, dict[str, Any]], **defaults: Any) -> Path:
    path = folder / "plant.yaml"
    path.write_text(json.dumps({"defaults": defaults, "cameras": cameras}), encoding="utf-8")  # JSON is YAML
    return path


@pytest.mark.slow
def test_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 6 cameras, interrupted by each signal in the middle of a fit, each is learnt once, as by a fit of its own."""
    monkeypatch.chdir(tmp_path)
    onnx.save(small_network(), tmp_path / "small.onnx")
    make_key(tmp_path / "shop")
    network = {"backbone": "small.onnx", "layers": list(LAYERS), "size": 64, "no_report": True}
    for number in range(SETS):
        write_colours(tmp_path / f"set{number}", 8, first=100 * number)
    cameras = {f"c{at}": {"images": f"set{at % SETS}", "out": f"c{at}.bundle"} for at in range(CAMERAS)}
    plan = _plan(tmp_path, cameras, **network, sign="shop.key")
    said = "".join(_stopped(plan, number, f"c{at}: note: needs about", "--threads", 1) for number, at in STOPS)
    kept = {path.name: path.stat().st_ino for path in tmp_path.glob("*.bundle")}
    done = call_export("fit", "--plan", plan, "--threads", 1, "--json")
    assert done.code == 0, done.err
    learnt = re.findall(r"(c\d+) learnt in", said + done.err)
    assert sorted(learnt) == sorted(cameras)
    assert {name: (tmp_path / name).stat().st_ino for name in kept} == kept
    assert not list(tmp_path.glob(".*")), "what the killed process left is removed"
    found = json.loads(done.out)
    ids = {one["camera"]: one["sealed"]["id"] for one in found["cameras"]}
    for number in range(SETS):
        words = ["--backbone", "small.onnx", "--layers", ",".join(LAYERS), "--size", 64, "--no-report", "--threads", 1]
        alone = call_export("fit", "--images", f"set{number}", "--out", f"alone{number}.bundle", *words)
        assert (alone.code, errors_of(alone.err)) == (0, [])
        for at in range(number, CAMERAS, SETS):
            assert ids[f"c{at}"] == bundles.read(f"alone{number}.bundle").id
    check = _check((tmp_path / "shop.pub").read_text(encoding="utf-8").strip())
    assert {bundles.read(f"{name}.bundle", check).id for name in cameras} == set(ids.values())


@pytest.mark.slow
@pytest.mark.timeout(300)  # three processes, each of which starts workers, on a machine with other work
def test_over_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over two workers, interrupted and then killed, each camera is learnt once, and has the bundle of one process."""
    pytest.importorskip("distributed", reason="Dask is not installed (extra `cluster`)")
    monkeypatch.chdir(tmp_path)
    onnx.save(small_network(), tmp_path / "small.onnx")
    network = {"backbone": "small.onnx", "layers": list(LAYERS), "size": 64, "no_report": True}
    for number in range(2):
        write_colours(tmp_path / f"set{number}", 8, first=100 * number)
    cameras = {f"c{at}": {"images": f"set{at % 2}", "out": f"c{at}.bundle"} for at in range(4)}
    plan, workers = _plan(tmp_path, cameras, **network), ("--workers", 2)
    said = _stopped(plan, signal.SIGINT, "c0 learnt in", *workers) + _stopped(
        plan, signal.SIGKILL, "c2 learnt", *workers
    )
    spread = call(*EXPORT, "fit", "--plan", plan, *workers, "--json")
    assert spread.returncode == 0, spread.stderr
    assert sorted(re.findall(r"(c\d+) learnt in", said + spread.stderr)) == sorted(cameras)
    learnt = {one["camera"]: one["sealed"]["id"] for one in json.loads(spread.stdout)["cameras"]}
    for name in ("c0", "c1"):
        (tmp_path / f"{name}.plan.json").unlink()
        shutil.rmtree(tmp_path / f"{name}.bundle")
    alone = json.loads(call_export("fit", "--plan", plan, "--json").out)
    assert (alone["learnt"], alone["kept"]) == (2, 2)
    assert {one["camera"]: one["sealed"]["id"] for one in alone["cameras"]} == learnt
    assert [learnt["c2"], learnt["c3"]] == [learnt["c0"], learnt["c1"]]


def _stopped(plan: Path, number: signal.Signals, line: str, *words: Any) -> str:
    """Learn a plan in a process of its own, which a signal ends once it has said a line; return what it said."""
    said = []
    with started(*EXPORT, "fit", "--plan", plan, *words) as process:
        assert process.stderr is not None
        for one in process.stderr:
            said.append(one)
            if line in one:
                process.send_signal(number)
                break
        said += process.stderr.readlines()
        code = process.wait(timeout=ENOUGH_S)
    assert code == (-number if number == signal.SIGKILL else 130), "".join(said)
    return "".join(said)


def _check(key: str) -> SignatureCheck:
    return Judge(Trust(keys=(key,)))


class _Fit:
    """Seals a tiny bundle for a camera, as a fit does, and counts how often."""

    def __init__(self, folder: Path) -> None:
        self.made: list[str] = []
        self.read: list[bytes] = []
        self._bundle = make_bundle(folder / "of-fit.bundle")
        self.before: Callable[[str], None] = lambda _: None
        self.threshold = 60.0
        self.after: Callable[[str], None] = lambda _: None

    def __call__(self, options: Any, *, source: Any, sealed: Any) -> Any:
        name = Path(options.out).stem
        self.before(name)
        self.read = [source.read(file) for file in source.files]
        with staging(Path(options.out), force=options.force) as folder:
            other = with_threshold(self._bundle, folder / "other", self.threshold)
            shutil.copytree(other, folder, dirs_exist_ok=True)
            shutil.rmtree(other)
            sealed(folder)
            self.after(name)
        self.made.append(name)
        return SimpleNamespace(bundle_id=bundles.read(options.out).id, warnings=())


@pytest.fixture
def fit(tmp_path: Path) -> _Fit:
    """Return a fit that takes no time."""
    return _Fit(tmp_path)


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write pictures and a plan for three cameras."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "c"):
        write_pictures(tmp_path / name, set(), 2)
    return _plan(tmp_path, {name: {"images": name, "out": f"{name}.bundle"} for name in ("a", "b", "c")})


def _run(plan: Path, fit: _Fit) -> Outcomes:
    return run_plan(read_plan(plan), fit)


def _results(outcomes: Outcomes) -> list[str]:
    return [one.result for one in outcomes.cameras]


def test_once(plan: Path, fit: _Fit) -> None:
    """What is there of the same inputs is not learnt again."""
    assert _results(_run(plan, fit)) == ["learnt"] * 3
    assert _results(_run(plan, fit)) == ["in place"] * 3
    assert fit.made == ["a", "b", "c"]


def test_other_inputs(plan: Path, fit: _Fit, tmp_path: Path) -> None:
    """Another picture, another name of one, and another option are other inputs, each for its own camera."""
    _run(plan, fit)
    write_pictures(tmp_path / "a", {1}, 2)
    (tmp_path / "b" / "0001.png").rename(tmp_path / "b" / "0003.png")
    tree = json.loads(plan.read_text(encoding="utf-8"))
    tree["cameras"]["c"]["seed"] = 7
    plan.write_text(json.dumps(tree), encoding="utf-8")
    assert _results(_run(plan, fit)) == ["learnt"] * 3
    write_pictures(tmp_path / "c", {2}, 2)
    assert _results(_run(plan, fit)) == ["in place", "in place", "learnt"]


def test_bad_camera(plan: Path, fit: _Fit, tmp_path: Path) -> None:
    """One camera that fails is reported with its reason; the others are learnt; the exit code is that of its error."""

    def refuse(name: str) -> None:
        if name == "b":
            raise ParityRefused("the graph differs", where="b")

    fit.before = refuse
    outcomes = _run(plan, fit)
    assert _results(outcomes) == ["learnt", "failed", "learnt"]
    assert (outcomes.cameras[1].reason, outcomes.exit_code) == ("b: the graph differs", ParityRefused.exit_code)
    assert not (tmp_path / "b.bundle").exists()
    page = (tmp_path / "plant.html").read_text(encoding="utf-8")
    assert "b: the graph differs" in page
    assert '<td class="missed">failed</td>' in page


def test_fault_of_ours(plan: Path, fit: _Fit, capsys: pytest.CaptureFixture[str]) -> None:
    """A fault inside a fit fails its camera with exit code 1, and the traceback is on stderr; the others are learnt."""

    def fail(name: str) -> None:
        if name == "a":
            raise ZeroDivisionError("of a fit")

    fit.before = fail
    outcomes = _run(plan, fit)
    assert _results(outcomes) == ["failed", "learnt", "learnt"]
    assert (outcomes.cameras[0].reason, outcomes.exit_code) == ("ZeroDivisionError: of a fit", PatchedgeError.exit_code)
    assert "Traceback" in capsys.readouterr().err


def test_no_pictures(plan: Path, fit: _Fit, tmp_path: Path) -> None:
    """A folder that is not there fails its camera; the bundle of before stays, and the reason says so."""
    _run(plan, fit)
    shutil.rmtree(tmp_path / "a")
    outcomes = _run(plan, fit)
    assert _results(outcomes) == ["failed", "in place", "in place"]
    assert outcomes.cameras[0].reason.startswith("a: no such file or folder")
    assert outcomes.cameras[0].reason.endswith("the bundle of before is still in its place")
    assert (tmp_path / "a.bundle").exists()


def test_changed_under_way(plan: Path, fit: _Fit, tmp_path: Path) -> None:
    """A picture that changes between its hash and the fit fails its camera, by name: no bundle has another's inputs."""

    def change(name: str) -> None:
        if name == "b":
            (tmp_path / "b" / "0002.png").write_bytes(b"other")

    fit.before = change
    outcomes = _run(plan, fit)
    assert _results(outcomes) == ["learnt", "failed", "learnt"]
    assert "b/0002.png: holds other bytes than when it was first read" in outcomes.cameras[1].reason


def test_killed_before_the_rename(plan: Path, fit: _Fit, tmp_path: Path) -> None:
    """A run that ends between record and bundle: the old bundle stays, and the new one is learnt by the next run."""
    _run(plan, fit)
    before = bundles.read(tmp_path / "a.bundle").id
    write_pictures(tmp_path / "a", {1}, 2)
    fit.threshold = 61.0

    def kill(_: str) -> None:
        raise KeyboardInterrupt

    fit.after = kill
    with pytest.raises(KeyboardInterrupt):
        _run(plan, fit)
    assert bundles.read(tmp_path / "a.bundle").id == before
    fit.after = lambda _: None
    assert _results(_run(plan, fit)) == ["learnt", "in place", "in place"]
    assert bundles.read(tmp_path / "a.bundle").id != before


def test_damaged(plan: Path, fit: _Fit, tmp_path: Path) -> None:
    """A bundle of the plan that is damaged is learnt again."""
    _run(plan, fit)
    (tmp_path / "a.bundle" / "bank.safetensors").write_bytes(b"")
    assert _results(_run(plan, fit)) == ["learnt", "in place", "in place"]


def test_foreign(plan: Path, fit: _Fit, tmp_path: Path) -> None:
    """A bundle that no plan put there is not replaced, unless the plan says so."""
    foreign = make_bundle(tmp_path / "a.bundle")
    mine = bundles.read(foreign).id
    fit.threshold = 61.0
    outcomes = _run(plan, fit)
    assert _results(outcomes) == ["failed", "learnt", "learnt"]
    assert "was not put here by a plan" in outcomes.cameras[0].reason
    assert bundles.read(foreign).id == mine
    _plan(tmp_path, {"a": {"images": "a", "out": "a.bundle", "force": True}})
    assert _results(_run(plan, fit)) == ["learnt"]


def test_signed_later(plan: Path, fit: _Fit, tmp_path: Path) -> None:
    """A plan that asks for a signature later signs what is there, and learns nothing again."""
    _run(plan, fit)
    key = make_key(tmp_path / "shop")
    _plan(tmp_path, {"a": {"images": "a", "out": "a.bundle", "sign": "shop.key"}})
    outcomes = _run(plan, fit)
    assert _results(outcomes) == ["signed"]
    assert outcomes.cameras[0].sealed is not None
    assert outcomes.cameras[0].sealed.signed_by == key
    bundles.read(tmp_path / "a.bundle", _check(key))
    assert _results(_run(plan, fit)) == ["in place"]
    assert fit.made == ["a", "b", "c"]


def test_signed_before_it_is_there(plan: Path, fit: _Fit, tmp_path: Path) -> None:
    """A bundle never lies in its place without its signature."""
    make_key(tmp_path / "shop")
    _plan(tmp_path, {"a": {"images": "a", "out": "a.bundle", "sign": "shop.key"}})
    signed = []
    fit.after = lambda _: signed.extend(tmp_path.glob(f".a.bundle.*.part/new/{SIGNATURE}"))
    assert _results(_run(plan, fit)) == ["learnt"]
    assert len(signed) == 1


def test_two_at_once(plan: Path, fit: _Fit) -> None:
    """While one process learns a plan, another one is refused."""

    def again(_: str) -> None:
        with pytest.raises(UsageError, match="is being learnt by another process"):
            _run(plan, fit)

    fit.before = again
    assert _results(_run(plan, fit)) == ["learnt"] * 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cameras:\n  a: {images: a, out: a.bundle, corset: 5}\n", r"plant\.yaml:2: unknown key `cameras\.a\.corset`"),
        (
            "defaults:\n  images: a\ncameras:\n  a: {images: a, out: b}\n",
            r"plant\.yaml:2: unknown key `defaults\.images`",
        ),
        ("cameras:\n  a:\n    images: a\n", r"plant\.yaml:2: key `cameras\.a\.out` is missing"),
        ("cameras: {}\n", r"plant\.yaml:1: key `cameras`: 0 entries"),
        ("camera: {}\n", r"plant\.yaml:1: unknown key `camera`; .*did you mean `cameras`"),
        ("cameras:\n  a b: {images: a, out: b}\n", r"plant\.yaml:2: name `a b` in `cameras`"),
        (
            "cameras:\n  a: {images: a, out: b}\n  a: {images: b, out: c}\n",
            r"plant\.yaml:3: duplicate key `cameras\.a`",
        ),
        ("cameras:\n  a: {images: a, out: x}\n  b: {images: b, out: ./x}\n", r"plant\.yaml:3: .*the bundle of `a` too"),
        ("cameras:\n  a: {images: a, out: b, tiles: auto}\n", r"plant\.yaml:2: key `cameras\.a`: .*smallest_fault"),
        ("cameras:\n  a: {images: a, out: b, threads: 2}\n", r"plant\.yaml:2: unknown key `cameras\.a\.threads`"),
        ("cameras:\n  a: {images: a, out: b, alpha: 2}\n", r"plant\.yaml:2: key `cameras\.a\.alpha`: 2 is not"),
    ],
)
def test_strict(tmp_path: Path, text: str, said: str) -> None:
    """A mistake in the file is refused, with its line."""
    path = tmp_path / "plant.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=said):
        read_plan(path)


def test_defaults(tmp_path: Path) -> None:
    """What a camera says wins over the defaults; `threads` is the command's."""
    cameras = {"a": {"images": "a", "out": "a.bundle", "alpha": 0.5}, "b": {"images": "b", "out": "b.bundle"}}
    found = read_plan(_plan(tmp_path, cameras, alpha=0.1, size=64), threads=3).cameras
    assert [(one.alpha, one.size, one.threads) for one in found.values()] == [(0.5, 64, 3), (0.1, 64, 3)]


def test_options_beside_a_plan(tmp_path: Path) -> None:
    """An option of a fit beside --plan is refused: it would be ignored."""
    done = call_export("fit", "--plan", _plan(tmp_path, {}), "--images", "normal", "--seed", 3)
    assert done.code == UsageError.exit_code
    assert "--images, --seed: not with --plan" in done.err
