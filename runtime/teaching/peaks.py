"""The frame with the highest score of each alert of a camera: copied when it comes, stored soon after.

The frame is stored as soon as the alert begins; a higher one replaces it a while later, or when the alert is over. So
an alert that never ends has its peak on the disk within seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from edge_config.wire.messages import Box
from runtime.frame import Alert, Image, SharedFrame
from runtime.process.token_bucket import Bucket, Rate
from runtime.teaching.picture import new_id
from runtime.teaching.shared_pictures import SharedPictures
from runtime.teaching.store import NewPicture
from runtime.teaching.store_thread import StoreThread

COPIES = Rate(4, 8)
"""Copies a second of the frames of a camera, and at once after a while without: each of 1920 x 1080 takes 2 ms."""

WRITES = Rate(1 / 30, 30)
"""Peaks of a camera that are stored each second, and at once: a camera that is never quiet must not wear a disk out."""

REPLACE_S = 10.0
"""A higher peak of an alert that goes on replaces the stored one after this time, seconds."""


@dataclass(frozen=True, slots=True)
class SeenFrame:
    """A frame as the main loop knows it after its decision; its slot is not given back yet.

    Attributes:
        camera: name of the camera.
        frame: the frame.
        score: its score; None if it has none.
        threshold: scores above it are anomalous.
        judged: it is a new picture of a camera that is live.
        alert: the open alert, or what may become one; None if there is neither.
        is_open: the alert has begun.
        boxes: regions of the frame over the threshold, as far as they are known.
    """

    camera: str
    frame: SharedFrame
    score: float | None
    threshold: float
    judged: bool
    alert: Alert | None
    is_open: bool
    boxes: tuple[Box, ...] = ()

    @property
    def size(self) -> int:
        """Size of the frame, bytes."""
        height, width = self.frame.hw or (0, 0)
        return 3 * height * width


class Peaks:
    """Keeps the peaks of the alerts of one camera. Use it from the main loop's thread.

    Attributes:
        skipped: number of alerts whose peak was not stored, because there were too many.
    """

    def __init__(self, pictures: SharedPictures, thread: StoreThread, now_s: float) -> None:
        """Keep nothing yet.

        Args:
            pictures: where frames are copied from.
            thread: stores them.
            now_s: monotonic clock, seconds.
        """
        self.skipped = 0
        self._pictures = pictures
        self._thread = thread
        self._copies, self._writes = Bucket(COPIES, now_s), Bucket(WRITES, now_s)
        self._alert = ""  # id of the alert that the rest is about
        self._is_open = False
        self._score = 0.0  # highest one of a frame that was copied
        self._image: Image | None = None  # not stored yet
        self._seen: SeenFrame | None = None  # that it shows
        self._stored_s: float | None = None  # when a peak of the alert was handed over last

    def see(self, seen: SeenFrame, now_s: float) -> None:
        """Take note of a frame, of an alert or not."""
        alert_id = "" if seen.alert is None else seen.alert.alert_id
        if alert_id != self._alert:
            self.finish(now_s)
            self._alert = alert_id
        if seen.alert is None:
            return
        self._is_open = seen.is_open
        if seen.judged and seen.score is not None and seen.score > max(self._score, seen.threshold):
            self._copy(seen, seen.score, now_s)
        self.turn(now_s)

    def turn(self, now_s: float) -> None:
        """Store a peak that is due."""
        due = self._stored_s is None or now_s - self._stored_s >= REPLACE_S
        if due and self._is_open:
            self._store(now_s)

    def flush(self, alert_id: str, now_s: float) -> bool:
        """Store the peak of this alert, if it is kept in memory; return whether the alert is open."""
        if alert_id != self._alert or not self._is_open:
            return False
        self._store(now_s, asked=True)
        return True

    def forget(self) -> None:
        """Drop what is kept in memory."""
        self._image = None

    def finish(self, now_s: float) -> None:
        """Store the peak of an alert that is over; drop that of what did not become one."""
        if self._is_open:
            self._store(now_s)
            if self._stored_s is None and self._image is not None:
                self.skipped += 1
        self._is_open, self._score, self._image, self._seen, self._stored_s = False, 0.0, None, None, None

    def _copy(self, seen: SeenFrame, score: float, now_s: float) -> None:
        if self._copies.wait_s(now_s):
            return
        image = self._pictures.copy(seen.frame, self._image)
        if image is not None:
            self._copies.take()
            self._image, self._seen, self._score = image, seen, score

    def _store(self, now_s: float, *, asked: bool = False) -> None:
        """Hand the peak over, if that may be."""
        seen, image = self._seen, self._image
        if seen is None or image is None or not self._thread.has_room(seen.size):
            return
        if not asked:
            if self._writes.wait_s(now_s):
                return
            self._writes.take()
        new = NewPicture(
            id=new_id(seen.frame.t_capture_ns),
            kind="peak",
            camera=seen.camera,
            image=image,
            t_capture_ns=seen.frame.t_capture_ns,
            frame=seen.frame.frame_id,
            score=self._score,
            threshold=seen.threshold,
            alert=self._alert,
            boxes=seen.boxes,
        )
        if self._thread.put(partial(_replace, self._thread, new), seen.size):
            self._image, self._stored_s = None, now_s


def _replace(thread: StoreThread, new: NewPicture) -> None:
    """Store a peak, and delete lower ones of its alert on which nothing was decided. In the store's thread."""
    if thread.add(new) is None or thread.store is None:
        return
    lower = (one for one in thread.store.of(new.camera) if one.alert == new.alert and one.id != new.id)
    thread.store.delete(thread.store.free(one for one in lower if one.kind == "peak" and not one.decided))
