"""Changes of a running camera's settings: as a whole or not at all, kept in the file, listed, and taken back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import msgspec
import pytest
import yaml

from edge_config.settings.parse import parse
from edge_config.settings.sections import Alerts
from edge_config.settings.settings_file import SettingsFile
from edge_config.wire.configure import KEPT_CHANGES, Configure, ListChanges, Undo
from runtime.app.configure.kept_changes import KeptChanges
from runtime.events import Asked, SettingsRead
from runtime.view import View
from tests.support.fakes.parts import EVERY_RUN, OLD, Feed, Parts

ENOUGH_S = 20.0
TEXT = """\
bundle: /b
cameras:
  top: # over the belt
    source: 0
    alerts: {min_frames: 1, min_ms: 0, merge_ms: 0}
"""
TRIANGLE = ((0, 0), (9, 0), (9, 9))
SQUARE = ((0, 0), (9, 0), (9, 9), (0, 9))
KEY = "k" * 40


class Rig(Parts):
    """Parts with a settings file, whose events are handled when a test says so."""

    def __init__(self, folder: Path, *, with_file: bool = True) -> None:
        self.events: SimpleQueue[Any] = SimpleQueue()
        self.path = folder / "device.yaml"
        self.path.write_text(TEXT)
        file = SettingsFile(str(self.path), lambda tree: parse(tree, str(self.path))) if with_file else None
        feeds = {"top": Feed(live=True)}
        super().__init__(folder, self.events.put, feeds, file=file)
        self.cameras["top"].serve(OLD)
        self.numbers = 0

    def begin(self, request: Any) -> None:
        """Hand a request over."""
        self.numbers += 1
        self.control.answers.clear()
        self.requests.handle(Asked(self.numbers, request, KEY))

    def next(self) -> None:
        """Handle the next event of a thread."""
        self.requests.handle(self.events.get(timeout=ENOUGH_S))

    def ask(self, request: Any) -> tuple[bool, Any]:
        """Ask, let threads and worker do what they must, and return the answer."""
        self.begin(request)
        reviews = 0
        while not self.control.answers:
            if (
                len(self.views.asked) > reviews
                and self.changing._change
                and self.changing._change.step in {"check", "take"}
            ):
                reviews = len(self.views.asked)
                self.requests.handle(self.views.answer())
            else:
                self.next()
        ((_, done, said),) = self.control.answers
        return done, said

    def listed(self) -> Any:
        """Return the kept changes."""
        self.control.answers.clear()
        self.requests.handle(Asked(99, ListChanges(camera="top")))
        self.changing._file._thread.close(ENOUGH_S)  # its job is done then
        ((_, done, said),) = self.control.answers
        assert done
        return said


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """Yield a device with a settings file and a state folder of its own."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    rig = Rig(tmp_path)
    yield rig
    rig.changing.close()
    rig.monitor.close()


def test_regions_and_alerts_change_together(rig: Rig) -> None:
    """Alert settings count from the frame on from which the new regions do, and not before."""
    rig.begin(Configure(camera="top", alerts={"threshold": 12}, regions=(TRIANGLE,)))
    assert (rig.control.answers, rig.cameras["top"].settings) == ([], EVERY_RUN)
    rig.requests.handle(rig.views.answer())
    ((_, done, said),) = rig.control.answers
    assert done
    assert (said.threshold, said.bundle_threshold, said.regions, said.ignore) == (12, OLD.threshold, (TRIANGLE,), None)
    assert (said.regions_of, said.change) == ("settings", None)
    assert [view for _, view, _ in rig.views.asked] == [View((TRIANGLE,), (), own=True)]
    assert rig.path.read_text() == TEXT


def test_regions_that_hold_no_patch_change_nothing(rig: Rig) -> None:
    """Where the worker refuses the regions, the alerts of the same request are refused with them, also in the file."""
    rig.views.problem = "nothing is seen there"
    for keep in (False, True):
        done, said = rig.ask(Configure(camera="top", alerts={"threshold": 12}, regions=(TRIANGLE,), keep=keep))
        assert (done, said) == (False, "nothing is seen there")
    assert rig.cameras["top"].settings == EVERY_RUN
    assert rig.path.read_text() == TEXT
    rig.views.problem = ""
    assert rig.ask(Configure(camera="top"))[1].regions is None


def test_null_takes_regions_away_and_absent_leaves_them(rig: Rig) -> None:
    """Regions and ignored parts are each changed only where they are named."""
    rig.ask(Configure(camera="top", regions=(TRIANGLE,), ignore=(SQUARE,)))
    _, said = rig.ask(Configure(camera="top", regions=None))
    assert (said.regions, said.ignore) == (None, (SQUARE,))
    _, said = rig.ask(Configure(camera="top", ignore=None))
    assert (said.regions, said.ignore) == (None, None)
    assert rig.views.asked[-1][1] == View(own=False)


def test_without_a_worker_regions_are_refused(rig: Rig) -> None:
    """Nothing is promised that nobody can check; alert settings alone can always be changed."""
    rig.views.there = False
    done, said = rig.ask(Configure(camera="top", regions=(TRIANGLE,)))
    assert not done
    assert "not ready" in said
    assert rig.ask(Configure(camera="top", alerts={"threshold": 12}))[0]


def test_kept_change_is_in_the_file_and_in_the_audit_log(rig: Rig) -> None:
    """With `keep` the file says what is in force, and the log of orders from what to what, and for whom."""
    request = Configure(
        camera="top", alerts={"threshold": 12, "merge_ms": 500}, regions=(TRIANGLE,), keep=True, user="Anna"
    )
    done, said = rig.ask(request)
    assert (done, said.change, said.file) == (True, 1, str(rig.path))
    top = parse(yaml.safe_load(rig.path.read_text())).cameras["top"]
    assert (top.alerts, top.regions) == (rig.cameras["top"].settings, (TRIANGLE,))
    assert "# over the belt" in rig.path.read_text()
    (order,) = rig.wire.orders
    assert (order.key, order.user, order.request) == (KEY, "Anna", "changed")
    assert json.loads(order.fields)["what"] == [
        {"key": "alerts.threshold", "before": None, "after": 12.0},
        {"key": "alerts.merge_ms", "before": 0, "after": 500},
        {"key": "regions", "before": None, "after": [[[0, 0], [9, 0], [9, 9]]]},
    ]
    assert [how.get("check_only") for _, _, how in rig.views.asked] == [True, False]


def test_undo_takes_the_last_kept_changes_back(rig: Rig) -> None:
    """Each undo takes one change back, in service and in the file, whose text is then what it was."""
    rig.ask(Configure(camera="top", alerts={"threshold": 12}, keep=True))
    between = rig.path.read_text()
    rig.ask(
        Configure(camera="top", alerts={"threshold": 14, "merge_ms": 7}, regions=(TRIANGLE,), keep=True, user="Eva")
    )
    done, said = rig.ask(Undo(camera="top"))
    assert (done, said.threshold, said.alerts["merge_ms"], said.regions, said.change) == (True, 12, 0, None, 2)
    assert parse(yaml.safe_load(rig.path.read_text())) == parse(yaml.safe_load(between))
    done, said = rig.ask(Undo(camera="top"))
    assert (done, said.threshold, rig.path.read_text()) == (True, OLD.threshold, TEXT)
    done, said = rig.ask(Undo(camera="top"))
    assert not done
    assert "no kept change of camera `top`" in said
    changes = rig.listed().changes
    assert [(one.number, one.by, one.user, one.undone) for one in changes] == [
        (2, KEY, "Eva", True),
        (1, KEY, "", True),
    ]


def test_undo_leaves_what_somebody_changed_since(rig: Rig) -> None:
    """A value that was edited by hand after the change is not overwritten."""
    rig.ask(Configure(camera="top", alerts={"threshold": 12}, keep=True))
    rig.path.write_text(edited := rig.path.read_text().replace("threshold: 12", "threshold: 13"))
    done, said = rig.ask(Undo(camera="top"))
    assert not done
    assert "`cameras.top.alerts.threshold` was changed since change 1" in said
    assert rig.path.read_text() == edited


def test_undo_survives_a_restart(rig: Rig, tmp_path: Path) -> None:
    """The list of changes is on the disk: a device that was started again takes back what an earlier run kept."""
    rig.ask(Configure(camera="top", alerts={"threshold": 12}, keep=True))
    kept = rig.path.read_text()
    (tmp_path / "again").mkdir()
    again = Rig(tmp_path / "again")
    again.path.write_text(kept)
    again.cameras["top"].configure(replace_threshold(12))
    done, said = again.ask(Undo(camera="top"))
    assert (done, said.threshold, again.path.read_text()) == (True, OLD.threshold, TEXT)
    again.changing.close()
    again.monitor.close()


def replace_threshold(threshold: float) -> Alerts:
    return msgspec.structs.replace(EVERY_RUN, threshold=threshold)


def test_unkept_change_stays_when_another_is_undone(rig: Rig) -> None:
    """An undo takes back its own keys only."""
    rig.ask(Configure(camera="top", alerts={"threshold": 12}, keep=True))
    rig.ask(Configure(camera="top", alerts={"cooldown_ms": 77}))
    _, said = rig.ask(Undo(camera="top"))
    assert (said.threshold, said.alerts["cooldown_ms"]) == (OLD.threshold, 77)


def test_file_that_cannot_be_changed_changes_nothing(rig: Rig) -> None:
    """A file that somebody broke meanwhile is named in the refusal, and the camera goes on as before."""
    rig.path.write_text("bundle: [")
    done, said = rig.ask(Configure(camera="top", alerts={"threshold": 12}, regions=(TRIANGLE,), keep=True))
    assert not done
    assert "cannot be parsed" in said
    assert (rig.cameras["top"].settings, rig.views.asked, rig.wire.orders) == (EVERY_RUN, [], [])


def test_without_a_file_nothing_is_kept(tmp_path: Path) -> None:
    """A device that was started without a settings file says so."""
    rig = Rig(tmp_path, with_file=False)
    done, said = rig.ask(Configure(camera="top", alerts={"threshold": 12}, keep=True))
    assert not done
    assert "without a settings file" in said
    rig.changing.close()
    rig.monitor.close()


def test_worker_that_dies_over_a_kept_change_does_not_undo_it(rig: Rig) -> None:
    """What is in the file is in force with the next worker; what is not kept is refused."""
    rig.begin(Configure(camera="top", alerts={"threshold": 12}, regions=(TRIANGLE,), keep=True))
    rig.next()
    rig.requests.handle(rig.views.answer())
    rig.next()
    assert rig.views.asked[-1][2] == {"check_only": False, "insist": True}
    rig.views.lost = True
    rig.requests.handle(rig.views.answer())
    ((_, done, said),) = rig.control.answers
    assert (done, said.threshold, said.regions) == (True, 12, (TRIANGLE,))
    rig.views.problem = "died"
    assert rig.ask(Configure(camera="top", regions=None)) == (False, "died; retry")


def test_one_change_at_a_time(rig: Rig) -> None:
    """While a change is being made another one is told to come again, and what is in force can be asked."""
    rig.begin(Configure(camera="top", regions=(TRIANGLE,)))
    rig.requests.handle(Asked(7, Configure(camera="top", alerts={"threshold": 12})))
    rig.requests.handle(Asked(8, Configure(camera="top")))
    (refused, asked) = rig.control.answers
    assert refused[1] is False
    assert "too many requests" in refused[2]  # clients try it again
    assert asked[1]


def test_regions_of_a_file_that_is_read_again_count(rig: Rig) -> None:
    """SIGHUP takes regions over as it does alerts; those that hold no patch are logged, and change nothing."""
    section = parse({"bundle": "b", "cameras": {"top": {"source": 0, "regions": [TRIANGLE]}}}).cameras["top"]
    event = SettingsRead({"top": section.alerts}, (), sections={"top": section})
    rig.views.problem = "nothing is seen there"
    rig.requests.handle(event)
    rig.requests.handle(rig.views.answer())
    assert rig.ask(Configure(camera="top"))[1].regions is None
    rig.views.problem = ""
    rig.requests.handle(event)
    rig.requests.handle(rig.views.answer())
    assert rig.ask(Configure(camera="top"))[1].regions == (TRIANGLE,)
    asked = len(rig.views.asked)
    rig.requests.handle(event)
    assert len(rig.views.asked) == asked


def test_list_is_bounded_and_a_damaged_one_is_moved_aside(rig: Rig, tmp_path: Path) -> None:
    """Only the newest changes are kept, their numbers grow on, and a list that cannot be read is not in the way."""
    kept = KeptChanges("edge")
    rig.ask(Configure(camera="top", alerts={"threshold": 12}, keep=True))
    (first,) = kept.of("top")
    for _ in range(KEPT_CHANGES + 5):
        kept.add(first)
    assert [one.number for one in KeptChanges("edge").of("top")] == list(range(KEPT_CHANGES + 6, 6, -1))
    assert rig.listed().in_force.threshold == 12
    (path,) = (tmp_path / "state").glob("*.changes.json")
    path.write_bytes(path.read_bytes()[:-9])
    assert KeptChanges("edge").of("top") == ()
    assert [one.name for one in (tmp_path / "state").iterdir()] == ["edge.changes.json.damaged"]
