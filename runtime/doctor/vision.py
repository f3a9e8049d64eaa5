"""Check what OpenCV can open."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from runtime.camera import address
from runtime.doctor.finding import Finding
from runtime.process.child import CheckResult, ask

_FOR = {"V4L2": "cameras", "FFMPEG": "streams and files", "GSTREAMER": "csi:// and gst:"}
_WHEEL = "pip install opencv-python-headless: its wheels have it"
_SYSTEM = "use the system's OpenCV (python3-opencv, or that of JetPack): the wheels of PyPI have no GStreamer"


def backends(sources: Iterable[int | str] = (), run: Callable[[], CheckResult] | None = None) -> Finding:
    """Report which back ends OpenCV has, and which missing ones are needed.

    Args:
        sources: of the cameras of the settings.
        run: asks OpenCV; by default in a process of its own.
    """
    answer = run() if run else ask(__name__)
    if answer.problem:
        return Finding("opencv", "fail", f"cannot be used ({answer.problem})", "pip install 'patchedge[cpu]'")
    has: dict[str, bool] = answer.value["backends"]
    lacks = [name for name, there in has.items() if not there]
    says = f"OpenCV {answer.value['version']} opens {_for(name for name, there in has.items() if there) or 'nothing'}"
    if lacks:
        says += f"; not {_for(lacks)}"
    needed = {name for name in map(_needs, sources) if name in lacks}
    if needed:
        return Finding("opencv", "fail", says, _SYSTEM if "GSTREAMER" in needed else _WHEEL, data=answer.value)
    if set(lacks) - {"GSTREAMER"}:
        return Finding("opencv", "warn", says, _WHEEL, data=answer.value)
    return Finding("opencv", "ok", says, data=answer.value)


def main() -> None:
    """Print version and backends of OpenCV, as JSON."""
    import cv2

    from runtime.camera.sources.live import has_backend

    found: dict[str, Any] = {name: has_backend(getattr(cv2, f"CAP_{name}")) for name in _FOR}
    print(msgspec.json.encode({"version": cv2.__version__, "backends": found}).decode())


def _for(names: Iterable[str]) -> str:
    return ", ".join(f"{_FOR[name]} ({name})" for name in names)


def _needs(source: int | str) -> str:
    if address.plain(source).startswith((address.GSTREAMER, address.CSI)):
        return "GSTREAMER"
    return {"device": "V4L2", "stream": "FFMPEG"}.get(address.kind(source), "")
