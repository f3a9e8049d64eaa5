"""The stage `inspect`, on a fixed camera over a photograph."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from edge_config.bundle.manifest import Scene
from runtime.learning.learn_scene import learn
from runtime.scene.frozen import FROZEN_S
from runtime.scene.inspect import BLURRED_S, DARK_S, FRAMES, LEFT_S, MOVED_EVERY_S, MOVED_S, Inspect
from runtime.scene.thumbnail import Thumbnail
from tests.support.cameras import (
    BLURRED,
    DARK,
    FPS,
    HARMLESS,
    MOVED,
    Fault,
    cover,
    found_after_s,
    frames,
    moved,
    noisy,
    play,
    scene,
)

LIVE = frames(2 * FPS, first=100)
SLACK_S = FRAMES / FPS


@cache
def learnt() -> tuple[Scene, Thumbnail]:
    return learn(frames(20))


def inspect() -> Inspect:
    return Inspect(*learnt())


def changed(fault: Fault, seconds: float) -> list[np.ndarray]:
    """Film with a fault; black and white have no noise, else every picture is another one."""
    return [fault(noisy(scene(), seed)) for seed in range(round(seconds * FPS))]


def test_live_camera_is_not_at_fault() -> None:
    """A camera as it was learnt can be judged, also at one frame a second, and where it was never learnt."""
    for stage in (inspect(), Inspect(None, None)):
        assert not any(play(stage, LIVE))
        assert not any(play(stage, LIVE, start_s=10, fps=1))


@pytest.mark.parametrize("name", DARK)
def test_dark_or_bright_is_found_in_its_time(name: str) -> None:
    """Black, dim and white are found within the documented time, and stay found."""
    assert found_after_s(play(inspect(), changed(DARK[name], 3)), "dark") <= DARK_S + SLACK_S


@pytest.mark.parametrize("name", BLURRED)
def test_defocus_or_cover_is_found_in_its_time(name: str) -> None:
    """Defocus and covers are found within the documented time, and stay found."""
    assert found_after_s(play(inspect(), changed(BLURRED[name], 4)), "blurred") <= BLURRED_S + SLACK_S


@pytest.mark.parametrize("name", MOVED)
def test_moved_is_found_in_its_time(name: str) -> None:
    """A shift of 8 % of the width or more is found within the documented time, and stays found."""
    assert found_after_s(play(inspect(), changed(MOVED[name], 5)), "moved") <= MOVED_S + MOVED_EVERY_S + SLACK_S


def test_frozen_is_found_in_its_time() -> None:
    """A picture that stays is found within the documented time."""
    assert found_after_s(play(inspect(), [LIVE[0]] * 8 * FPS), "frozen") <= FROZEN_S + SLACK_S


@pytest.mark.parametrize("name", HARMLESS)
def test_what_can_still_be_judged_is_not_a_fault(name: str) -> None:
    """A third more or less light, also all of a sudden, and people over half of the view are no faults."""
    stage = inspect()
    assert not any(play(stage, [*LIVE, *changed(HARMLESS[name], 6)]))


@pytest.mark.parametrize("fault", [DARK["black"], DARK["white"], BLURRED["hand"], BLURRED["defocus"]])
def test_odd_frames_change_nothing(fault: Fault) -> None:
    """Two bad frames in a row leave the camera live, however slow it is."""
    pictures = [fault(picture) if at % 5 < FRAMES - 1 else picture for at, picture in enumerate(LIVE)]
    for fps in (FPS, 0.5):
        assert not any(play(inspect(), pictures, fps=fps))


def test_good_odd_frames_do_not_end_a_fault() -> None:
    """A covered camera that shows something for two frames is still covered."""
    covered = changed(BLURRED["hand"], 4)
    pictures = [LIVE[0] if at > 2 * FPS and at % 5 < FRAMES - 1 else it for at, it in enumerate(covered)]
    found_after_s(play(inspect(), pictures), "blurred")


@pytest.mark.parametrize("fault", [DARK["black"], BLURRED["hand"], MOVED["8 % right"], lambda _: LIVE[0]])
def test_fault_ends_soon_after_it_is_over(fault: Fault) -> None:
    """When the pictures are good again, the camera is live within the documented time."""
    stage = inspect()
    assert play(stage, changed(fault, 8))[-1]
    after = play(stage, LIVE, start_s=8)
    live = next(at for at, finding in enumerate(after) if finding is None) / FPS
    assert LEFT_S <= live <= LEFT_S + 2 * MOVED_EVERY_S + SLACK_S
    assert not any(after[round(live * FPS) :])


def test_worst_fault_is_named() -> None:
    """Black is dark before it is frozen, and a cover without noise is a cover."""
    assert play(inspect(), changed(DARK["black"], 8))[-1].state == "dark"
    assert play(inspect(), changed(BLURRED["flat"], 8))[-1].state == "blurred"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (DARK["dimmed to 5 %"], "dark: mean grey level 5, at least 2"),
        (DARK["white"], "too bright: mean grey level 255, at most 250"),
        (BLURRED["hand"], "covered or defocused: detail 0.0"),
        (BLURRED["flat"], "covered: no contrast"),
        (MOVED["20 % left and up"], "shifted by 2"),
        (lambda _: LIVE[0], "no new picture for 5 s"),
    ],
)
def test_reason_has_the_figures(fault: Fault, said: str) -> None:
    """A reason says what was measured and what can be judged; it is that of the beginning."""
    findings = play(inspect(), changed(fault, 8))
    assert findings[-1].reason.startswith(said)
    assert {finding.reason for finding in findings if finding} == {findings[-1].reason}


def test_person_before_a_moved_camera_does_not_make_it_live() -> None:
    """Pictures that show neither the old place nor another leave a moved camera moved."""
    stage = inspect()
    assert play(stage, changed(MOVED["8 % right"], 4))[-1].state == "moved"
    crowded = [cover(moved(picture, 0.08), (60, 70, 80), 0.7) for picture in LIVE]
    assert {finding.state for finding in play(stage, crowded, start_s=4)} == {"moved"}


def test_moving_scene_is_never_moved() -> None:
    """Where no place was learnt, shifted pictures are no fault."""
    limits, reference = learnt()
    still = Scene(luminance=limits.luminance, sharpness=limits.sharpness, detail=limits.detail, shift=None)
    for stage in (Inspect(still, reference), Inspect(limits, None), Inspect(None, None)):
        assert not any(play(stage, changed(MOVED["8 % right"], 4)))


@pytest.mark.parametrize(("fault", "state"), [(DARK["black"], "dark"), (DARK["white"], "dark"), (np.array, "frozen")])
def test_without_a_scene_what_no_camera_shows_is_found(fault: Callable, state: str) -> None:
    """A bundle that learnt no scene still finds black, white and frozen."""
    pictures = [fault(LIVE[0])] * 8 * FPS
    assert play(Inspect(None, None), pictures)[-1].state == state


def test_size_may_change_in_stride() -> None:
    """Frames of another size, also of other proportions, are no fault."""
    larger = [np.ascontiguousarray(picture.repeat(2, axis=0).repeat(3, axis=1)) for picture in LIVE]
    stage = inspect()
    assert not any([*play(stage, LIVE), *play(stage, larger, start_s=2), *play(stage, LIVE, start_s=4)])


def test_fault_outlasts_a_new_bundle() -> None:
    """A new bundle does not make a covered camera live, and a place that it does not know is forgotten."""
    stage = inspect()
    covered = changed(BLURRED["hand"], 4)
    assert play(stage, covered)[-1].state == "blurred"
    stage = inspect().after(stage)
    assert {finding.state for finding in play(stage, covered, start_s=4)} == {"blurred"}
    stage = inspect()
    assert play(stage, changed(MOVED["8 % right"], 4))[-1].state == "moved"
    stage = Inspect(None, None).after(stage)
    assert not any(play(stage, LIVE, start_s=4))
