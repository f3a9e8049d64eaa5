"""What is looked after once a second: hunger, strain and bundles; and the answers to requests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import msgspec
import pytest
from structlog.testing import capture_logs

from edge_config.wire.requests import Status
from runtime.app import monitor as monitor_
from runtime.events import Asked, EngineLost, EngineReady, Scored
from runtime.frame import BundleInfo, Result
from runtime.monitoring.metrics import DROPPED
from tests.support.fakes.parts import EVERY_RUN, NORMAL, OLD, STRANGE, Clock, Feed, Parts, frame

STALL_S = 5
HOT, COOL = "95000", "40000"


class Rig(Parts):
    """The monitor of two live cameras and a recording, and a clock that the test winds."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        feeds = {"top": Feed(live=True), "side": Feed(live=True), "clip": Feed()}
        super().__init__(folder, SimpleQueue().put, feeds)
        self.clock = clock
        self.thermal.write_text(COOL)
        self.ready(dict.fromkeys(feeds, OLD))
        for camera in self.cameras.values():
            camera.status.connect("live", "delivers pictures")

    def ready(self, bundles: dict[str, BundleInfo]) -> None:
        """Do what the main loop does when the worker is ready."""
        self.bundles.ready(bundles)
        self.monitor.ready(EngineReady(bundles))

    def score(self, name: str, result: Result | None) -> None:
        """Do what the main loop does with an answer."""
        scored = Scored(name, frame(1, self.clock.monotonic_ns()), result, "")
        decision = self.cameras[name].publish(scored.frame, result)
        self.monitor.published(self.channels[name], scored, decision)

    def pass_by(self, seconds: int, scored: tuple[str, ...] = ()) -> None:
        """Let time pass; each live camera that is connected gives a frame a second, and those of `scored` are."""
        for _ in range(seconds):
            self.clock.now_s += 1
            for name in scored:
                self.score(name, Result(value=NORMAL, peak_xy=(1, 1)))
            for name, camera in self.cameras.items():
                if camera.status.connected:
                    self.monitor.arrived(name)
            self.monitor.turn()

    def states(self) -> dict[str, str]:
        """Return the state of each camera."""
        return {name: camera.status.state for name, camera in self.cameras.items()}


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """Yield the monitor, its worker ready and its cameras live."""
    clock = Clock()
    monkeypatch.setattr(monitor_, "time", clock)
    rig = Rig(tmp_path, clock)
    yield rig
    rig.monitor.close()


def test_camera_that_delivers_in_vain_is_stalled_until_a_frame_is_scored(rig: Rig) -> None:
    """Of two live cameras the one of which nothing is scored is stalled after `stall_ms`, and live with a score."""
    rig.pass_by(1 + STALL_S, scored=("top",))
    assert rig.states() == {"top": "live", "side": "live", "clip": "live"}
    rig.pass_by(1, scored=("top",))
    assert rig.states() == {"top": "live", "side": "stalled", "clip": "live"}
    assert "no frame scored" in rig.cameras["side"].status.reason
    rig.score("side", None)  # not scored is not enough
    assert rig.states()["side"] == "stalled"
    rig.score("side", Result(value=NORMAL, peak_xy=(1, 1)))
    assert rig.publisher.of("state", "state", camera="side") == ["live", "stalled", "live"]
    rig.pass_by(1 + STALL_S, scored=("top",))
    assert rig.states()["side"] == "live"


def test_threshold_in_force_is_said(rig: Rig) -> None:
    """The line `running` has the threshold of the settings where they have one, without the promise of the bundle's."""
    rig.cameras["top"].configure(msgspec.structs.replace(rig.cameras["top"].settings, threshold=99.0))
    with capture_logs() as said:
        rig.ready(dict.fromkeys(rig.cameras, OLD))
    (bundles,) = (one["bundles"] for one in said if one["event"] == "running")
    assert (bundles["top"]["threshold"], bundles["side"]["threshold"]) == (99.0, OLD.threshold)
    assert "false_alarm_rate" in bundles["side"]
    assert "false_alarm_rate" not in bundles["top"]


def test_reason_that_nothing_is_scored_is_said(rig: Rig) -> None:
    """A camera that is stalled because each of its frames has no score for a reason says that reason."""
    scored = Scored("side", frame(1, rig.clock.monotonic_ns()), None, "the camera's regions hold no patch")
    rig.monitor.published(rig.channels["side"], scored, rig.cameras["side"].publish(scored.frame, None))
    rig.pass_by(2 + STALL_S, scored=("top",))
    assert rig.states()["side"] == "stalled"
    assert rig.cameras["side"].status.reason.endswith("s: the camera's regions hold no patch")


def test_connection_gets_its_own_time_to_be_scored(rig: Rig) -> None:
    """The time without a score begins with the first frame of a connection, and a camera that is away is not hungry."""
    rig.pass_by(STALL_S)
    rig.cameras["top"].status.connect("disconnected", "lost")
    rig.pass_by(10 * STALL_S)
    assert rig.states()["top"] == "disconnected"
    rig.cameras["top"].status.connect("live", "delivers pictures")
    rig.pass_by(1 + STALL_S)
    assert rig.states()["top"] == "live"
    rig.pass_by(1)
    assert rig.states()["top"] == "stalled"


def test_camera_that_gives_a_frame_now_and_then_is_live(rig: Rig) -> None:
    """Where few frames are due, as with a slow camera of a degraded device, their scoring is what counts."""
    for _ in range(3):
        rig.monitor.arrived("top")
        rig.score("top", Result(value=NORMAL, peak_xy=(1, 1)))
        for _ in range(2 * STALL_S):
            rig.clock.now_s += 1
            rig.monitor.turn()
    assert rig.states()["top"] == "live"


def test_dark_pictures_are_looked_at_and_so_not_stalled(rig: Rig) -> None:
    """A camera whose pictures cannot be judged keeps the state that says why."""
    for _ in range(2 * STALL_S):
        rig.score("top", Result(scene="dark", scene_reason="grey 3"))
        rig.pass_by(1)
    assert rig.states()["top"] == "dark"


def test_heat_lowers_the_rate_of_cameras_and_messages_say_so(rig: Rig) -> None:
    """A hot device slows its feeds step by step, every message says the level, and when cool all goes back."""
    live = ("top", "side")
    rig.thermal.write_text(HOT)
    rig.pass_by(4, scored=live)
    assert [rig.feeds[name].every for name in live] == [2, 2]
    rig.pass_by(8, scored=live)
    assert [rig.feeds[name].every for name in live] == [4, 4]
    rig.score("top", Result(value=STRANGE, peak_xy=(1, 1)))
    assert rig.publisher.of("score", "degraded")[-1] == 3
    assert rig.publisher.of("alert", "degraded") == [3]
    assert rig.figure("degradation_level 3.0")
    assert not any(camera.maps for camera in rig.cameras.values())
    rig.thermal.write_text(COOL)
    rig.pass_by(30, scored=live)
    assert [rig.feeds[name].every for name in live] == [1, 1]
    rig.score("side", Result(value=NORMAL, peak_xy=(1, 1)))
    assert all(camera.maps for camera in rig.cameras.values())
    assert rig.publisher.of("score", "degraded")[-1] == 0
    seen = list(dict.fromkeys(rig.publisher.of("score", "degraded", camera="side")))
    assert seen == [0, 1, 2, 3]


def test_missed_frames_of_live_cameras_are_overload(rig: Rig) -> None:
    """Frames that were replaced before they were taken lower the rate; those that a recording waits for do not."""
    for _ in range(5):
        rig.feeds["clip"].dropped["no slot"] += 100
        rig.pass_by(1, scored=("top",))
    assert rig.feeds["top"].every == 1
    for number in range(5):
        rig.feeds["top"].dropped["newer"] += 1
        rig.monitor.taken(rig.channels["top"], frame(2 * number + 2))
        rig.pass_by(1, scored=("top",))
    assert rig.feeds["top"].every == 2
    assert rig.figure('frames_captured_total{camera="top"} 10.0')
    assert rig.figure('frames_dropped_total{camera="top",reason="newer"} 5.0')


def test_status_says_what_became_of_the_frames(rig: Rig) -> None:
    """Captured, dropped by reason and repeated frames of each camera are there, and a line says where many are lost."""
    feed = rig.feeds["top"]
    feed.paced = True
    rig.score("top", Result(value=NORMAL, repeated=True))
    rig.score("top", None)
    with capture_logs() as said_in_log:
        for number in range(1, 13):
            feed.dropped["newer"] += 9
            rig.monitor.taken(rig.channels["top"], frame(10 * number))
            rig.pass_by(1, scored=("top",))
    rig.channels["top"].max_age_ns = 1
    rig.monitor.is_older(rig.channels["top"], frame(121, 0))
    rig.requests.handle(Asked(4, Status()))
    said = rig.control.answers[0][2]["cameras"]["top"]
    assert (said["captured"], said["repeated"], said["paced"]) == (120, 1, True)
    assert said["dropped"] == {**dict.fromkeys(DROPPED, 0), "newer": 108, "too old": 1, "not scored": 1}
    assert [one["event"] for one in said_in_log].count("many frames are dropped") == 1


def test_what_comes_at_once_after_a_pause_is_no_trouble(rig: Rig) -> None:
    """A stream that is opened again after a pause sends at once what it has kept: no line says that frames are lost."""
    feed, number = rig.feeds["top"], 0
    with capture_logs() as said:
        for second in range(24):
            if second == 12:
                feed.pause()
                feed.dropped["newer"] += 25
                number += 25
            number += 2
            rig.monitor.taken(rig.channels["top"], frame(number))
            rig.pass_by(1, scored=("top",))
    assert [one for one in said if one["event"] == "many frames are dropped"] == []


def test_status_is_answered_once_with_every_camera(rig: Rig) -> None:
    """The answer says of each camera its state, bundle and last score, and the level of degradation."""
    rig.score("top", Result(value=NORMAL, peak_xy=(1, 1)))
    rig.cameras["side"].status.connect("disconnected", "no such device")
    rig.requests.handle(Asked(4, Status()))
    ((number, done, said),) = rig.control.answers
    assert (number, done, said["degraded"], said["does"]) == (4, True, 0, "full")
    assert said["device"] == "edge"  # of several at one machine each has an address of its own
    assert said["cameras"]["top"] == {
        "state": "live",
        "reason": "delivers pictures",
        "bundle": OLD.id,
        "provider": "CPUExecutionProvider",
        "regions": "",
        "passed_over": ("CUDAExecutionProvider: not here",),
        "threshold": OLD.threshold,
        "default_threshold": OLD.threshold,
        "bundle_min_ms": OLD.min_ms,
        "alerts": msgspec.to_builtins(EVERY_RUN),
        "score": NORMAL,
        "drift": "",
        "frames": 1,
        "repeated": 0,
        "captured": 0,
        "dropped": dict.fromkeys(DROPPED, 0),
        "paced": False,
    }
    assert said["cameras"]["side"]["state"] == "disconnected"


def test_health_says_what_can_be_scored(rig: Rig) -> None:
    """Ready is a device with a worker and a live camera; without either it is not, and alive all the same."""
    rig.pass_by(1)
    assert rig.health.ready_page().status == 200
    rig.monitor.lost(EngineLost("crashed", "ended by SIGKILL"))
    assert rig.health.ready_page().status == 503
    rig.ready({})
    assert rig.health.ready_page().status == 200
    for camera in rig.cameras.values():
        camera.status.connect("disconnected", "lost")
    rig.pass_by(1)
    assert rig.health.ready_page().status == 503
    assert rig.health.alive_page().status == 200
