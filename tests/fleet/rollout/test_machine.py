"""The state machine of a roll-out: whatever devices do, in whatever order they report."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from edge_config.wire.fleet import DeviceReport, Rollout
from runtime.fleet.rollout import record
from runtime.fleet.rollout.judge import trouble
from runtime.fleet.rollout.machine import BeginStage, Finish, Over, Settle, StopRollout, Wait, next_step
from runtime.fleet.rollout.orders import PlannedAssignment, orders
from tests.fleet.rollout.fleet_of import NEW, NOW_MS, OLD, names, report, rollout_of

SOAK_S = 600
STEPS = 400
"""More than any roll-out of 8 devices in 4 stages takes, at 60 s each."""


@dataclass
class SimulatedFleet:
    """Devices whose fates are drawn, and a driver in miniature: each order gets the next counter."""

    rollout: Rollout
    reports: dict[str, DeviceReport]
    fates: dict[str, str]
    now_ms: int = NOW_MS
    counter: int = 0
    written: list[tuple[int, PlannedAssignment]] = field(default_factory=list)
    in_place_ms: dict[str, int] = field(default_factory=dict)

    def change(self, after: Rollout) -> None:
        counters = dict(after.counters)
        for order in orders(after):
            self.counter += 1
            counters[order.key] = self.counter
            self.written.append((self.now_ms, order))
        self.rollout = replace(after, counters=counters)

    def step(self) -> bool:
        """Do the next step; return whether it is over."""
        match next_step(self.rollout, self.reports, self.now_ms):
            case BeginStage():
                self.change(record.begun(self.rollout, self.reports, self.now_ms))
            case Settle():
                self.rollout = record.settled(self.rollout, self.now_ms)
            case StopRollout(reason, failed):
                self.change(record.stopped(self.rollout, reason, failed, self.reports, self.now_ms))
            case Finish():
                self.change(record.finished(self.rollout, self.now_ms))
            case Wait():
                self.pass_time()
            case Over():
                return True
        return False

    def pass_time(self) -> None:
        """A minute passes: each device that is on goes on by one phase, and reports."""
        self.now_ms += 60_000
        for name, was in self.reports.items():
            if self.fates[name] == "off":
                continue
            counter = record.counter_of(self.rollout, name) if name in record.taken(self.rollout) else 0
            now = replace(was, at_ms=self.now_ms)
            if counter > was.counter:
                now = replace(now, counter=counter, rollout=self.rollout.id, phase="checking")
            elif was.phase == "checking":
                now = replace(now, phase="refused" if self.fates[name] == "refuses" else "watching")
            elif was.phase == "watching":
                now = replace(now, phase="went back" if self.fates[name] == "goes back" else "in place")
            if now.phase == "in place" and was.phase != "in place":
                self.in_place_ms[name] = self.now_ms
            self.reports[name] = now


@given(
    fates=st.lists(st.sampled_from(["good", "good", "good", "refuses", "goes back", "off"]), min_size=1, max_size=8),
    shares=st.lists(st.sampled_from(["1", "2", "30%", "60%"]), max_size=3),
)
@settings(max_examples=150, deadline=None)
def test_whatever_devices_do(fates: list[str], shares: list[str]) -> None:
    """No stage begins before the one before is in place and soaked; one that fails ends it, and its stage goes back.

    Devices of later stages are then never told, those of earlier ones keep it, and none that is off is waited for.
    """
    fate_of = dict(zip(names(len(fates)), fates, strict=True))
    fleet = {name: report(name, age_ms=10**9 if fate == "off" else 0) for name, fate in fate_of.items()}
    if set(fates) == {"off"}:
        shares = []
    fake = SimulatedFleet(rollout_of(fleet, *shares, "100%", soak_s=SOAK_S), fleet, fate_of)
    assert any(fake.step() for _ in range(STEPS)), "it never ends"
    rollout = fake.rollout
    forward = {order.key: at for at, order in fake.written if not order.is_back}
    back = {order.key: order.root for _, order in fake.written if order.is_back}
    on = [name for name in fate_of if fate_of[name] != "off"]
    bad = [name for name in on if fate_of[name] != "good"]
    for number, stage in enumerate(rollout.stages[1 : rollout.stage]):
        for name in set(stage) & set(forward):
            earlier = [one for before in rollout.stages[: number + 1] for one in before]
            assert all(forward[name] >= fake.in_place_ms[one] + 1000 * SOAK_S for one in earlier)
    if not bad:
        assert rollout.state == "done"
        assert set(forward) == {*on, "group:press"}
        assert not back
        return
    assert rollout.state == "stopped"
    first_bad = min(number for number, stage in enumerate(rollout.stages) if set(stage) & set(bad))
    assert rollout.stage == first_bad + 1
    told = set(rollout.stages[first_bad]) & set(on)
    assert back == dict.fromkeys(told, OLD)
    assert set(forward) == {name for stage in rollout.stages[: first_bad + 1] for name in stage} & set(on)
    assert all(name in bad for name in fate_of if f"{name} " in rollout.reason)


def test_a_device_that_goes_off_waits_for_the_last_stage() -> None:
    """A device that is off when its stage begins is moved to the last stage; a stage without devices is left out."""
    fleet = {name: report(name) for name in names(4)}
    rollout = record.begun(rollout_of(fleet, "1", "2", "100%"), fleet, NOW_MS)
    fleet["edge-002"] = report("edge-002", age_ms=10**6)
    after = record.begun(rollout, fleet, NOW_MS)
    assert after.stages == (("edge-001",), ("edge-003", "edge-004", "edge-002"))
    assert (after.stage, set(after.baseline)) == (2, {"edge-001", "edge-003", "edge-004"})


def test_a_device_that_does_not_know_what_it_runs_comes_last() -> None:
    """An agent whose runtime has not answered yet reports no bundle: there would be no way back."""
    fleet = {name: report(name) for name in names(3)}
    fleet["edge-001"] = report("edge-001", root="")
    assert rollout_of(fleet, "1", "100%").stages == (("edge-002",), ("edge-003", "edge-001"))
    fleet["edge-002"] = report("edge-002", root="")
    rollout = record.begun(rollout_of({**fleet, "edge-002": report("edge-002")}, "1", "100%"), fleet, NOW_MS)
    assert rollout.stages == (("edge-003", "edge-001", "edge-002"),)
    assert set(rollout.baseline) == {"edge-003"}


def test_a_device_that_falls_silent_is_waited_for() -> None:
    """A device that took the bundle and then says nothing holds the roll-out, and is named."""
    fleet = {name: report(name) for name in names(2)}
    rollout = replace(record.begun(rollout_of(fleet, "1", "100%"), fleet, NOW_MS), counters={"edge-001": 1})
    step = next_step(rollout, fleet, NOW_MS + 3_600_000)
    assert step == Wait("waits for edge-001 (no report in 60 min)")
    reason = "not accepted: signed by ed25519:00, which is not an operator's key"
    fleet["edge-001"] = report("edge-001", reason=reason)
    assert next_step(rollout, fleet, NOW_MS) == Wait(f"waits for edge-001 (told: {reason})")


def placed(**camera: object) -> DeviceReport:
    return report("edge-001", root=NEW, phase="in place", counter=1, rollout="r-1", camera=camera)


def test_worse_than_before() -> None:
    """Drift, alerts and frame time count against how the same camera was before; what was so before does not count."""
    was = {"alerts_per_hour": 2.0, "alerts_s": 7200.0, "frame_ms_p95": 20.0, "fps": 9.0}
    calm = {"edge-001": report("edge-001", camera=was)}
    rollout = replace(record.begun(rollout_of(calm), calm, NOW_MS), counters={"edge-001": 1}, settled_ms=NOW_MS)
    hour = NOW_MS + 3_600_000
    for camera, said in [
        ({"drift": "darker"}, "camera belt: drifts since: darker"),
        ({"bundle_problem": "parity"}, "camera belt: parity"),
        ({"alerts_per_hour": 4.9}, "camera belt: 4.9 alerts an hour, 2 before"),
        ({"alerts_per_hour": 3.9}, ""),
        (
            {"frame_ms_p95": 31.0, "fps": 5.0},
            "camera belt: a frame takes 31 ms, 20 ms before; 5 frames per second, 9 before",
        ),
        ({"frame_ms_p95": 31.0, "fps": 9.0}, ""),
        ({"frame_ms_p95": 29.0, "fps": 5.0}, ""),
    ]:
        assert trouble(rollout, placed(**camera), 1, hour) == said
    assert trouble(rollout, placed(alerts_per_hour=4.9), 1, NOW_MS) == "", "one alert in ten minutes proves nothing"
    started = {"edge-001": report("edge-001", camera={"alerts_per_hour": 0.0, "alerts_s": 3.0})}
    rollout = replace(record.begun(rollout_of(started), started, NOW_MS), counters={"edge-001": 1}, settled_ms=NOW_MS)
    assert trouble(rollout, placed(alerts_per_hour=4.9), 1, hour) == "", "what was just started has no rate yet"
    drifting = {"edge-001": report("edge-001", camera={"drift": "darker"})}
    rollout = replace(record.begun(rollout_of(drifting), drifting, NOW_MS), counters={"edge-001": 1})
    assert trouble(rollout, placed(drift="darker"), 1, hour) == ""
