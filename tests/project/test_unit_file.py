"""The systemd units of the runtime and of the page: what they must not lose."""

from __future__ import annotations

import shutil
import subprocess
from importlib import resources
from pathlib import Path

import pytest

UNITS = resources.files("edge_config") / "systemd"
UNIT = (UNITS / "patchedge.service").read_text()
PAGE = "patchedge-page.service"
ANALYZE = shutil.which("systemd-analyze")
PROGRAM = "/opt/patchedge/bin/patchedge"

MAX_EXPOSED = 2.5
"""Of 10, as `systemd-analyze security` counts it; what is left is the network, and what a camera needs."""


@pytest.mark.parametrize(
    "line",
    [
        "DynamicUser=yes",
        "ProtectSystem=strict",
        "DevicePolicy=closed",
        "DeviceAllow=char-video4linux rw",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "SystemCallFilter=@system-service",
        "RestartPreventExitStatus=2 65 78",
    ],
)
def test_runtime_may_do_what_it_needs_and_no_more(line: str) -> None:
    """Cameras are the only devices, and /var/lib/patchedge the only place to write to."""
    assert line in UNIT.splitlines()


def test_no_device_beside_cameras_is_allowed() -> None:
    """Those of a GPU or of libcamera are there to be asked for, and off."""
    assert [line for line in UNIT.splitlines() if line.startswith("DeviceAllow")] == ["DeviceAllow=char-video4linux rw"]
    assert any("nvidia" in line for line in UNIT.splitlines() if line.startswith("#DeviceAllow"))


@pytest.mark.parametrize(
    "line",
    [
        "Type=notify",
        f"ExecStart={PROGRAM} page --config /etc/patchedge/page.yaml",
        "User=patchedge-page",
        "StateDirectory=patchedge-page",
        "StateDirectoryMode=0700",
        "ProtectSystem=strict",
        "PrivateDevices=yes",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "SystemCallFilter=@system-service",
        "RestartPreventExitStatus=2 78",
    ],
)
def test_page_may_do_what_it_needs_and_no_more(line: str) -> None:
    """It has no device at all, and /var/lib/patchedge-page, which nobody else can read, to write to."""
    assert line in (UNITS / PAGE).read_text().splitlines()


@pytest.mark.skipif(ANALYZE is None, reason="there is no systemd here")
@pytest.mark.parametrize("name", ["patchedge.service", PAGE])
def test_systemd_takes_it(tmp_path: Path, name: str) -> None:
    """Systemd finds no mistake in it, and little that is open."""
    path = tmp_path / name
    path.write_text((UNITS / name).read_text().replace(PROGRAM, "/bin/true"))
    done = subprocess.run([str(ANALYZE), "verify", path], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    words = [str(ANALYZE), "security", "--offline=true", "--no-pager", path]
    told = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60).stdout
    exposed = next(line for line in told.splitlines() if "Overall exposure level" in line)
    assert float(exposed.partition(": ")[2].split()[0]) <= MAX_EXPOSED
