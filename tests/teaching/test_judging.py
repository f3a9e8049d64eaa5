"""What a person decides on stored pictures, and what may be learnt then."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_config.settings.parse import parse
from edge_config.wire.teaching import (
    Accept,
    Deleted,
    DeletePictures,
    FalseAlarm,
    FetchPicture,
    ListPictures,
    Marked,
    PictureList,
    PicturePart,
    PicturesJudged,
    Reject,
    StopTeaching,
    StoredPicture,
    Teach,
    TeachingState,
)
from runtime.clips.folder import clip_name
from runtime.events import Asked
from runtime.teaching.shared_pictures import SharedPictures
from runtime.teaching.store import PictureStore
from runtime.teaching.teaching import Teaching
from tests.support.stored import new

ENOUGH_S = 30.0
UUID = "00000000-0000-0000-0000-000000000001"


class Nobody:
    """Takes memories, and does nothing with them."""

    def attach(self, memory: int, descriptor: int, size: int) -> None:
        pass

    def detach(self, memory: int) -> None:
        pass


class Case:
    """Teaching of a device with the camera `top`; pictures of it are there before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answered = threading.Event()
        self.answer: Any = None
        self.parts: tuple[bytes, ...] = ()
        self.store = PictureStore(folder / "learning", 1 << 30, 36_500)
        self.teaching: Teaching | None = None

    def begin(self, **learning: Any) -> None:
        self.store.close()
        tree = {
            "bundle": "none",
            "cameras": {"top": {"source": 0}},
            "learning": {"folder": str(self.folder / "learning"), "most_days": 36_500, **learning},
            "clips": {"folder": str(self.folder / "clips"), "most_days": 36_500},
        }
        self.teaching = Teaching(parse(tree), ["top"], SharedPictures(Nobody()), self)

    def reply(self, _asked: Asked, payload: Any, parts: Any = ()) -> None:
        self.answer, self.parts = payload, tuple(parts)
        self.answered.set()

    def refuse(self, _asked: Asked, error: str) -> None:
        self.answer = error
        self.answered.set()

    def ask(self, request: Any) -> Any:
        """Return the reply, or the reason of a refusal."""
        if self.teaching is None:
            self.begin()
        assert self.teaching is not None
        self.answered.clear()
        self.teaching.answer(Asked(1, request, "key"))
        assert self.answered.wait(ENOUGH_S)
        return self.answer

    def now(self) -> dict[str, StoredPicture]:
        found = self.ask(ListPictures())
        assert isinstance(found, PictureList)
        return {one.id: one for one in found.pictures}


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    """Yield a device before its start."""
    case = Case(tmp_path)
    case.store.open()
    yield case
    case.store.close()
    if case.teaching is not None:
        case.teaching.close()


def test_only_what_was_set_aside_is_accepted_by_all(case: Case) -> None:
    """`all` means pictures set aside of this camera that nobody has judged; the key that did it is kept."""
    aside = [case.store.add(new("aside", seed)) for seed in range(3)]
    taught, peak = case.store.add(new("taught", 4)), case.store.add(new("peak", 5, alert="a"))
    other = case.store.add(new("aside", 6, camera="hall"))
    assert case.ask(Reject(camera="top", pictures=(aside[0].id,))) == PicturesJudged(
        camera="top", changed=1, undecided=2
    )
    assert case.ask(Accept(camera="top", all=True)) == PicturesJudged(camera="top", changed=2, undecided=0)
    found = case.now()
    assert [found[one.id].decided for one in aside] == ["rejected", "accepted", "accepted"]
    assert {found[one.id].decided for one in (taught, peak, other)} == {""}
    assert found[aside[1].id].by == "key"
    assert case.ask(Accept(camera="top", pictures=(aside[0].id,))).changed == 1
    assert case.ask(Accept(camera="top", pictures=(aside[0].id,))).changed == 0


def test_half_an_order_is_not_done(case: Case) -> None:
    """With an id that is not there, of another camera, or already learnt nothing is changed."""
    one = case.store.add(new("aside", 1))
    learnt = case.store.change(case.store.add(new("taught", 2)), decided="learnt")
    other = case.store.add(new("aside", 3, camera="hall"))
    for wrong, said in (
        (other.id, "no picture"),
        ("20261127T140512345Z-0a1b2c3d", "no picture"),
        (learnt.id, "was learnt"),
    ):
        assert said in case.ask(Accept(camera="top", pictures=(one.id, wrong)))
    assert "name pictures" in case.ask(Accept(camera="top"))
    assert "name pictures" in case.ask(Accept(camera="top", pictures=(one.id,), all=True))
    assert "no camera `hal`; known: top, hall" in case.ask(Accept(camera="hal", all=True))
    assert case.now()[one.id].decided == ""


def test_false_alarm_accepts_the_highest_peak(case: Case) -> None:
    """Of the peaks of an alert the highest is accepted if it is the one that was seen; a refusal says what to do."""
    case.store.change(case.store.add(new("peak", 1, score=11.0, alert="a")), decided="rejected")
    high = case.store.add(new("peak", 2, score=12.0, alert="a"))
    case.store.add(new("peak", 3, score=50.0, alert="b"))
    assert "another picture of alert a is stored" in case.ask(FalseAlarm(camera="top", alert_id="a", score=11.0))
    assert case.now()[high.id].decided == ""
    marked = case.ask(FalseAlarm(camera="top", alert_id="a", score=12.0))
    assert isinstance(marked, Marked)
    assert (marked.picture.id, marked.picture.decided, marked.open) == (high.id, "accepted", False)
    assert "no peak of alert c of camera `top` is stored" in case.ask(FalseAlarm(camera="top", alert_id="c"))


def test_what_was_taken_back_can_be_called_fine_again(case: Case) -> None:
    """The peak of a false alarm that was learnt, and taken back with its version, is learnt again once it is marked."""
    peak = case.store.change(case.store.add(new("peak", 1, score=12.0, alert="a")), decided="learnt")
    case.now()
    assert case.teaching is not None
    case.teaching.discard("top", [peak.id])
    assert case.now()[peak.id].decided == "rejected"
    marked = case.ask(FalseAlarm(camera="top", alert_id="a", score=12.0))
    assert isinstance(marked, Marked)
    case.now()
    assert [path.stem for path in case.teaching.lessons("top").learn] == [peak.id]


def test_lessons_are_what_was_taught_or_accepted(case: Case) -> None:
    """Taught and accepted pictures are learnt, each once; peaks not marked as false must still be found."""
    add, change = case.store.add, case.store.change
    taught, aside, peak = add(new("taught", 1)), add(new("aside", 2)), add(new("peak", 3, alert="a"))
    no = [add(new("aside", 4)), change(add(new("taught", 5)), decided="rejected"), add(new("taught", 6, camera="hall"))]
    change(aside, decided="accepted")
    change(peak, decided="accepted")
    add(new("peak", 7, alert="a"))  # of a false alarm, but it may show an object
    real = change(add(new("peak", 8, alert="b")), decided="rejected")
    case.now()
    teaching = case.teaching
    assert teaching is not None
    lessons = teaching.lessons("top")
    assert [path.stem for path in lessons.learn] == [taught.id, aside.id, peak.id]
    assert [path.stem for path in lessons.peaks] == [real.id]
    assert lessons.hold_out == ()
    assert all(path.is_file() for path in (*lessons.learn, *lessons.peaks))
    teaching.learnt("top", [taught.id, peak.id, "gone"], [aside.id])
    found = case.now()
    assert (found[taught.id].decided, found[aside.id].kind) == ("learnt", "held_out")
    after = teaching.lessons("top")
    assert (after.learn, [path.stem for path in after.hold_out]) == ((), [aside.id])
    assert {found[one.id].decided for one in no} == {"", "rejected"}
    rejected = [one.id for one in no]
    teaching.learn_again("top", [taught.id, aside.id, *rejected])  # by another bundle
    found = case.now()
    assert {(found[one.id].kind, found[one.id].decided) for one in (taught, aside)} == {("taught", "accepted")}
    assert {found[one].decided for one in rejected} == {"", "rejected"}
    teaching.learnt("top", [taught.id], [aside.id])
    teaching.discard("top", [taught.id, aside.id])
    found = case.now()
    assert {(found[one.id].kind, found[one.id].decided) for one in (taught, aside)} == {("aside", "rejected")}
    assert teaching.lessons("top").hold_out == ()


def test_picture_comes_in_parts(case: Case) -> None:
    """The parts of a picture, put together, are its file."""
    one = case.store.add(new("aside", 1))
    part = case.ask(FetchPicture(camera="top", picture=one.id))
    assert isinstance(part, PicturePart)
    assert part.size == one.bytes
    assert case.parts == ((case.folder / "learning" / "top" / "pictures" / f"{one.id}.png").read_bytes(),)
    case.ask(FetchPicture(camera="top", picture=one.id, offset=100))
    assert len(case.parts[0]) == one.bytes - 100
    (case.folder / "learning" / "top" / "pictures" / f"{one.id}.png").unlink()
    assert "cannot be read" in case.ask(FetchPicture(camera="top", picture=one.id))


def test_long_lists_come_in_parts(case: Case) -> None:
    """A list has at most `limit` pictures, and the next ones are asked for by the last id."""
    ids = [case.store.add(new("aside", seed)).id for seed in range(5)]
    first = case.ask(ListPictures(limit=3))
    assert ([one.id for one in first.pictures], first.more) == (ids[:3], True)
    rest = case.ask(ListPictures(limit=3, after=ids[2]))
    assert ([one.id for one in rest.pictures], rest.more) == (ids[3:], False)
    assert first.stored_bytes >= sum(one.bytes for one in (*first.pictures, *rest.pictures))


def test_what_is_deleted_is_what_was_named(case: Case) -> None:
    """By camera, kind or id; clips of a camera go by its name, also of one whose name begins like another's."""
    clips = case.folder / "clips"
    clips.mkdir()
    for camera in ("top", "top-2", "hall"):
        (clips / clip_name(camera, 10**18, UUID)).write_bytes(b"RIFF")
    taught, peak = case.store.add(new("taught", 1)), case.store.add(new("peak", 2))
    gone, other = case.store.add(new("aside", 3)), case.store.add(new("peak", 4, camera="hall"))
    assert case.ask(DeletePictures(camera="top", pictures=(gone.id,))) == Deleted(
        pictures=1, clips=0, freed_bytes=gone.bytes
    )
    assert set(case.now()) == {taught.id, peak.id, other.id}
    assert case.ask(DeletePictures(camera="top", kinds=("peak",))).pictures == 1
    assert set(case.now()) == {taught.id, other.id}
    assert case.ask(DeletePictures(camera="top")) == Deleted(pictures=1, clips=1, freed_bytes=taught.bytes + 4)
    assert "name one camera" in case.ask(DeletePictures())
    assert "name the camera" in case.ask(DeletePictures(all_cameras=True, pictures=(other.id,)))
    assert "known: top, hall, top-2" in case.ask(DeletePictures(camera="tpo"))
    assert case.ask(DeletePictures(all_cameras=True, kinds=("clip",))) == Deleted(pictures=0, clips=2, freed_bytes=8)
    assert case.ask(DeletePictures(all_cameras=True)).pictures == 1
    assert case.now() == {}
    assert [path.name for path in (case.folder / "learning").rglob("*") if path.is_file()] == [".lock"]


def test_new_collection_replaces_the_old(case: Case) -> None:
    """One camera has one collection; a stop without one is refused."""
    assert "no frames of camera `top` are collected" in case.ask(StopTeaching(camera="top"))
    first = case.ask(Teach(camera="top", frames=5))
    assert isinstance(first, TeachingState)
    assert (first.state, first.wanted, first.replaced, first.by) == ("running", 5, False, "key")
    assert case.ask(Teach(camera="top", minutes=2)).replaced
    assert case.ask(StopTeaching(camera="top")).reason == "stopped by a request"
    assert not case.ask(Teach(camera="top")).replaced
    assert "no camera `hall`; known: top" in case.ask(Teach(camera="hall"))


def test_without_a_folder_everything_is_refused(case: Case) -> None:
    """Where nothing can be stored every request says why."""
    (case.folder / "file").write_text("")
    case.begin(folder=str(case.folder / "file" / "learning"))
    said = case.ask(ListPictures())
    assert "file/learning: cannot be written (Not a directory)" in said
    assert "nothing can be stored: " in case.ask(Teach(camera="top"))
