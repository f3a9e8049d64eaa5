"""What is looked after once a second: hunger, strain and bundles; and the answers to requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from edge_config.wire.requests import Reload, Status
from runtime.alerts.camera_state import Watched
from runtime.app import oversight as oversight_
from runtime.events import Asked, EngineLost, EngineReady, Reloaded, ReloadRefused, Renew, Scored
from runtime.frame import BundleInfo, Result
from runtime.monitoring.metrics import DROPPED
from tests.support.fakes.parts import EVERY_RUN, NEW, NORMAL, OLD, STRANGE, Clock, Feed, Parts, frame

STALL_S = 5
HOT, COOL = "95000", "40000"


class Rig(Parts):
    """The oversight over two live cameras and a recording, and a clock that the test winds."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        feeds = {"top": Feed(live=True), "side": Feed(live=True), "clip": Feed()}
        super().__init__(folder, SimpleQueue().put, feeds)
        self.clock = clock
        self.thermal.write_text(COOL)
        self.ready(dict.fromkeys(feeds, OLD))
        for watched in self.watched.values():
            watched.connect("live", "delivers pictures")

    def ready(self, bundles: dict[str, BundleInfo]) -> None:
        """Do what the main loop does when the worker is ready."""
        for name, bundle in bundles.items():
            self.watched[name].serve(bundle)
        self.oversight.ready(EngineReady(bundles))

    def score(self, name: str, result: Result | None) -> None:
        """Do what the main loop does with an answer."""
        scored = Scored(name, frame(1, self.clock.monotonic_ns()), result, "")
        decision = self.watched[name].publish(scored.frame, result)
        self.oversight.published(self.watched[name], scored, decision)

    def pass_by(self, seconds: int, scored: tuple[str, ...] = ()) -> None:
        """Let time pass; each live camera that is connected gives a frame a second, and those of `scored` are."""
        for _ in range(seconds):
            self.clock.now_s += 1
            for name in scored:
                self.score(name, Result(value=NORMAL, peak_xy=(1, 1)))
            for name, watched in self.watched.items():
                if watched.connected:
                    self.oversight.arrived(name)
            self.oversight.turn()

    def states(self) -> dict[str, str]:
        """Return the state of each camera."""
        return {name: watched.state for name, watched in self.watched.items()}


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """Yield the oversight, its worker ready and its cameras live."""
    clock = Clock()
    monkeypatch.setattr(oversight_, "time", clock)
    rig = Rig(tmp_path, clock)
    yield rig
    rig.oversight.close()


def test_camera_that_delivers_in_vain_is_stalled_until_a_frame_is_scored(rig: Rig) -> None:
    """Of two live cameras the one of which nothing is scored is stalled after `stall_ms`, and live with a score."""
    rig.pass_by(1 + STALL_S, scored=("top",))
    assert rig.states() == {"top": "live", "side": "live", "clip": "live"}
    rig.pass_by(1, scored=("top",))
    assert rig.states() == {"top": "live", "side": "stalled", "clip": "live"}
    assert "no frame scored" in rig.watched["side"].reason
    rig.score("side", None)  # not scored is not enough
    assert rig.states()["side"] == "stalled"
    rig.score("side", Result(value=NORMAL, peak_xy=(1, 1)))
    assert rig.publisher.of("state", "state", camera="side") == ["live", "stalled", "live"]
    rig.pass_by(1 + STALL_S, scored=("top",))
    assert rig.states()["side"] == "live"


def test_threshold_in_force_is_said(rig: Rig) -> None:
    """The line `running` has the threshold of the settings where they have one, without the promise of the bundle's."""
    rig.watched["top"].configure(msgspec.structs.replace(rig.watched["top"].settings, threshold=99.0))
    with capture_logs() as said:
        rig.ready(dict.fromkeys(rig.watched, OLD))
    (bundles,) = (one["bundles"] for one in said if one["event"] == "running")
    assert (bundles["top"]["threshold"], bundles["side"]["threshold"]) == (99.0, OLD.threshold)
    assert "false_alarm_rate" in bundles["side"]
    assert "false_alarm_rate" not in bundles["top"]


def test_another_depth_is_said_of_a_folder_that_is_being_played(rig: Rig) -> None:
    """A folder that is being played at another depth than its new bundle learnt is a warning; cameras have none."""
    with capture_logs() as said:
        rig.oversight.handle(Reloaded(tuple(rig.watched), NEW))
        assert [one for one in said if one["log_level"] == "warning"] == []
        rig.oversight.handle(Reloaded(tuple(rig.watched), replace(NEW, depth=12)))
    (warning,) = (one for one in said if one["log_level"] == "warning")
    assert (warning["camera"], warning["depth"], warning["of_the_bundle"]) == ("clip", 16, 12)


def test_reason_that_nothing_is_scored_is_said(rig: Rig) -> None:
    """A camera that is stalled because each of its frames has no score for a reason says that reason."""
    scored = Scored("side", frame(1, rig.clock.monotonic_ns()), None, "the camera's regions hold no patch")
    rig.oversight.published(rig.watched["side"], scored, rig.watched["side"].publish(scored.frame, None))
    rig.pass_by(2 + STALL_S, scored=("top",))
    assert rig.states()["side"] == "stalled"
    assert rig.watched["side"].reason.endswith("s: the camera's regions hold no patch")


def test_connection_gets_its_own_time_to_be_scored(rig: Rig) -> None:
    """The time without a score begins with the first frame of a connection, and a camera that is away is not hungry."""
    rig.pass_by(STALL_S)
    rig.watched["top"].connect("disconnected", "lost")
    rig.pass_by(10 * STALL_S)
    assert rig.states()["top"] == "disconnected"
    rig.watched["top"].connect("live", "delivers pictures")
    rig.pass_by(1 + STALL_S)
    assert rig.states()["top"] == "live"
    rig.pass_by(1)
    assert rig.states()["top"] == "stalled"


def test_camera_that_gives_a_frame_now_and_then_is_live(rig: Rig) -> None:
    """Where few frames are due, as with a slow camera of a degraded device, their scoring is what counts."""
    for _ in range(3):
        rig.oversight.arrived("top")
        rig.score("top", Result(value=NORMAL, peak_xy=(1, 1)))
        for _ in range(2 * STALL_S):
            rig.clock.now_s += 1
            rig.oversight.turn()
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
    assert not any(watched.maps for watched in rig.watched.values())
    rig.thermal.write_text(COOL)
    rig.pass_by(30, scored=live)
    assert [rig.feeds[name].every for name in live] == [1, 1]
    rig.score("side", Result(value=NORMAL, peak_xy=(1, 1)))
    assert all(watched.maps for watched in rig.watched.values())
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
        rig.oversight.taken("top", frame(2 * number + 2))
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
            rig.oversight.taken("top", frame(10 * number))
            rig.pass_by(1, scored=("top",))
    rig.oversight.is_older("top", frame(121, 0), 1)
    rig.oversight.handle(Asked(4, Status()))
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
            rig.oversight.taken("top", frame(number))
            rig.pass_by(1, scored=("top",))
    assert [one for one in said if one["event"] == "many frames are dropped"] == []


def test_status_is_answered_once_with_every_camera(rig: Rig) -> None:
    """The answer says of each camera its state, bundle and last score, and the level of degradation."""
    rig.score("top", Result(value=NORMAL, peak_xy=(1, 1)))
    rig.watched["side"].connect("disconnected", "no such device")
    rig.oversight.handle(Asked(4, Status()))
    ((number, done, said),) = rig.control.answers
    assert (number, done, said["degraded"], said["does"]) == (4, True, 0, "full")
    assert said["device"] == "edge"  # of several at one machine each has an address of its own
    assert said["cameras"]["top"] == {
        "state": "live",
        "reason": "delivers pictures",
        "bundle": OLD.id,
        "provider": "CPUExecutionProvider",
        "passed_over": ("CUDAExecutionProvider: not here",),
        "threshold": OLD.threshold,
        "alerts": msgspec.to_builtins(EVERY_RUN),
        "score": NORMAL,
        "frames": 1,
        "repeated": 0,
        "captured": 0,
        "dropped": dict.fromkeys(DROPPED, 0),
        "paced": False,
    }
    assert said["cameras"]["side"]["state"] == "disconnected"


@pytest.mark.parametrize("kept", [True, False])
def test_reload_is_refused_once_with_the_reason(rig: Rig, kept: bool) -> None:  # noqa: FBT001
    """A refused bundle, or a worker lost while it loads one, refuses the request; only what serves none has failed."""
    rig.oversight.handle(Asked(1, Reload(camera="top", path=NEW.path)))
    assert rig.engine.reloads == [("top", NEW.path)]
    assert rig.control.answers == []
    rig.oversight.lost(EngineLost("crashed", "ended by SIGKILL"))
    refused = ReloadRefused(("top",), NEW.path, f"{NEW.path}: the inference worker died", kept=kept)
    rig.oversight.handle(refused)
    rig.oversight.handle(refused)
    assert rig.control.answers == [(1, False, refused.error)]
    assert rig.states()["top"] == ("live" if kept else "failed")
    assert rig.watched["top"].bundle == OLD


def test_reload_is_answered_once_and_in_every_message_from_then_on(rig: Rig) -> None:
    """The answer comes when the bundle is in service; the next message carries its id and its threshold."""
    rig.oversight.handle(Asked(1, Reload(path=NEW.path)))
    taken = Reloaded(tuple(rig.watched), NEW)
    rig.oversight.handle(taken)
    rig.oversight.handle(taken)
    rig.score("top", Result(value=STRANGE, peak_xy=(1, 1)))
    assert rig.control.answers == [(1, True, {"reloaded": True})]
    assert rig.publisher.of("score", "bundle", "threshold", "label") == [(NEW.id, NEW.threshold, "normal")]
    assert rig.figure(f'bundle_info{{camera="top",id="{NEW.id}"}} 1.0')


def test_reload_before_there_is_a_bundle_is_answered(rig: Rig) -> None:
    """A request that comes while the worker loads its first bundle waits for that path, and gets an answer."""
    rig.watched["top"] = Watched("top", rig.publisher, EVERY_RUN)  # as at the start
    rig.oversight.handle(Asked(1, Reload(camera="top")))
    rig.oversight.handle(Reloaded(("top",), OLD))
    assert rig.control.answers == [(1, True, {"reloaded": True})]


def test_reload_of_an_unknown_camera_is_refused_at_once(rig: Rig) -> None:
    """The refusal names the cameras that there are, and nothing is loaded."""
    rig.oversight.handle(Asked(1, Reload(camera="bottom")))
    ((number, done, said),) = rig.control.answers
    assert (number, done) == (1, False)
    assert "top, side, clip" in said
    assert rig.engine.reloads == []


def test_signal_reads_all_bundles_anew(rig: Rig) -> None:
    """`Renew` has the engine reload everything, once."""
    rig.oversight.handle(Renew("SIGHUP"))
    rig.pass_by(3)
    assert rig.engine.reloads == [(None, None)]


def lay(path: Path, name: str) -> BundleInfo:
    """Put a new folder at a path, by renaming."""
    new = path.with_name(name)
    new.mkdir()
    if path.exists():
        path.rename(path.with_name(f"before-{name}"))
    new.rename(path)
    return BundleInfo(name, str(path), 1.0, 0.01)


def test_renamed_bundle_is_noticed_once(rig: Rig, tmp_path: Path) -> None:
    """Another folder at the path of a bundle in service is read anew within two seconds, and not again."""
    path = tmp_path / "site.bundle"
    rig.ready(dict.fromkeys(rig.watched, lay(path, "first")))
    rig.pass_by(3)
    assert rig.engine.reloads == []
    second = lay(path, "second")
    rig.pass_by(2)
    rig.oversight.handle(Reloaded(tuple(rig.watched), second))
    rig.pass_by(3)
    assert rig.engine.reloads == [(None, None)]


def test_good_bundle_in_place_of_one_that_failed_is_noticed(rig: Rig, tmp_path: Path) -> None:
    """A camera whose bundle was bad when the worker started anew has failed until another bundle lies there."""
    path = tmp_path / "top.bundle"
    bundles: dict[str, Any] = dict.fromkeys(rig.watched, OLD) | {"top": lay(path, "first")}
    rig.ready(bundles)
    rig.oversight.handle(ReloadRefused(("top",), str(path), "damaged", kept=False))
    rig.ready({name: one for name, one in bundles.items() if name != "top"})
    assert rig.states()["top"] == "failed"
    good = lay(path, "good")
    rig.pass_by(2)
    assert rig.engine.reloads == [(None, None)]
    rig.oversight.handle(Reloaded(("top",), good))
    assert rig.states()["top"] == "live"


def test_health_says_what_can_be_scored(rig: Rig) -> None:
    """Ready is a device with a worker and a live camera; without either it is not, and alive all the same."""
    rig.pass_by(1)
    assert rig.health.ready_page().status == 200
    rig.oversight.lost(EngineLost("crashed", "ended by SIGKILL"))
    assert rig.health.ready_page().status == 503
    rig.ready({})
    assert rig.health.ready_page().status == 200
    for watched in rig.watched.values():
        watched.connect("disconnected", "lost")
    rig.pass_by(1)
    assert rig.health.ready_page().status == 503
    assert rig.health.alive_page().status == 200
