"""Check Python, the packages, and whether what is compiled runs on this very processor."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator

from edge_config.installed import version
from runtime.doctor.finding import Finding
from runtime.process.child import CheckResult, ask

_USES = {
    "numpy": "import numpy; a = numpy.ones((64, 64), numpy.float32); (a @ a).sum()",
    "opencv": (
        "import cv2, numpy; cv2.resize(numpy.zeros((64, 64, 3), numpy.uint8), (32, 32), interpolation=cv2.INTER_AREA)"
    ),
    "onnxruntime": "import onnxruntime; onnxruntime.get_available_providers()",
    "hnswlib": (
        "import hnswlib, numpy; a = numpy.random.default_rng(0).random((64, 48), numpy.float32); "
        "i = hnswlib.Index('l2', 48); i.init_index(64); i.add_items(a); i.knn_query(a, 1)"
    ),
    "pyzmq": "import zmq; zmq.Context().socket(zmq.PUB).close(0)",
    "patchedge's loops": (
        "import numpy; from runtime.search.full import distances; "
        "a = numpy.ones((64, 48), numpy.float32); distances(a, a)"
    ),
}
_NAMES = {
    "opencv": ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python"),
    "patchedge's loops": ("patchedge",),
}
_REBUILD = "rebuild it: HNSWLIB_NO_NATIVE=1 pip install --no-binary hnswlib --force-reinstall hnswlib"
_OTHER_WHEEL = "its wheel is for another processor: install one for this, or build it here"
_INSTALL = "pip install 'patchedge[cpu]'"


def python() -> Finding:
    """Return the versions of Python and patchedge."""
    own, running = version() or "not installed", platform.python_version()
    where = "" if sys.prefix == sys.base_prefix else f" in {sys.prefix}"
    libc = " ".join(platform.libc_ver()).strip()
    data = {"python": running, "patchedge": own, "libc": libc, "prefix": sys.prefix}
    return Finding("python", "ok", f"{running}{where}; patchedge {own}; {libc or 'no glibc'}", data=data)


def packages(run: Callable[[str], CheckResult] | None = None) -> Iterator[Finding]:
    """Check that each compiled package works, in a process of its own.

    Args:
        run: runs code in a process; by default one of this Python.
    """
    run = run or (lambda code: ask("-c", f"import sys; sys.path[:] = {sys.path!r}; {code}"))
    versions = {}
    for name, code in _USES.items():
        answer = run(f"{code}; print('null')")
        versions[name] = next(filter(None, map(version, _NAMES.get(name, (name,)))), None) or "of the system"
        if answer.illegal:
            remedy = _REBUILD if name == "hnswlib" else _OTHER_WHEEL
            yield Finding(
                name, "fail", f"{versions[name]} uses instructions that this processor lacks (SIGILL)", remedy
            )
        elif answer.problem:
            yield Finding(name, "fail", f"cannot be used ({answer.problem})", _INSTALL)
    says = ", ".join(f"{name} {found}" for name, found in versions.items() if name != "patchedge's loops")
    yield Finding("packages", "ok", says, data=versions)
