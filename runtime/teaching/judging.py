"""Answers to requests about stored pictures: they are listed, fetched, judged and deleted. In the store's thread."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isclose
from pathlib import Path

from edge_config.errors import RequestError
from edge_config.wire.teaching import (
    MAX_PART_BYTES,
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
    StoredPicture,
)
from runtime.clips.folder import cameras_of, delete_clips
from runtime.teaching.store import PictureStore

SAME = 1e-6
"""Relative difference of two scores of the same frame: they are rounded where they are written."""


def listed(store: PictureStore, request: ListPictures, cameras: Iterable[str]) -> PictureList:
    """List pictures.

    Raises:
        RequestError: no such camera is known.
    """
    _check(store, request.camera, cameras)
    found = [
        one
        for one in store.all()
        if request.camera in {None, one.camera}
        and (not request.kinds or one.kind in request.kinds)
        and not (request.undecided and one.decided)
        and one.id > request.after
    ]
    return PictureList(
        pictures=tuple(found[: request.limit]),
        more=len(found) > request.limit,
        stored_bytes=store.size,
        most_bytes=store.max_bytes,
    )


def fetched(store: PictureStore, request: FetchPicture) -> tuple[PicturePart, bytes]:
    """Read a part of a picture.

    Raises:
        RequestError: there is no such picture, or it cannot be read.
    """
    picture = _found(store, request.camera, [request.picture])[0]
    try:
        data = store.read(picture)
    except (OSError, ValueError) as error:
        raise RequestError(f"picture {picture.id} cannot be read ({error})") from error
    part = data[request.offset : request.offset + MAX_PART_BYTES]
    return PicturePart(picture=picture, offset=request.offset, size=len(data)), part


def judged(store: PictureStore, request: Accept | Reject, by: str, cameras: Iterable[str]) -> PicturesJudged:
    """Accept or reject pictures; none if one of them is not there or was learnt.

    Raises:
        RequestError: no picture is named, or one cannot be judged.
        NotWritten: the disk does not take it.
    """
    _check(store, request.camera, cameras)
    if request.all == bool(request.pictures):
        raise RequestError("name pictures, or all of those set aside", remedy="`pictures` lists them")
    chosen = _undecided(store, request.camera) if request.all else _found(store, request.camera, request.pictures)
    for one in chosen:
        if one.kind == "held_out" or one.decided == "learnt":
            raise RequestError(f"picture {one.id} was learnt already", remedy="`rollback` undoes what was learnt")
    decided = "accepted" if isinstance(request, Accept) else "rejected"
    changed = [one for one in chosen if one.decided != decided]
    for one in changed:
        store.change(one, decided=decided, by=by)
    return PicturesJudged(camera=request.camera, changed=len(changed), undecided=len(_undecided(store, request.camera)))


def marked(store: PictureStore, request: FalseAlarm, by: str, *, is_open: bool) -> Marked:
    """Accept the highest stored peak of an alert, which must be the one that was looked at, if that is said.

    Raises:
        RequestError: there is none, it was learnt, or it is another one.
        NotWritten: the disk does not take it.
    """
    # One that was learnt, and taken back with its version, is set aside: it may be called fine again.
    of_alert = [one for one in store.of(request.camera) if one.alert == request.alert_id]
    peaks = [one for one in of_alert if one.kind in {"peak", "aside"}]
    if not peaks:
        raise RequestError(
            f"no peak of alert {request.alert_id[:64]} of camera `{request.camera}` is stored",
            remedy="of alerts in quick succession not each is stored, and old ones are deleted: teach frames instead",
        )
    best = max(peaks, key=lambda one: one.score)
    if request.score is not None and not isclose(request.score, best.score, rel_tol=SAME):
        raise RequestError(
            f"another picture of alert {request.alert_id[:64]} is stored, with a score of {best.score:.3f}",
            remedy="look at it, and name its score",
        )
    if best.decided == "learnt":
        raise RequestError(f"the peak of alert {request.alert_id[:64]} was learnt already")
    return Marked(camera=request.camera, picture=store.change(best, decided="accepted", by=by), open=is_open)


def deleted(store: PictureStore | None, request: DeletePictures, clips: str, cameras: Iterable[str]) -> Deleted:
    """Delete pictures and clips.

    Args:
        store: the stored pictures; None: there are none.
        request: which of them.
        clips: folder of the clips; empty: there are none.
        cameras: names of the cameras of the settings.

    Raises:
        RequestError: it is not said which, or a picture is not there.
        NotWritten: one cannot be deleted.
    """
    if request.all_cameras == (request.camera is not None):
        raise RequestError("name one camera, or all of them")
    if request.pictures and request.camera is None:
        raise RequestError("name the camera of the pictures")
    folder = Path(clips) if clips else None
    _check(store, request.camera, [*cameras, *(cameras_of(folder) if folder else ())])
    pictures: Sequence[StoredPicture] = []
    if store is not None and request.pictures and request.camera is not None:
        pictures = _found(store, request.camera, request.pictures)
    elif store is not None:
        pictures = [one for one in store.all() if request.camera in {None, one.camera}]
    pictures = [one for one in pictures if not request.kinds or one.kind in request.kinds]
    freed = 0 if store is None else store.delete(pictures)
    clips_too = not request.pictures and (not request.kinds or "clip" in request.kinds)
    number, size = delete_clips(folder, request.camera) if folder and clips_too else (0, 0)
    return Deleted(pictures=len(pictures), clips=number, freed_bytes=freed + size)


def _check(store: PictureStore | None, camera: str | None, cameras: Iterable[str]) -> None:
    """Refuse a camera that is neither in the settings nor has pictures: it is a slip of the pen."""
    known = dict.fromkeys([*cameras, *(one.camera for one in (store.all() if store else ()))])
    if camera is not None and camera not in known:
        raise RequestError(f"no camera `{camera[:64]}`; known: {', '.join(known)}")


def _undecided(store: PictureStore, camera: str) -> list[StoredPicture]:
    return [one for one in store.of(camera) if one.kind == "aside" and not one.decided]


def _found(store: PictureStore, camera: str, ids: Sequence[str]) -> list[StoredPicture]:
    found = {picture_id: store.get(camera, picture_id) for picture_id in ids}
    for picture_id, one in found.items():
        if one is None:
            raise RequestError(f"no picture {picture_id} of camera `{camera[:64]}`", remedy="`pictures` lists them")
    return [one for one in found.values() if one is not None]
