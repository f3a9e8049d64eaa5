"""How often previews are made: not without a subscriber, not more than 5 a second, not for more than their share."""

from __future__ import annotations

import pytest

from runtime.alerts.preview_pace import EVERY_S, MAX_SHARE, STRAINED_EVERY_S, WANTED_S, PreviewPace

SECONDS = 60.0


class Rig:
    """Cameras of some frames a second on a clock of their own; `cost` is what a preview of each takes, seconds."""

    def __init__(self, fps: dict[str, float], cost: dict[str, float] | None = None) -> None:
        self.now_s = 100.0
        self.subscribed = set(fps)
        self.pace = PreviewPace(lambda camera: camera in self.subscribed, lambda: self.now_s)
        self._fps, self._cost = fps, cost or {}

    def play(self, seconds: float = SECONDS, *, strained: bool = False) -> dict[str, int]:
        """Return the number of previews of each camera."""
        made = dict.fromkeys(self._fps, 0)
        began_s = self.now_s
        due = dict.fromkeys(self._fps, began_s)
        while (camera := min(due, key=lambda name: due[name])) and due[camera] < began_s + seconds:
            self.now_s = due[camera]
            due[camera] += 1 / self._fps[camera]
            if self.pace.take(camera, strained=strained):
                made[camera] += 1
                self.pace.made(camera, self._cost.get(camera, 0.0))
        return made


@pytest.mark.parametrize(("fps", "per_s"), [(25.0, 5.0), (12.0, 5.0), (6.0, 5.0), (5.0, 5.0), (2.0, 2.0), (100.0, 5.0)])
def test_there_are_5_a_second_at_most(fps: float, per_s: float) -> None:
    """A camera has 5 previews a second, of frames that are there anyway; a slow one has one of each frame."""
    made = Rig({"top": fps}).play()["top"]
    assert made / SECONDS == pytest.approx(per_s, rel=0.02)
    assert made <= SECONDS / EVERY_S + 1


def test_nobody_who_wants_them_is_none() -> None:
    """No preview is made of a camera that nobody subscribed to, nor after the last one has left."""
    rig = Rig({"top": 25.0, "side": 25.0})
    rig.subscribed = {"side"}
    assert rig.play()["top"] == 0
    rig.subscribed = set()
    assert rig.play() == {"top": 0, "side": 0}


def test_previews_take_a_share_of_the_time_at_most() -> None:
    """Where previews take long there are fewer: those of all cameras together take at most their share."""
    cost = {"top": 0.02, "side": 0.01, "slow": 0.2, "cheap": 0.0001}
    made = Rig(dict.fromkeys(cost, 25.0), cost).play()
    spent = sum(cost[camera] * count for camera, count in made.items())
    first = sum(cost.values())  # what one takes is known after the first
    assert spent <= MAX_SHARE * SECONDS + first + max(cost.values())
    assert made["cheap"] == pytest.approx(5 * SECONDS, rel=0.02)
    assert min(made.values()) >= MAX_SHARE / 4 * SECONDS / max(cost.values())


def test_a_camera_whose_previews_nobody_wants_any_more_takes_no_share() -> None:
    """What is left to one camera is as much as if there was never another."""
    cost = {"top": 0.02, "side": 0.02}
    alone = Rig({"top": 25.0}, cost).play()["top"]
    rig = Rig({"top": 25.0, "side": 25.0}, cost)
    assert rig.play()["top"] == pytest.approx(alone / 2, rel=0.05)
    rig.subscribed = {"top"}
    rig.play(WANTED_S + 1)
    assert rig.play()["top"] == pytest.approx(alone, rel=0.05)


def test_device_that_cannot_keep_up_makes_fewer() -> None:
    """Under strain there is one a second."""
    assert Rig({"top": 25.0}).play(strained=True)["top"] == pytest.approx(SECONDS / STRAINED_EVERY_S, abs=1)


def test_pause_of_a_camera_is_not_made_up_for() -> None:
    """After a time without frames there is no burst of previews."""
    rig = Rig({"top": 25.0})
    rig.play()
    rig.now_s += 100
    assert rig.play(1.0)["top"] <= 7
