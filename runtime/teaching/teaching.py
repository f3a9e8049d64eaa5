"""Teaching as the main loop knows it: it sees every frame, answers requests, and says what may be learnt."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Collection as Names
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import msgspec
import structlog

from edge_config.errors import PatchedgeError, RequestError
from edge_config.settings.device import Settings
from edge_config.wire.requests import name_of
from edge_config.wire.teaching import (
    Accept,
    DeletePictures,
    FalseAlarm,
    FetchPicture,
    ListPictures,
    Reject,
    StopTeaching,
    StoredPicture,
    Teach,
    TeachingState,
)
from runtime.events import Asked
from runtime.teaching import dropping, judging
from runtime.teaching.collection import Collection
from runtime.teaching.peaks import Peaks, SeenFrame
from runtime.teaching.picture import learning_folder, picture_path
from runtime.teaching.shared_pictures import SharedPictures
from runtime.teaching.store import PictureStore
from runtime.teaching.store_thread import StoreThread

CLOSE_S = 1.0
"""Time-out of what is written at the end, seconds."""

_log = structlog.get_logger()


class PictureReplier(Protocol):
    """Answers requests, from any thread."""

    def reply(self, asked: Asked, payload: Any, parts: Sequence[bytes] = ()) -> None:
        """Send the payload, and the parts as further frames."""

    def refuse(self, asked: Asked, error: str) -> None:
        """Send the reason, one line."""


@dataclass(frozen=True, slots=True)
class TaughtLessons:
    """What may be learnt of a camera: paths of stored pictures, the oldest first; their stems are their ids.

    Attributes:
        learn: taught and accepted pictures that were not learnt yet.
        hold_out: pictures that were held out of earlier rounds.
        peaks: of alerts that are not marked as false: they must still be found.
    """

    learn: tuple[Path, ...]
    hold_out: tuple[Path, ...]
    peaks: tuple[Path, ...]


class Teaching:
    """Keeps peaks, collects frames, and answers requests about stored pictures.

    Use it from the main loop's thread; `lessons`, `learnt` and `discard` from any.
    """

    def __init__(
        self, settings: Settings, cameras: Names[str], pictures: SharedPictures, control: PictureReplier
    ) -> None:
        """Open the stored pictures, in a thread.

        Args:
            settings: of the device.
            cameras: names of the cameras.
            pictures: takes the shared memories that frames are in.
            control: answers requests.
        """
        self._keep_peaks = settings.learning.keep_peaks
        self._control, self._pictures = control, pictures
        self._clips = settings.clips.folder
        self._collections: dict[str, Collection] = {}
        store, problem = None, ""
        try:
            folder = learning_folder(settings)
            store = PictureStore(folder, settings.learning.most_mb << 20, settings.learning.most_days)
        except OSError as error:
            problem = f"there is no folder for stored pictures ({error.strerror}); set `learning.folder`"
            _log.warning("pictures cannot be stored", problem=problem)
        self._thread = StoreThread(store, settings.clips, self._gone, problem)
        now_s = time.monotonic()
        self._peaks = {name: Peaks(pictures, self._thread, now_s) for name in cameras}

    def see(self, seen: SeenFrame) -> None:
        """Take a frame on which was decided, before its slot is given back."""
        if self._keep_peaks:
            self._peaks[seen.camera].see(seen, time.monotonic())
        if (collection := self._collections.get(seen.camera)) is not None and not collection.reason:
            collection.see(seen, time.monotonic_ns())
            _tell_end(collection)

    def turn(self) -> None:
        """Do the periodic work."""
        now_ns = time.monotonic_ns()
        for peaks in self._peaks.values():
            peaks.turn(now_ns / 1e9)
        for collection in self._collections.values():
            if not collection.reason:
                collection.turn(now_ns)
                _tell_end(collection)

    def answer(self, asked: Asked) -> None:
        """Answer a request of `OfTeaching`, now or later."""
        request = asked.request
        if isinstance(request, Teach | StopTeaching | FalseAlarm) and request.camera not in self._peaks:
            self._control.refuse(asked, f"no camera `{request.camera}`; known: {', '.join(self._peaks)}")
            return
        match request:
            case Teach():
                self._teach(asked, request)
            case StopTeaching():
                self._stop(asked, request.camera)
            case FalseAlarm():
                is_open = self._peaks[request.camera].flush(request.alert_id, time.monotonic())
                self._ask(asked, lambda store: judging.marked(store, request, asked.by, is_open=is_open))
            case Accept() | Reject():
                self._ask(asked, lambda store: judging.judged(store, request, asked.by, self._peaks))
            case ListPictures():
                self._ask(asked, lambda store: judging.listed(store, request, self._peaks))
            case FetchPicture():
                self._ask(asked, lambda store: judging.fetched(store, request))
            case DeletePictures():
                self._delete(asked, request)

    def add_to(self, status: dict[str, Any]) -> dict[str, Any]:
        """Return the status of the device with that of stored pictures and of collections."""
        for name, camera in status.get("cameras", {}).items():
            collection = self._collections.get(name)
            camera["teaching"] = None if collection is None else msgspec.to_builtins(collection.state)
        store, thread = self._thread.store, self._thread
        pictures = {
            "folder": "" if store is None else str(store.folder),
            "stored": 0 if store is None else len(store),
            "stored_bytes": 0 if store is None else store.size,
            "lost": thread.lost,
            "skipped": sum(one.skipped for one in self._peaks.values()),
            "deleted": thread.deleted,
            "problem": thread.problem,
        }
        return {**status, "pictures": pictures}

    def lessons(self, camera: str) -> TaughtLessons:
        """Return what may be learnt of a camera now; these pictures stay for a while."""
        store = self._thread.store
        if store is None:
            return TaughtLessons((), (), ())
        found = store.of(camera)
        false = {one.alert for one in found if one.kind == "peak" and one.decided in {"accepted", "learnt"}}

        def paths(pictures: Iterable[StoredPicture]) -> tuple[Path, ...]:
            return tuple(picture_path(store.folder, one) for one in pictures)

        learn = [one for one in found if dropping.status(one) == "to learn"]
        held_out = [one for one in found if one.kind == "held_out"]
        peaks = [one for one in found if one.kind == "peak" and one.alert not in false]
        store.hold([*learn, *held_out, *peaks])
        return TaughtLessons(paths(learn), paths(held_out), paths(peaks))

    def learnt(self, camera: str, learnt: Iterable[str], held_out: Iterable[str]) -> None:
        """Take note of what a bundle that serves has learnt, by id of the picture; others are passed over."""
        self._mark(camera, learnt, decided="learnt")
        self._mark(camera, held_out, kind="held_out", decided="")

    def discard(self, camera: str, pictures: Iterable[str]) -> None:
        """Reject pictures whose lesson was rolled back: they are neither learnt again, nor do they set a threshold."""
        self._mark(camera, pictures, kind="aside", decided="rejected")

    def learn_again(self, camera: str, pictures: Iterable[str]) -> None:
        """Accept pictures that were learnt, or held out: the bundle in service is another one."""
        ids = list(pictures)
        self._mark(camera, ids, lambda one: one.kind == "held_out", kind="taught", decided="accepted")
        self._mark(camera, ids, lambda one: one.decided == "learnt", decided="accepted")

    def close(self) -> None:
        """Store what is in memory, and stop."""
        for peaks in self._peaks.values():
            peaks.finish(time.monotonic())
        self._thread.close(CLOSE_S)
        self._pictures.close()

    def _teach(self, asked: Asked, request: Teach) -> None:
        if self._thread.store is None or (self._thread.problem and not self._thread.opened):
            self._control.refuse(asked, f"nothing can be stored: {self._thread.problem}")
            return
        before = self._collections.get(request.camera)
        replaced = before is not None and not before.reason
        now = time.monotonic_ns(), time.time_ns()
        collection = Collection(request, asked.by, *now, self._pictures, self._thread)
        self._collections[request.camera] = collection
        state = msgspec.structs.replace(collection.state, replaced=replaced)
        _log.info("frames are collected", **_said(state), by=asked.by, replaced=replaced)
        self._control.reply(asked, state)

    def _stop(self, asked: Asked, camera: str) -> None:
        collection = self._collections.get(camera)
        if collection is None or collection.reason:
            self._control.refuse(asked, f"no frames of camera `{camera}` are collected")
            return
        collection.end("stopped by a request")
        _tell_end(collection)
        self._control.reply(asked, collection.state)

    def _delete(self, asked: Asked, request: DeletePictures) -> None:
        for name, peaks in self._peaks.items():
            if request.camera in {None, name} and (not request.kinds or "peak" in request.kinds):
                peaks.forget()
        store = self._thread.store
        self._do(asked, lambda: judging.deleted(store, request, self._clips, self._peaks))

    def _ask(self, asked: Asked, act: Callable[[PictureStore], Any]) -> None:
        """Have a request answered from the stored pictures."""

        def opened() -> Any:
            if self._thread.store is None or not self._thread.opened:
                raise RequestError(self._thread.problem)
            return act(self._thread.store)

        self._do(asked, opened)

    def _do(self, asked: Asked, act: Callable[[], Any]) -> None:
        if not self._thread.put(partial(self._answer, asked, act)):
            self._control.refuse(asked, "too many requests wait for the disk; retry later")

    def _answer(self, asked: Asked, act: Callable[[], Any]) -> None:
        """In the store's thread."""
        try:
            reply = act()
        except PatchedgeError as error:
            self._control.refuse(asked, str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            _log.error("request about stored pictures failed", problem=repr(error))
            self._control.refuse(asked, "internal error of stored pictures")
        else:
            if asked.request.role == "operate":
                said = {key: value for key, value in msgspec.to_builtins(reply).items() if isinstance(value, str | int)}
                _log.info("stored pictures changed", request=name_of(asked.request), by=asked.by, **said)
            self._reply(asked, reply)

    def _reply(self, asked: Asked, reply: Any) -> None:
        if isinstance(reply, tuple):
            self._control.reply(asked, reply[0], [reply[1]])
        else:
            self._control.reply(asked, reply)

    def _mark(
        self,
        camera: str,
        pictures: Iterable[str],
        only: Callable[[StoredPicture], bool] = lambda _one: True,
        **fields: Any,
    ) -> None:
        """Change fields of pictures that are still there."""
        store, ids = self._thread.store, list(pictures)

        def act() -> None:
            for picture_id in ids:
                found = None if store is None else store.get(camera, picture_id)
                if store is not None and found is not None and only(found):
                    store.change(found, **fields)

        if not self._thread.put(act):
            _log.error("stored pictures cannot be marked", camera=camera, pictures=len(ids))

    def _gone(self, pictures: Iterable[StoredPicture]) -> None:
        """In the store's thread."""
        gone = list(pictures)
        for collection in list(self._collections.values()):
            collection.gone(gone)


def _tell_end(collection: Collection) -> None:
    """Log that a collection is over, if it is."""
    if collection.reason:
        _log.info("no more frames are collected", **_said(collection.state))


def _said(state: TeachingState) -> dict[str, Any]:
    fields = ("camera", "reason", "wanted", "taught", "aside", "lost", "every_ms", "ends")
    return {field: value for field in fields if (value := getattr(state, field)) not in {None, ""}}
