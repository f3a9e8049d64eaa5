"""The burn-in of one camera: no alert while it runs, restarts, gaps, another bundle, and what is applied."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge_config.settings.sections import Alerts
from edge_config.wire.burn_in import Proposal
from runtime.alerts.monitored_camera import MonitoredCamera
from runtime.burnin import kept as keeping
from runtime.burnin.burn_in import MAX_WAIT, BurnInCamera
from runtime.burnin.disk import BurnInCounted, BurnInStored, CountJob
from runtime.burnin.kept import BurnInKept, BurnInPlan
from runtime.burnin.scores import read
from runtime.frame import Result, SharedFrame
from tests.support.fakes.parts import EVERY_RUN, NEW, NORMAL, OLD, STRANGE, THRESHOLD, Clock, Publisher

HOUR_S, STEP_S = 3600.0, 300.0
FOUND = Proposal(
    bundle=OLD.id,
    since="2026-01-01T00:00:00+00:00",
    until="2026-01-02T00:00:00+00:00",
    hours=24.0,
    gaps=0,
    gap_hours=0.0,
    fps=1.0,
    frames=86_400,
    was=THRESHOLD,
    wanted=1.0,
    threshold=7.0,
    basis="extrapolated",
    alerts_a_day=1.0,
    upper=2.5,
)


@pytest.fixture(autouse=True)
def _without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated days write more often than a disk can sync."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


@dataclass
class Disk:
    """Keeps what is stored in a real folder, and the jobs that are to be counted."""

    root: Path
    tell: Callable[[Any], None] = lambda _event: None
    jobs: list[CountJob] = field(default_factory=list)
    broken: str = ""

    def folder(self, camera: str) -> Path:
        return self.root / camera

    def store(self, camera: str, kept: BurnInKept, at: int, records: bytes) -> None:
        if self.broken:
            self.tell(BurnInStored(camera, 0, self.broken))
            return
        if kept.running is not None:
            keeping.append(self.folder(camera), at, records)
        keeping.save(self.folder(camera), kept)

    def count(self, _camera: str, job: CountJob) -> None:
        self.jobs.append(job)

    def clear(self, camera: str) -> None:
        keeping.clear(self.folder(camera))

    def close(self) -> None:
        pass


class Device:
    """One start of a runtime with one camera, of which a frame comes every five minutes."""

    def __init__(self, root: Path, *, hours: float | None = 24.0, alerts: Alerts = EVERY_RUN) -> None:
        self.publisher, self.clock = Publisher(), Clock()
        self.disk = Disk(root)
        self.camera = MonitoredCamera("top", self.publisher, alerts)
        self.kept, problem = keeping.load(root / "top")
        assert not problem
        plan = BurnInPlan(None if hours is None else hours * HOUR_S, 1.0)
        self.burn_in = BurnInCamera(
            "top",
            plan,
            self.kept,
            self.disk,
            alerts=lambda: self.camera.settings,
            changed=self.camera.threshold_changed,
            clock_s=self.clock.monotonic,
        )
        self.disk.tell = self.burn_in.stored
        self.camera.watch(self.burn_in)
        self.camera.serve(OLD)
        self.camera.status.connect("live", "delivers pictures")
        self.wall_s = 1_760_000_000.0
        self.number = 0

    def frames(self, count: int, value: float = NORMAL, *, result: Result | None = None) -> None:
        """Score frames, and do the periodic work after each."""
        for _ in range(count):
            self.clock.now_s += STEP_S
            self.wall_s += STEP_S
            self.number += 1
            at = self.number, round(self.wall_s * 1e9), self.clock.monotonic_ns()
            self.camera.publish(SharedFrame(1, 0, (48, 64), *at), result or Result(value=value, peak_xy=(1, 2)))
            self.burn_in.turn()

    def pass_hours(self, hours: float, value: float = NORMAL) -> None:
        """Let time pass."""
        self.frames(round(hours * HOUR_S / STEP_S), value)

    def alerts(self) -> list[str]:
        return self.publisher.of("alert", "phase")

    def told(self) -> list[str]:
        return self.publisher.of("state", "reason")


def end(device: Device, **changed: Any) -> None:
    """Have the scores counted."""
    device.burn_in.counted(BurnInCounted("top", msgspec.structs.replace(FOUND, **changed)))


def test_no_alert_is_raised_until_it_is_over(tmp_path: Path) -> None:
    """Everything is scored and labelled, no alert is raised, and after it alerts are by the new threshold."""
    device = Device(tmp_path)
    device.frames(5, STRANGE)
    assert device.alerts() == []
    assert device.publisher.of("score", "label") == ["anomalous"] * 5
    assert device.camera.silent
    device.pass_hours(24.1)
    (job,) = device.disk.jobs
    assert (job.wanted, job.was, job.bundle, job.alerts.min_ms) == (1.0, THRESHOLD, OLD.id, EVERY_RUN.min_ms)
    assert device.alerts() == []  # until it is counted
    end(device)
    assert device.camera.threshold == 7.0
    device.frames(2, 6.0)
    assert device.alerts() == []
    device.frames(2, STRANGE)
    assert device.alerts() == ["start"]
    assert "threshold 7, was 5" in device.told()[-1]
    assert device.publisher.of("score", "threshold")[-1] == 7.0


def test_an_event_that_began_in_silence_is_an_alert_after_it(tmp_path: Path) -> None:
    """What is in view when alerts begin again is told from its start on, never from its middle."""
    device = Device(tmp_path, alerts=Alerts(min_frames=2, min_ms=0, cooldown_ms=86_400_000))
    device.pass_hours(24.1, STRANGE)
    end(device)
    device.frames(3, STRANGE)
    assert device.alerts() == ["start"]


def test_status_and_health_say_it_with_the_time_left(tmp_path: Path) -> None:
    """Status and heart-beats say that no alert is raised, and for how long."""
    device = Device(tmp_path)
    device.pass_hours(1)
    status = device.burn_in.status()
    assert (status.phase, status.silent) == ("running", True)
    assert status.left_s == pytest.approx(23 * HOUR_S, abs=2 * STEP_S)
    device.camera.beat()
    assert device.publisher.of("health", "burn_in_left_s") == [pytest.approx(23 * HOUR_S, abs=2 * STEP_S)]
    assert "no alert is raised" in device.told()[0] + device.told()[1]
    device.pass_hours(23.1)
    end(device)
    device.camera.beat()
    assert "burn_in_left_s" not in device.publisher.messages[-1]
    assert device.burn_in.status().phase == "off"


def test_states_go_on(tmp_path: Path) -> None:
    """A camera that cannot be judged is told as ever, and such frames are not watched."""
    device = Device(tmp_path)
    device.frames(2)
    device.frames(2, result=Result(scene="dark", scene_reason="grey 3"))
    assert device.publisher.of("state", "state", "reason")[-1] == ("dark", "grey 3")
    assert device.burn_in.status().watched_s == STEP_S


def test_it_goes_on_after_a_restart(tmp_path: Path) -> None:
    """After a restart the watched time goes on, the gap is said, and nothing that was written is lost."""
    first = Device(tmp_path)
    first.pass_hours(2)
    first.burn_in.close()
    second = Device(tmp_path)
    second.wall_s = first.wall_s + HOUR_S
    assert second.camera.silent
    second.pass_hours(1)
    status = second.burn_in.status()
    assert status.watched_s == pytest.approx(3 * HOUR_S, abs=3 * STEP_S)
    assert (status.gaps, status.gap_s) == (1, pytest.approx(HOUR_S + STEP_S, abs=2))
    second.burn_in.close()
    found = read((tmp_path / "top" / keeping.SCORES).read_bytes())
    assert [len(one.scores) for one in found] == [24, 12]
    assert found[1].wall_s - found[0].wall_s == pytest.approx(3 * HOUR_S, abs=2)


def test_a_power_cut_costs_what_was_not_written(tmp_path: Path) -> None:
    """Records behind those that the state confirms are dropped, and the next are written behind these."""
    first = Device(tmp_path)
    first.pass_hours(2)
    before = keeping.load(tmp_path / "top")[0].running
    assert before is not None
    with (tmp_path / "top" / keeping.SCORES).open("ab") as stream:
        stream.write(b"\0" * 100)  # a page of the disk that was never written
    second = Device(tmp_path)
    second.wall_s = first.wall_s + HOUR_S
    second.frames(5)
    second.burn_in.close()
    found = read((tmp_path / "top" / keeping.SCORES).read_bytes())
    assert [len(one.scores) for one in found] == [before.records - 2, 5]


def test_a_state_that_cannot_be_read_begins_again(tmp_path: Path) -> None:
    """A damaged state file is named, and the burn-in begins from nothing."""
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / keeping.STATE).write_text('{"running": 3}')
    kept, problem = keeping.load(tmp_path / "top")
    assert kept == BurnInKept()
    assert keeping.STATE in problem


def test_what_was_watched_is_counted_after_a_restart(tmp_path: Path) -> None:
    """A restart while the scores are counted has them counted again; alerts stay away until then."""
    first = Device(tmp_path)
    first.pass_hours(24.1)
    assert len(first.disk.jobs) == 1
    second = Device(tmp_path)
    second.burn_in.turn()
    assert second.camera.silent
    assert second.disk.jobs == first.disk.jobs


def test_another_bundle_begins_it_again(tmp_path: Path) -> None:
    """Scores of two bundles do not mix: it begins again, and says so."""
    device = Device(tmp_path)
    device.pass_hours(2)
    device.camera.serve(NEW)
    assert "begins again" in device.told()[-1]
    status = device.burn_in.status()
    assert (status.watched_s, status.silent) == (0.0, True)
    assert "begins again" in status.note
    device.pass_hours(1)
    device.burn_in.close()
    assert [len(one.scores) for one in read((tmp_path / "top" / keeping.SCORES).read_bytes())] == [12]


def test_the_same_bundle_loaded_again_changes_nothing(tmp_path: Path) -> None:
    """A reload of the same bundle, or a worker that was restarted, does not interrupt it."""
    device = Device(tmp_path)
    device.pass_hours(1)
    device.camera.serve(OLD)
    assert device.burn_in.status().watched_s > HOUR_S / 2


def test_alerts_never_stay_away_for_longer_than_said(tmp_path: Path) -> None:
    """Of a camera that shows nothing to judge, silence ends after a stated multiple of the duration all the same."""
    device = Device(tmp_path, hours=1.0)
    device.frames(2)
    for _ in range(MAX_WAIT * 60 + 1):
        device.clock.now_s += 60
        device.burn_in.turn()
    assert len(device.disk.jobs) == 1
    end(device, threshold=None, problems=("0.1 minutes were watched",))
    assert not device.camera.silent
    assert device.camera.threshold == THRESHOLD
    assert "0.1 minutes" in device.told()[-1]


def test_it_is_once_for_each_camera(tmp_path: Path) -> None:
    """After it, neither a restart nor another bundle silences a camera again; whose threshold decides is said."""
    first = Device(tmp_path)
    first.pass_hours(24.1)
    end(first)
    again = Device(tmp_path)
    assert (again.camera.silent, again.camera.threshold) == (False, 7.0)
    again.camera.serve(NEW)
    assert (again.camera.silent, again.camera.threshold) == (False, NEW.threshold)
    assert "is for bundle aaaaaaaaaaaa" in again.told()[-1]
    assert not again.burn_in.status().in_service
    again.camera.serve(OLD)  # such as a rollback
    assert again.camera.threshold == 7.0


def test_the_settings_threshold_comes_first(tmp_path: Path) -> None:
    """`alerts.threshold` decides before a burn-in, and without it the burn-in does, then the bundle."""
    device = Device(tmp_path)
    device.pass_hours(24.1)
    end(device)
    device.camera.configure(Alerts(threshold=4.0))
    assert device.camera.threshold == 4.0
    assert not device.burn_in.status().in_service
    device.camera.configure(Alerts())
    assert device.camera.threshold == 7.0
    assert device.burn_in.status().in_service
    assert device.burn_in.drop() == ""
    assert device.camera.threshold == THRESHOLD
    assert Device(tmp_path).camera.threshold == THRESHOLD


def test_a_proposal_with_a_problem_waits_for_a_person(tmp_path: Path) -> None:
    """Where something speaks against the threshold, alerts go on by the bundle's, and only `force` applies it."""
    device = Device(tmp_path)
    device.pass_hours(24.1)
    end(device, problems=("the threshold would be 3 times that of the bundle",))
    assert (device.camera.silent, device.camera.threshold) == (False, THRESHOLD)
    assert "3 times" in device.burn_in.apply(of_all=False, force=False, by="")
    assert device.camera.threshold == THRESHOLD
    assert device.burn_in.apply(of_all=False, force=True, by="key") == ""
    assert device.camera.threshold == 7.0
    applied = device.burn_in.status().applied
    assert applied is not None
    assert applied.by == "key"


def test_what_was_set_aside_can_be_taken_for_false(tmp_path: Path) -> None:
    """The threshold that counts what was set aside is applied only where it is asked for twice."""
    device = Device(tmp_path, hours=None)
    assert device.burn_in.start(HOUR_S, None, apply=False, by="") == ""
    device.pass_hours(1.1)
    end(device, threshold_of_all=8.5)
    assert "set aside" in device.burn_in.apply(of_all=True, force=False, by="")
    assert device.burn_in.apply(of_all=True, force=True, by="") == ""
    assert device.camera.threshold == 8.5


@pytest.mark.parametrize("apply", [False, True])
def test_in_the_shadow_alerts_go_on(tmp_path: Path, apply: bool) -> None:  # noqa: FBT001
    """One that was asked for leaves alerts as they are; at its end the proposal waits, or is applied at once."""
    device = Device(tmp_path, hours=None)
    device.frames(1)
    assert device.burn_in.start(HOUR_S, 5.0, apply=apply, by="key") == ""
    assert "running" in device.burn_in.start(HOUR_S, 5.0, apply=apply, by="key")
    device.frames(2, STRANGE)
    device.frames(1)
    assert device.alerts() == ["start", "end"]
    device.pass_hours(1.1)
    assert device.disk.jobs[0].wanted == 5.0
    end(device)
    assert device.camera.threshold == (7.0 if apply else THRESHOLD)
    assert (device.burn_in.status().proposal is None) == apply
    if not apply:
        assert "proposal waits" in device.told()[-1]
        assert device.burn_in.apply(of_all=False, force=False, by="") == ""
    assert Device(tmp_path, hours=None).camera.threshold == 7.0


def test_stopped_in_silence_alerts_are_raised_at_once(tmp_path: Path) -> None:
    """Stopped, alerts are raised from the next frame on; what was watched is a proposal, and it does not come again."""
    device = Device(tmp_path)
    device.pass_hours(5)
    assert device.burn_in.stop() == ""
    device.frames(2, STRANGE)
    assert device.alerts() == ["start"]
    end(device)
    assert device.camera.threshold == THRESHOLD
    assert device.burn_in.status().proposal is not None
    assert not Device(tmp_path).camera.silent
    assert "no burn-in" in device.burn_in.stop()


def test_settings_that_ask_for_none_end_the_silence(tmp_path: Path) -> None:
    """Where `burn_in` is taken out of the settings, alerts are raised from the next start on."""
    Device(tmp_path).pass_hours(1)
    device = Device(tmp_path, hours=None)
    device.frames(2, STRANGE)
    assert device.alerts() == ["start"]


def test_a_disk_that_takes_nothing_ends_the_silence(tmp_path: Path) -> None:
    """What cannot be kept over a restart would silence a device for ever: alerts are raised, and the reason is told."""
    device = Device(tmp_path)
    device.disk.broken = "disk is full"
    device.pass_hours(0.5)
    assert not device.camera.silent
    assert "disk is full" in device.told()[-1]
    device.frames(2, STRANGE)
    assert device.alerts()[-1] == "start"
    assert device.burn_in.status().note == "disk is full"


def test_without_a_folder_there_is_none(tmp_path: Path) -> None:
    """Where scores cannot be stored at all, none begins, alerts are raised, and the reason is told."""
    publisher = Publisher()
    camera = MonitoredCamera("top", publisher, EVERY_RUN)
    kept = BurnInKept()
    plan, how = BurnInPlan(HOUR_S, 1.0), {"alerts": lambda: camera.settings, "changed": camera.threshold_changed}
    burn_in = BurnInCamera("top", plan, kept, None, why_no_disk="no home", **how)
    camera.watch(burn_in)
    camera.serve(OLD)
    assert not camera.silent
    assert "no home" in publisher.of("state", "reason")[-1]
    assert "no home" in burn_in.status().note
    assert "no home" in burn_in.start(HOUR_S, None, apply=True, by="")
    assert not list(tmp_path.iterdir())


def test_other_alert_settings_than_those_that_were_counted_with_are_said(tmp_path: Path) -> None:
    """A number of alerts a day holds for the alert settings that it was counted with."""
    device = Device(tmp_path)
    device.pass_hours(24.1)
    settings = msgspec.to_builtins(device.disk.jobs[0].alerts)
    end(device, alert_settings=settings)
    assert device.burn_in.status().note == ""
    device.camera.configure(Alerts(min_frames=1, min_ms=0, merge_ms=5000))
    assert "merge_ms" in device.burn_in.status().note
