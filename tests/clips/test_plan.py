"""Which file shows an alert, by the clock and by what the capture process says."""

from __future__ import annotations

import uuid

from edge_config.settings.sections import Clips
from runtime.clips.folder import clip_name
from runtime.clips.plan import ClipPlan
from runtime.frame import Alert

SECOND = 1_000_000_000
CLIPS = Clips(folder="clips", before_s=5, after_s=5, longest_s=60)


class Films:
    """A capture process that obeys, unless it is away, and a clock."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.away = False
        self.begun: list[tuple[str, float, str]] = []
        self.ended: list[tuple[str, float, str]] = []
        self.open: set[str] = set()
        self.plan = ClipPlan("front", CLIPS, self, lambda: round(self.now_s * SECOND))

    def begin_clip(self, name: str, t_mono_ns: int, otherwise: str = "") -> bool:
        if not self.away:
            self.begun.append((name, t_mono_ns / SECOND, otherwise))
            self.open.add(name)
        return not self.away

    def end_clip(self, name: str, t_mono_ns: int, otherwise: str = "") -> None:
        self.ended.append((name, t_mono_ns / SECOND, otherwise))

    def is_filming(self, name: str) -> bool:
        return name in self.open

    def alert(self, number: int, begin_s: float, end_s: float) -> str:
        """Have an alert from one time to another, told of when it is 0.2 s old; give the name of its file."""
        self.now_s = begin_s + 0.2
        name = self.plan.begin(alert(number), round(begin_s * SECOND))
        self.now_s = end_s
        self.plan.end()
        return name


def alert(number: int) -> Alert:
    return Alert(str(uuid.UUID(int=number)), "start", number * SECOND, 9.0, 1)


def own(number: int) -> str:
    return clip_name("front", number * SECOND, str(uuid.UUID(int=number)))


def test_alerts_that_touch_share_a_file_and_others_do_not() -> None:
    """The seconds before one may touch those after another; a second later they do not, and it is known too late."""
    films = Films()
    assert films.alert(1, 100, 101) == own(1)
    assert films.alert(2, 110.9, 112) == own(1)  # 101 + 5 and 110.9 - 5
    assert films.begun == [(own(1), 100, ""), (own(1), 110.9, own(2))]
    assert films.ended == [(own(1), 101, own(1)), (own(1), 112, own(2))]
    assert films.alert(3, 122.1, 123) == own(3)


def test_file_that_has_no_room_or_is_over_is_not_shared() -> None:
    """Where what comes after an alert would not fit, or the file is whole already, it has its own."""
    films = Films()
    films.alert(1, 100, 148)
    assert films.alert(2, 149, 150) == own(1)  # 149 + 5 is in 95 + 60
    assert films.alert(3, 151, 152) == own(3)
    films.open.clear()
    assert films.alert(4, 153, 154) == own(4)


def test_alert_goes_on_in_its_own_file_when_the_shared_one_is_full() -> None:
    """The own file begins where the other one ends; while there is no camera it keeps the name that it had."""
    films = Films()
    films.alert(1, 100, 101)
    films.now_s = 105.2
    assert films.plan.begin(alert(2), 105 * SECOND) == films.plan.go_on(154 * SECOND) == own(1)
    films.away = True
    assert films.plan.go_on(156 * SECOND) == own(1)
    films.away = False
    assert films.plan.go_on(157 * SECOND) == films.plan.go_on(500 * SECOND) == own(2)
    assert films.begun[-1] == (own(2), 155 + 5, "")  # which begins 5 s earlier
