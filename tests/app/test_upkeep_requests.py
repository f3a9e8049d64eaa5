"""What tells how a device is: metrics, and doctor in a process beside it."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge_config.settings.parse import parse
from edge_config.settings.sections import Camera
from edge_config.wire.upkeep import ReadDoctorReport, ReadLogs, ReadMetrics, ReadSettings, StartDoctor
from runtime.app.upkeep.doctor_run import DoctorRun
from runtime.app.upkeep.upkeep_requests import UpkeepRequests
from runtime.events import Asked
from runtime.process.log_ring import LogRing

ENOUGH_S = 60.0
SETTINGS = parse({"bundle": "none", "cameras": {"top": {"source": "/dev/video77", "alerts": {"attach": ["jpeg"]}}}})


class Control:
    """Keeps answers, from any thread."""

    def __init__(self) -> None:
        self.answers: list[tuple[bool, Any, Any]] = []
        self.news = threading.Event()

    def reply(self, _asked: Asked, payload: Any, parts: Any = ()) -> None:
        self.answers.append((True, payload, list(parts)))
        self.news.set()

    def refuse(self, _asked: Asked, error: str) -> None:
        self.answers.append((False, error, []))
        self.news.set()


def python(code: str) -> tuple[str, ...]:
    return sys.executable, "-c", code


@pytest.fixture
def doctors() -> Iterator[list[DoctorRun]]:
    """Yield a list of runs that are closed at the end."""
    runs: list[DoctorRun] = []
    yield runs
    for run in runs:
        run.close()


def ended(run: DoctorRun) -> Any:
    """Wait for the end of a run, and return how it ended."""
    assert run._thread is not None
    run._thread.join(ENOUGH_S)
    return run.state()


def test_doctor_is_given_the_settings_and_yields_to_others(doctors: list[DoctorRun]) -> None:
    """Its process has the lowest priority, and the settings of the device, which are on no command line."""
    code = (
        "import sys, os, json; s = json.load(sys.stdin); print(json.dumps([os.nice(0), list(s['cameras']), sys.argv]))"
    )
    doctors.append(run := DoctorRun(SETTINGS, python(code)))
    assert run.state().state == "never"
    assert run.start()
    assert (ended(run).state, run.state().report) == ("done", [19, ["top"], ["-c"]])


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise SystemExit('it is broken')", "it is broken"),
        ("print('{')", "truncated"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "exit code -9"),
    ],
)
def test_doctor_that_fails_says_why(doctors: list[DoctorRun], code: str, reason: str) -> None:
    """A doctor that dies or prints nonsense is a report that says so, and the next one can be started."""
    doctors.append(run := DoctorRun(SETTINGS, python(code)))
    run.start()
    assert (ended(run).state, reason in run.state().reason) == ("failed", True), run.state().reason
    assert run.start()


@pytest.mark.slow
def test_doctor_that_hangs_is_ended_with_all_that_it_started(doctors: list[DoctorRun], tmp_path: Path) -> None:
    """After its time-out neither it nor a child of it is left; meanwhile no second one is started."""
    script = f"tail -f /dev/null & echo $! > {tmp_path / 'pid'}; wait"
    doctors.append(run := DoctorRun(SETTINGS, ("/bin/sh", "-c", script), timeout_s=6.0))
    assert run.start()
    assert not run.start()
    assert "not done within 6 s" in ended(run).reason
    child = Path("/proc", (tmp_path / "pid").read_text().strip(), "stat")
    assert not child.exists() or child.read_text().rpartition(")")[2].split()[0] == "Z"


def test_close_ends_a_doctor_that_runs() -> None:
    """A device that stops does not wait for doctor."""
    run = DoctorRun(SETTINGS, python("import threading; threading.Event().wait()"))
    run.start()
    run.close()
    assert run.state().state == "failed"
    assert not run.start()


@pytest.mark.slow
def test_real_doctor_leaves_what_runs_alone(doctors: list[DoctorRun], tmp_path: Path) -> None:
    """The report has the device, its software and folders; no camera is opened, and no port is bound."""
    os.environ.get("STATE_DIRECTORY", str(tmp_path))
    doctors.append(run := DoctorRun(SETTINGS))
    run.start()
    state = ended(run)
    assert state.state == "done", state.reason
    about = {finding["about"] for section in state.report.values() if isinstance(section, list) for finding in section}
    assert {"processor", "memory", "python", "providers"} <= about
    assert not about & {"camera top", "events", "control", "journal", "bundle", "hnswlib"}
    assert any("Cameras are not opened" in line for line in state.not_checked)


def test_requests_are_answered(doctors: list[DoctorRun]) -> None:
    """Log lines and the state of doctor come at once, metrics from a thread, and not again within a second; settings
    come without secrets.
    """
    control, ring, made = Control(), LogRing(), []

    def metrics() -> bytes:
        made.append(1)
        return b"patchedge_up 1\n"

    doctors.append(doctor := DoctorRun(SETTINGS, python("print('{}')")))
    camera = Camera(source="rtsp://admin:hunter2@10.0.0.7/1")
    secretive = msgspec.structs.replace(SETTINGS, cameras={"top": camera})
    part = UpkeepRequests(
        control, ring, "an epoch", metrics, "text/plain", doctor, lambda: (secretive, {"top": "/none"})
    )
    control.news.clear()
    assert part.answer(Asked(5, ReadSettings()))
    assert control.news.wait(ENOUGH_S)
    said = control.answers.pop()[1]
    assert "hunter2" not in str(said.settings["cameras"])
    assert "10.0.0.7" in said.settings["cameras"]["top"]["source"]
    assert said.manifests == {"top": None}
    ring(None, "info", {"event": "one", "level": "info"})
    assert part.answer(Asked(1, ReadLogs()))
    _, lines, _ = control.answers.pop()
    assert ([line.text for line in lines.lines], lines.next, lines.epoch) == (
        ['{"event": "one", "level": "info"}'],
        1,
        "an epoch",
    )
    for _ in range(2):
        control.news.clear()
        assert part.answer(Asked(2, ReadMetrics()))
        assert control.news.wait(ENOUGH_S)
        assert control.answers.pop()[2] == [b"patchedge_up 1\n"]
    assert len(made) == 1
    assert part.answer(Asked(3, StartDoctor()))
    assert control.answers.pop()[0]
    ended(doctor)
    assert part.answer(Asked(4, ReadDoctorReport()))
    assert control.answers.pop()[1].report == {}
    part.close()
