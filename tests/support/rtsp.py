"""GStreamer's RTSP server, where it is installed, in a process of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

MISSING = "GStreamer's RTSP server is not installed: gir1.2-gst-rtsp-server-1.0 (see .ci/run)"

_SYSTEM_PYTHON = "/usr/bin/python3"
_IMPORT = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
_SCRIPT = Path(__file__).with_name("fakes") / "rtsp_server.py"


@cache
def installed() -> bool:
    return not subprocess.run([_SYSTEM_PYTHON, "-c", _IMPORT], capture_output=True, check=False).returncode


@contextmanager
def serving(pictures: str, last: int, login: str, *place: str, transport: str = "tcp") -> Iterator[int]:
    """Serve pictures `pictures % 0` to `pictures % last`; yield the port. `place`: address, port, path, rate."""
    words = [_SYSTEM_PYTHON, str(_SCRIPT), pictures, str(last), transport, login, *place]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()
