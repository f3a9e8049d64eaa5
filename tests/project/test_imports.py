"""The device side stays light."""

from __future__ import annotations

import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import edge_config
import export.cli.main
import patchedge
import runtime
import runtime.cli.main
from edge_config.installed import version
from runtime.client.subscriber import Subscriber
from tests.support.workshop import PACKAGES, needs_workshop, without

TESTS = Path(__file__).parents[1]
HEAVY = ("numpy", "cv2", "onnxruntime", "hnswlib", "zmq", "torch")

VERBS = {
    main.__name__: [verb.NAME for verbs in main.VERBS.values() for verb in verbs]
    for main in (runtime.cli.main, export.cli.main)
}


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.slow
def test_tests_that_are_not_marked_torch_need_no_workshop() -> None:
    """Where torch, onnx and their like cannot be imported, all test modules that are not marked `torch` still load."""
    modules = [str(path) for path in sorted(TESTS.rglob("test_*.py")) if not needs_workshop(path)]
    assert str(TESTS / "camera/test_feed.py") in modules
    assert str(TESTS / "network/test_graph.py") not in modules
    done = python(f"{without(*PACKAGES)}import runpy\nfor path in {modules!r}: runpy.run_path(path)")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_whole_runtime_imports_without_workshop_libraries() -> None:
    """Every module of the device side imports where torch, onnx and their like cannot be imported."""
    modules = [
        module.name
        for package in (edge_config, runtime)
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    ]
    assert "runtime.app.serve" in modules
    done = python(without(*PACKAGES) + "\n".join(f"import {name}" for name in modules))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("main", VERBS)
def test_help_loads_nothing_heavy(main: str) -> None:
    """`--help` of every verb works without the workshop libraries, and loads none of the large ones."""
    code = f"""{without(*PACKAGES)}
import {main} as m
for argv in {[["--help"], *([verb, "--help"] for verb in VERBS[main])]!r}:
    try:
        m.main(argv)
    except SystemExit as end:
        assert end.code == 0, argv
    loaded = set({HEAVY!r}) & set(sys.modules)
    assert not loaded, (argv, loaded)
"""
    done = python(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("usage: ") == 1 + len(VERBS[main])


def test_parent_of_capture_processes_loads_no_library_of_theirs() -> None:
    """What keeps cameras alive must not be what hangs or crashes: it works without OpenCV and ONNX Runtime."""
    done = python(f"{without('cv2', 'onnxruntime', 'hnswlib')}import runtime.camera.feed")
    assert done.returncode == 0, done.stderr


def test_what_users_import_needs_pyzmq_and_msgspec_only() -> None:
    """A user of the client installs two libraries; numpy, the readers of settings and the logger are none of them."""
    code = """import sys
class Only:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in {"patchedge", "runtime", "edge_config", "zmq", "msgspec", *sys.stdlib_module_names}:
            raise ModuleNotFoundError(f"{name} is blocked", name=name)
sys.meta_path.insert(0, Only())
from patchedge import *
assert "importlib.metadata" not in sys.modules
"""
    done = python(code)
    assert done.returncode == 0, done.stderr


def test_what_users_import_is_defined_once_and_named() -> None:
    """Each name of `__all__` is there, is what the package defines elsewhere, and the version is the installed one."""
    assert patchedge.__version__ == version()
    for name in patchedge.__all__:
        assert getattr(patchedge, name) is not None
    assert patchedge.Subscriber is Subscriber
    with pytest.raises(AttributeError, match="no_such_name"):
        patchedge.no_such_name  # noqa: B018 - it must not be there


@pytest.mark.slow
def test_missing_cpu_extra_names_its_install_line(tiny_bundle: Path, tmp_path: Path) -> None:
    """Where OpenCV or ONNX Runtime are missing, `run` says what to install and exits with 2."""
    for name in ("cv2", "onnxruntime"):  # found before the real ones, in the processes that it starts too
        (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError('no {name}', name='{name}')\n")
    words = ["run", "--bundle", str(tiny_bundle), "--source", str(tmp_path), "--bind", f"ipc://{tmp_path}/events"]
    done = subprocess.run(
        [sys.executable, "-m", "runtime.cli.main", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 2
    assert "pip install 'patchedge[cpu]'" in done.stderr
    assert len([line for line in done.stderr.splitlines() if not line.startswith("{")]) == 1


@pytest.mark.parametrize(
    ("package", "extra", "broker"),
    [("aiomqtt", "mqtt", "mqtt: {host: 127.0.0.1}"), ("nats", "nats", "nats: {servers: ['nats://127.0.0.1:1']}")],
)
def test_missing_broker_extra_names_its_install_line(package: str, extra: str, broker: str, tmp_path: Path) -> None:
    """Where the package for a broker is missing, `bridge` says what to install and exits with 2."""
    path = tmp_path / "bridge.yaml"
    path.write_text(f"devices: [{{events: 'tcp://127.0.0.1:1', control: 'tcp://127.0.0.1:2'}}]\n{broker}\n")
    done = python(
        f"{without(package)}import runtime.cli.main as m\nsys.exit(m.main(['bridge', '--config', {str(path)!r}]))"
    )
    assert done.returncode == 2
    assert done.stderr == f"patchedge: {package} is not installed; pip install 'patchedge[{extra}]'\n"


@pytest.mark.parametrize(
    ("package", "words"),
    [("starlette", ["page"]), ("uvicorn", ["page"]), ("argon2", ["page", "user", "add", "anna"])],
)
def test_missing_page_extra_names_its_install_line(package: str, words: list[str], tmp_path: Path) -> None:
    """Where a package of the page is missing, `page` says what to install and exits with 2."""
    argv = [words[0], "--folder", str(tmp_path), *words[1:]]
    done = python(f"{without(package)}import runtime.cli.main as m\nsys.exit(m.main({argv!r}))")
    assert done.returncode == 2
    assert done.stderr == f"patchedge: {package} is not installed; pip install 'patchedge[page]'\n"


def test_users_of_the_page_are_changed_without_loading_what_serves_it(tmp_path: Path) -> None:
    """`page user` and `page token` load none of the libraries that serve pages, draw, or talk to devices."""
    unused = {"numpy", "cv2", "zmq", "starlette", "uvicorn", "av"}
    tasks = [["token", "add", "hall"], ["user", "list"], ["token", "remove", "hall"]]
    done = python(f"""import sys, runtime.cli.main as m
for task in {tasks!r}:
    assert m.main(["page", "--folder", {str(tmp_path)!r}, *task]) == 0
    loaded = {unused!r} & set(sys.modules)
    assert not loaded, (task, loaded)
""")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("verb", ["fit", "evaluate"])
def test_missing_export_extra_names_its_install_line(verb: str, tmp_path: Path) -> None:
    """Where the export extra is missing, `fit` and `evaluate` say at once what to install, and exit with 2."""
    argv = {
        "fit": ["fit", "--images", str(tmp_path), "--out", str(tmp_path / "x.bundle")],
        "evaluate": ["evaluate", str(tmp_path), "--dataset", str(tmp_path)],
    }[verb]
    done = python(f"{without(*PACKAGES)}import export.cli.main as m\nsys.exit(m.main({argv!r}))")
    assert done.returncode == 2
    assert "pip install 'patchedge[export]'" in done.stderr  # ONNX Runtime is there, of whichever provider
    assert len(done.stderr.splitlines()) == 1
