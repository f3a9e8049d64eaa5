"""A simulated device comes to what it is assigned, or stays with what it has, and says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fleet.agent.device import BAD, GOOD, OLD, Device
from tests.support.fakes.fleet_runtime import REFUSED_THRESHOLD, Bundle


@pytest.fixture
def device(tmp_path: Path) -> Device:
    """Return a device that has served its old bundle for two minutes."""
    device = Device(tmp_path)
    device.turns(25)
    return device


def test_good_bundle_comes_into_place(device: Device) -> None:
    """Fetched, checked, shadowed, watched, in place; activated once; the report says bundle and counter."""
    device.assign(4, GOOD, shadow_s=20)
    device.turns()
    assert device.serving() == GOOD
    assert device.runtime.activated == [("cam1", GOOD)]
    assert device.phases == ["idle", "fetching", "checking", "shadow", "watching", "in place"]
    report = device.report
    assert (report.counter, report.rollout, report.phase, report.cameras[0].active) == (4, "r4", "in place", GOOD)
    assert report.shadow is not None
    assert report.shadow.frames == 100


@pytest.mark.parametrize(
    ("behaves", "reason"),
    [
        (Bundle(refusal="golden frames differ: parity"), "parity"),
        (Bundle(golden_difference=0.3), "a golden frame scores 0.3 apart"),
        (Bundle(frame_ms=40), "a frame takes 40.0 ms instead of 20.0 ms, 2.00 times as long; 1.5 times is allowed"),
        (Bundle(alerts_per_s=1), "in its shadow time it would have raised"),
    ],
)
def test_what_fails_its_check_never_serves(device: Device, behaves: Bundle, reason: str) -> None:
    """Parity, golden difference, frame time and alerts of the shadow time: the old bundle was never left."""
    device.runtime.behaves[BAD] = behaves
    device.assign(4, BAD, shadow_s=20, bounds={"max_golden_difference": 0.1})
    device.turns()
    assert device.report.phase == "refused"
    assert reason in device.report.reason
    assert device.runtime.served["cam1"] == [OLD]


@pytest.mark.parametrize(
    ("behaves", "reason"),
    [
        (Bundle(alerts_per_s=1), "an hour before, and less than 2 times is allowed"),
        (Bundle(score=7), "100% of its frames are anomalous, and 0% were before"),
        (Bundle(state="moved"), "its pictures cannot be judged since: the camera is moved"),
    ],
)
def test_what_leaves_its_bounds_is_taken_back(device: Device, behaves: Bundle, reason: str) -> None:
    """Alert rate, an alert that does not end, state of the camera: the old bundle serves again."""
    device.runtime.behaves[BAD] = behaves
    device.assign(4, BAD)
    device.turns()
    assert (device.report.phase, device.serving()) == ("went back", OLD)
    assert reason in device.report.reason
    assert device.runtime.served["cam1"] == [OLD, BAD, OLD]
    device.restart_agent()
    device.turns()
    assert device.runtime.activated == [("cam1", BAD)]  # the same assignment is not tried again


def test_slower_frames_after_activation_are_taken_back(device: Device) -> None:
    """A bundle that was fast when it was checked, and is slow in service."""
    device.assign(4, BAD)
    while device.report.phase != "watching":
        device.turns(1)
    device.runtime.behaves[BAD] = Bundle(frame_ms=40)
    device.turns()
    assert (device.report.phase, device.serving()) == ("went back", OLD)
    assert "ms, and took 20.0 ms before; 1.5 times as long is allowed" in device.report.reason


def test_usual_alerts_are_no_reason_to_go_back(device: Device) -> None:
    """The rate is compared with the usual one of the device, and not with a fixed one."""
    for bundle in (OLD, GOOD):
        device.runtime.behaves[bundle] = Bundle(alerts_per_s=0.5)
    device.turns(100)
    device.assign(4, GOOD)
    device.turns()
    assert device.report.phase == "in place"


def test_going_back_is_a_newer_assignment_of_an_older_bundle(device: Device) -> None:
    """A roll-back is served, and a replay of the assignment before it is not."""
    device.assign(4, GOOD)
    device.turns()
    device.assign(5, OLD)
    device.turns()
    assert device.serving() == OLD
    device.assigned.take(device.signed[0])
    device.turns()
    assert device.serving() == OLD
    assert "was accepted before" in device.report.reason


def test_newest_assignment_wins_over_one_under_way(device: Device) -> None:
    """An assignment that is overtaken while it is fetched is not activated."""
    device.packs.away = "the server is away"
    device.assign(4, BAD)
    device.turns(3)
    assert device.report.phase == "waiting"
    device.assign(5, GOOD)
    device.packs.away = ""
    device.turns()
    assert device.runtime.activated == [("cam1", GOOD)]


def test_bundle_that_is_overtaken_while_it_is_watched_is_taken_back_first(device: Device) -> None:
    """What a refused assignment leaves in service was always watched to the end."""
    device.assign(4, BAD)
    while device.report.phase != "watching":
        device.turns(1)
    device.runtime.behaves[GOOD] = Bundle(refusal="parity")
    device.assign(5, GOOD)
    device.turns()
    assert (device.report.phase, device.report.counter) == ("refused", 5)
    assert device.runtime.served["cam1"] == [OLD, BAD, OLD]


def test_same_bundle_assigned_again_is_watched_on(device: Device) -> None:
    """A newer assignment of the bundle that is watched does not end the watch."""
    device.runtime.behaves[BAD] = Bundle(score=7)
    device.assign(4, BAD)
    while device.report.phase != "watching":
        device.turns(1)
    device.assign(5, BAD, settings={"alerts": {"threshold": 3.0}})
    device.turns()
    assert (device.report.phase, device.report.counter, device.serving()) == ("went back", 5, OLD)
    assert device.runtime.activated == [("cam1", BAD)]


def test_bundle_in_service_is_watched_before_it_is_replaced(tmp_path: Path) -> None:
    """A device that has just been started first learns what is usual."""
    device = Device(tmp_path)
    device.assign(4, GOOD)
    device.turns(5)
    assert (device.report.phase, device.serving()) == ("waiting", OLD)
    assert "is watched first" in device.report.reason
    device.turns()
    assert device.report.phase == "in place"


def test_runtime_that_is_away_is_waited_for(device: Device) -> None:
    """Packs are fetched without it; then the agent waits, says so, and goes on when it is back."""
    device.runtime.up = False
    device.assign(4, GOOD)
    device.turns(5)
    assert device.report.phase == "waiting"
    assert "no answer" in device.report.reason
    assert device.packs.kept == {GOOD}
    device.runtime.up = True
    device.turns()
    assert device.report.phase == "in place"


def test_settings_come_with_a_bundle_and_go_with_it(device: Device) -> None:
    """Settings of an assignment are kept, watched, and taken back together with the bundle."""
    device.assign(4, GOOD, settings={"alerts": {"threshold": 2.0}})
    device.turns()
    assert device.report.cameras[0].threshold == 2.0
    device.runtime.behaves[BAD] = Bundle(alerts_per_s=1)
    device.assign(5, BAD, settings={"alerts": {"threshold": 3.0}})
    device.turns()
    assert device.report.phase == "went back"
    assert (device.serving(), device.report.cameras[0].threshold) == (GOOD, 2.0)


def test_settings_alone(device: Device) -> None:
    """An assignment without a bundle changes settings only; a child of the bundle goes on."""
    device.runtime.learn("cam1", BAD)
    device.assign(4, settings={"alerts": {"min_frames": 4}})
    device.turns()
    assert (device.report.phase, device.report.counter, device.serving()) == ("in place", 4, BAD)
    assert device.runtime.activated == []


@pytest.mark.parametrize("settings", [{"alerts": {"threshold": -1}}, {"camera": {}}, {"regions": [[1, 2]]}])
def test_settings_that_are_none_are_refused_before_anything_changes(
    device: Device, settings: dict[str, object]
) -> None:
    """A value out of bounds, an unknown key, a polygon that is none: also the bundle beside them is not activated."""
    device.assign(4, GOOD, settings=settings)
    device.turns()
    assert device.report.phase == "refused"
    assert device.runtime.served["cam1"] == [OLD]


def test_settings_that_the_device_refuses_take_the_bundle_back(device: Device) -> None:
    """What only the device can judge is refused there, and the bundle that came with it is taken back."""
    device.assign(4, GOOD, settings={"alerts": {"threshold": REFUSED_THRESHOLD}})
    device.turns()
    assert (device.report.phase, device.serving()) == ("went back", OLD)
    assert "the threshold is refused here" in device.report.reason


def test_change_on_the_spot_is_reported_and_stays(device: Device) -> None:
    """What a person changed later is not overwritten; a newer assignment does."""
    device.assign(4, GOOD, settings={"alerts": {"threshold": 2.0}})
    device.turns()
    device.runtime.change_by_person("cam1", threshold=2.5, min_frames=3)
    device.turns()
    camera = device.report.cameras[0]
    assert camera.settings_changed == ("alerts.min_frames", "alerts.threshold")
    assert (device.report.phase, camera.threshold) == ("in place", 2.5)
    device.assign(5, settings={"alerts": {"threshold": 2.2}})
    device.turns()
    assert device.report.cameras[0].threshold == 2.2


def test_child_of_the_root_is_in_place(device: Device) -> None:
    """What the device learnt from the assigned root may serve, and is reported."""
    device.assign(4, GOOD)
    device.turns()
    device.runtime.learn("cam1", "c" * 64, pictures=7)
    device.assign(5, GOOD)
    device.turns()
    camera = device.report.cameras[0]
    assert (device.report.phase, device.serving(), device.report.counter) == ("in place", "c" * 64, 5)
    assert (camera.root, camera.active, camera.round, camera.learnt) == (GOOD, "c" * 64, 1, 7)


def test_child_is_dropped_where_the_assignment_says_so(device: Device) -> None:
    """`children: drop` goes to the root itself, and says which lessons are not in it."""
    device.assign(4, GOOD)
    device.turns()
    device.runtime.learn("cam1", "c" * 64, pictures=7)
    device.assign(5, GOOD, children="drop")
    device.turns()
    assert (device.report.phase, device.serving()) == ("in place", GOOD)
    assert "1 round of learning with 7 pictures are not in it" in device.report.reason


def test_new_root_says_which_lessons_it_drops_and_going_back_brings_them_back(device: Device) -> None:
    """The child of the old root serves again when the new root leaves its bounds."""
    device.runtime.learn("cam1", "c" * 64, pictures=7)
    device.assign(4, GOOD)
    device.turns()
    assert "7 pictures are not in it" in device.report.reason
    device.runtime.learn("cam1", "d" * 64, pictures=2)
    device.runtime.behaves[BAD] = Bundle(alerts_per_s=1)
    device.assign(5, BAD)
    device.turns()
    assert (device.report.phase, device.serving()) == ("went back", "d" * 64)


@pytest.mark.parametrize("gone", [False, True])
def test_what_was_learnt_serves_again_after_a_rollback(tmp_path: Path, *, gone: bool) -> None:
    """A roll-out that is taken back leaves no lesson behind, also after settings; one that is gone keeps nothing up."""
    device = Device(tmp_path)
    device.assign(1, GOOD)
    device.turns()
    device.runtime.learn("cam1", "c" * 64, pictures=7)
    device.assign(2, BAD)
    device.turns()
    assert device.serving() == BAD
    device.assign(3, settings={"alerts": {"min_frames": 3}})
    device.turns()
    device.restart_agent()
    if gone:
        device.runtime.forget("cam1", "c" * 64)
    device.assign(4, GOOD, watch_s=0.0)
    device.turns()
    camera = device.report.cameras[0]
    assert (device.report.phase, camera.root, camera.active) == ("in place", GOOD, GOOD if gone else "c" * 64)
    assert "not in it" not in device.report.reason


def test_person_who_replaces_the_bundle_wins(device: Device) -> None:
    """It is said, and left until there is a newer assignment."""
    device.assign(4, GOOD)
    device.turns()
    device.runtime.replace_bundle("cam1", "e" * 64)
    device.turns()
    assert (device.report.phase, device.serving()) == ("went back", "e" * 64)
    assert "changed at the device" in device.report.reason
    device.assign(5, GOOD)
    device.turns()
    assert (device.report.phase, device.serving()) == ("in place", GOOD)


def test_assigned_bundle_that_does_not_load_any_more_is_not_in_place(device: Device) -> None:
    """A runtime that serves the bundle of the settings instead is not reported as in place."""
    device.assign(4, GOOD)
    device.turns()
    device.runtime.fall_back("cam1")
    device.turns(2)
    assert (device.report.phase, device.serving()) == ("went back", OLD)
    assert device.report.reason == f"the bundle was changed at the device: {OLD[:12]} serves"


def test_bundle_that_is_being_loaded_is_waited_for(device: Device) -> None:
    """While the runtime begins, nothing serves, and nothing is concluded from that."""
    device.assign(4, GOOD)
    while device.report.phase != "watching":
        device.turns(1)
    device.runtime.begin("cam1", "")
    device.turns(2)
    assert (device.report.phase, device.report.reason) == ("waiting", "the bundle in service is being loaded")
    device.runtime.begin("cam1", GOOD)
    device.turns()
    assert device.report.phase == "in place"


def test_absent_camera_pauses_the_watch(device: Device) -> None:
    """Only time counts in which the camera is live."""
    device.assign(4, GOOD)
    while device.report.phase != "watching":
        device.turns(1)
    device.runtime.is_in("cam1", "disconnected")
    device.turns(40)
    assert device.report.phase == "watching"
    assert "the camera is disconnected" in device.report.reason
    device.runtime.is_in("cam1", "")
    device.turns()
    assert device.report.phase == "in place"


def test_cameras_of_an_assignment_go_together(tmp_path: Path) -> None:
    """A bundle that leaves its bounds on one camera is taken back on the other one, and neither is forgotten."""
    device = Device(tmp_path, ("a", "b"))
    device.turns(25)
    device.assign(4, GOOD)
    while "watching" not in device.phases:
        device.turns(1)
    device.runtime.is_in("b", "moved")
    device.turns()
    assert (device.serving("a"), device.serving("b"), device.report.phase) == (OLD, OLD, "went back")
    assert device.report.reason.startswith("b: its pictures cannot be judged")


def test_cameras_with_assignments_of_their_own(tmp_path: Path) -> None:
    """The highest counter wins for each camera."""
    device = Device(tmp_path, ("a", "b"))
    device.turns(25)
    device.assign(4, GOOD)
    device.assign(5, BAD, camera="b")
    device.turns(100)
    assert (device.serving("a"), device.serving("b")) == (GOOD, BAD)


def test_assignment_for_an_unknown_camera_is_refused(device: Device) -> None:
    """A name that the device does not have is said, instead of waited for."""
    device.assign(4, GOOD, camera="top")
    device.turns(3)
    assert (device.report.phase, device.report.counter) == ("refused", 4)
    assert "there is no camera `top`" in device.report.reason


def test_activation_that_comes_late_is_taken_back(tmp_path: Path) -> None:
    """A request whose answer was not waited for any more may be done after the device went back."""
    device = Device(tmp_path, ("a", "b"))
    device.turns(25)
    device.runtime.behaves[BAD] = Bundle(state="moved")
    device.assign(4, BAD)
    asked: list[str] = []

    def lose_second(name: str) -> bool:
        asked.append(name)
        return name == "Activate" and asked.count("Activate") > 1

    device.runtime.fault = lose_second
    device.turns()
    assert device.report.phase == "went back"
    device.runtime.fault = lambda _: False
    late = next(name for name in ("a", "b") if (name, BAD) not in device.runtime.activated)
    device.runtime.activate_late(late, BAD)
    assert device.serving(late) == BAD
    device.turns(5)
    assert (device.serving("a"), device.serving("b"), device.report.phase) == (OLD, OLD, "went back")


def test_no_camera_is_first(tmp_path: Path) -> None:
    """A bundle serves on no camera before it is ready on all cameras of the assignment."""
    device = Device(tmp_path, ("a", "b"))
    device.turns(25)
    device.runtime.is_in("b", "disconnected")
    device.assign(4, GOOD, shadow_s=10)
    device.turns()
    assert device.serving("a") == OLD
    assert "shadow" in device.phases
    assert "waiting" in device.phases
    device.runtime.is_in("b", "")
    device.turns()
    assert device.report.phase == "in place"


def test_assignment_that_comes_with_an_activation_waits_until_it_is_known_what_serves(device: Device) -> None:
    """The answer of the activation is lost, and the next assignment is refused: the old bundle serves."""
    device.runtime.behaves[GOOD] = Bundle(refusal="parity")
    device.assign(4, BAD)

    def lose_answer(name: str) -> bool:
        if name == "Activate answered":
            device.assign(5, GOOD)
        return name == "Activate answered"

    device.runtime.fault = lose_answer
    device.turns()
    assert (device.report.phase, device.report.counter, device.serving()) == ("refused", 5, OLD)


def test_settings_of_an_overtaken_bundle_are_tried_again(device: Device) -> None:
    """A newer assignment of a bundle to the device leaves the settings that were assigned to its group."""
    device.assign(4, BAD, target="group:press", settings={"alerts": {"threshold": 2.0}})
    while device.report.phase != "watching":
        device.turns(1)
    device.assign(5, GOOD)
    device.turns(100)
    assert (device.report.phase, device.serving()) == ("in place", GOOD)
    assert device.report.cameras[0].threshold == 2.0


def test_going_back_leaves_what_a_person_changed_meanwhile(device: Device) -> None:
    """The last change of the settings is a person's, and is not taken back in place of the fleet's."""
    device.assign(4, BAD, settings={"alerts": {"threshold": 2.0}})
    while device.report.phase != "watching":
        device.turns(1)
    device.runtime.change_by_person("cam1", threshold=2.5)
    device.runtime.behaves[BAD] = Bundle(score=7)
    device.turns()
    assert (device.report.phase, device.serving()) == ("went back", OLD)
    assert device.report.cameras[0].threshold == 2.5
    assert device.report.reason.endswith("its settings stay, as a person changed some since")
