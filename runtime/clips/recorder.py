"""Record clips, with their JPEG quality, in a thread beside capture, which must never wait for the disk.

One thread encodes the frames that are due as small JPEGs, into a ring; frames that arrive meanwhile are skipped.
Another one writes the clips out of the ring, and obeys the orders. A disk that is slower than the ring is long costs
frames, and nothing else. When the process ends in order, its clips are completed; when it is killed, they are lost, and
the next process removes the temporary files.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from edge_config.settings.sections import Clips
from runtime import jpeg
from runtime.clips.clip import Clip
from runtime.clips.folder import keep_within, remove_leftovers
from runtime.clips.ring import SLACK_S, ClipFrame, Ring, slot_at
from runtime.frame import Image

JPEG_QUALITY = 80
"""Of the frames of a clip."""

MAX_AT_ONCE = 8
"""Maximum number of clips that are written at once: two if a full one is followed by another, and some in reserve."""


class _Order(NamedTuple):
    name: str
    t_ns: int
    begins: bool
    otherwise: str


class ClipRecorder:
    """Records clips of one source. All methods but `close` return at once."""

    def __init__(self, settings: Clips, tell: Callable[[str, str], None]) -> None:
        """Begin to fill the ring.

        Args:
            settings: where and how.
            tell: called for every clip when it is over, with its name and the problem if there is none; the name is
                empty if the problem is of the folder. Called from threads of this object.
        """
        self._settings = settings
        self._folder = Path(settings.folder)
        self._tell = tell
        self._ring = Ring(math.ceil((settings.before_s + SLACK_S) * settings.fps) + 1)
        self._slot = -1  # of the last frame that was due
        self._waiting: tuple[int, Image] | None = None
        self._orders: list[_Order] = []
        self._news = False  # in the ring
        self._closing = False
        self._changed = threading.Condition()  # over all that the threads share
        self._clips: dict[str, Clip] = {}
        threading.Thread(target=self._reduce, name="reduce", daemon=True).start()
        self._writer = threading.Thread(target=self._write, name="write clips", daemon=True)
        self._writer.start()

    def show(self, image: Image, t_ns: int) -> None:
        """Take a frame of this moment (monotonic clock); its image must not change any more."""
        slot = slot_at(t_ns, self._settings.fps)
        if slot > self._slot:
            self._slot = slot
            with self._changed:
                self._waiting = (slot, image)
                self._changed.notify_all()

    def begin(self, name: str, t_ns: int, otherwise: str = "") -> None:
        """Begin a clip of an alert that began at this moment (monotonic clock), or extend the one that has this name.

        Args:
            name: of the clip.
            t_ns: start of the alert.
            otherwise: name of a clip to begin if the one to extend is over.
        """
        self._order(_Order(name, t_ns, begins=True, otherwise=otherwise))

    def end(self, name: str, t_ns: int, otherwise: str = "") -> None:
        """Note that the alert of a clip ended at this moment (monotonic clock); `otherwise` as for `begin`."""
        self._order(_Order(name, t_ns, begins=False, otherwise=otherwise))

    def close(self, timeout_s: float) -> None:
        """End the clips now, and wait until they are complete, at most `timeout_s`. Thread-safe, idempotent."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._writer.join(timeout_s)

    def _order(self, order: _Order) -> None:
        with self._changed:
            self._orders.append(order)
            self._changed.notify_all()

    def _reduce(self) -> None:
        """Fill the ring, indefinitely."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting is not None)
                waiting, self._waiting = self._waiting, None
            if waiting is None:
                continue
            try:
                slot, image = waiting
                data, hw = jpeg.encode(image, JPEG_QUALITY, self._settings.width)
            except Exception as error:  # noqa: BLE001 - a failed clip must not disturb the capture
                self._tell("", f"a frame cannot be filmed ({error})")
                continue
            with self._changed:
                self._ring.add(ClipFrame(slot, hw, data))
                self._news = True
                self._changed.notify_all()

    def _write(self) -> None:
        """Write clips until `close`, and end them all then."""
        self._keep_house(remove_leftovers)
        self._keep_house(self._keep_within)
        closing = False
        while not closing:
            with self._changed:
                self._changed.wait_for(self._is_due, self._patience_s())
                orders, self._orders = self._orders, []
                self._news = False
                closing = self._closing
            for order in orders:
                self._obey(order)
            for name in list(self._clips):
                self._guard(name, partial(self._go_on, name, closing=closing))

    def _is_due(self) -> bool:
        return self._closing or bool(self._orders) or (self._news and bool(self._clips))

    def _patience_s(self) -> float | None:
        """Return the time until a clip is over without a further frame; None if there is no clip."""
        over_ns = min((clip.over_ns for clip in self._clips.values()), default=None)
        return None if over_ns is None else max(0.0, (over_ns - time.monotonic_ns()) / 1e9)

    def _obey(self, order: _Order) -> None:
        clip = self._clips.get(order.name) or self._clips.get(order.otherwise)
        if clip is not None and order.begins:
            clip.extend()
        elif clip is not None:
            clip.end(order.t_ns)
        elif order.begins:
            name = order.otherwise or order.name
            self._guard(name, partial(self._begin, name, order.t_ns))
            if name != order.name:
                self._tell(order.name, "")  # it was over when the order came

    def _begin(self, name: str, t_ns: int) -> None:
        if len(self._clips) >= MAX_AT_ONCE:
            raise ValueError(f"{MAX_AT_ONCE} clips are being written already")
        self._clips[name] = Clip(self._settings, name, t_ns)

    def _go_on(self, name: str, *, closing: bool) -> None:
        """Write what the ring has for a clip, and finish it if that was all."""
        clip = self._clips[name]
        now_ns = time.monotonic_ns()
        with self._changed:
            frames = self._ring.since(clip.next)
        for frame in frames:
            clip.add(frame)
        if not closing and not clip.is_over(now_ns):
            return
        kept = clip.finish(durable=not closing)  # the process is about to be killed
        del self._clips[name]
        self._tell(name, "" if kept else "no picture came in its time")
        if not closing:
            self._keep_house(self._keep_within)

    def _guard(self, name: str, action: Callable[[], None]) -> None:
        """Do something for a clip; if that fails, the clip is deleted and reported."""
        try:
            action()
        except Exception as error:  # noqa: BLE001 - as above
            clip = self._clips.pop(name, None)
            if clip is not None:
                clip.discard()
            self._tell(name, self._describe(error))

    def _keep_house(self, action: Callable[[Path], None]) -> None:
        try:
            action(self._folder)
        except OSError as error:
            self._tell("", self._describe(error))

    def _keep_within(self, folder: Path) -> None:
        keep_within(folder, self._settings.most, self._settings.most_mb << 20, self._settings.most_days)

    def _describe(self, error: Exception) -> str:
        what = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        return f"{self._folder}: {what}"
