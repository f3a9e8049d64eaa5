"""Record a source into a folder as lossless pictures: what `fit` learns from is what will be scored."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import cv2

from edge_config.saving import put, writing
from edge_config.settings.sections import Camera
from runtime.camera.preview import Preview
from runtime.camera.supervisor import CAPTURE_PROCESS
from runtime.frame import Image, SharedFrame

_TURN_S = 1.0
_NS = 1_000_000_000


@dataclass(slots=True)
class Recorded:
    """What was written so far.

    Attributes:
        pictures: in the folder, by this run.
        sizes: width and height of them, pixels, in the order in which they came.
        undecodable: frames that could not be decoded.
        interruptions: why the connection was lost meanwhile, one line each.
    """

    pictures: int = 0
    sizes: list[tuple[int, int]] = field(default_factory=list)
    undecodable: int = 0
    interruptions: list[str] = field(default_factory=list)


class Record:
    """Writes pictures of one source.

    Attributes:
        recorded: so far, also when `run` was interrupted.
    """

    def __init__(
        self,
        camera: Camera,
        folder: Path,
        *,
        count: int,
        every_s: float,
        written: Callable[[Recorded], None] = lambda _recorded: None,
        command: Sequence[str] = CAPTURE_PROCESS,
    ) -> None:
        """Write nothing yet.

        Args:
            camera: its settings.
            folder: for the pictures; created if it does not exist, and other files in it are kept.
            count: of pictures.
            every_s: minimum time from one to the next, seconds.
            written: called after each.
            command: starts a capture process.
        """
        self.recorded = Recorded()
        self._camera, self._command = camera, command
        self._folder, self._count, self._every_ns = folder, count, round(every_s * _NS)
        self._written = written
        self._due_ns = 0

    def run(self, timeout_s: float) -> None:
        """Write until there are enough, or the recording is over; a live source that is lost is waited for.

        Args:
            timeout_s: the first picture must come within this time.

        Raises:
            SourceUnavailable: the source does not open, or gives no picture in time.
            NotWritten: the disk does not take a picture; those before it stay.
        """
        is_new = not self._folder.is_dir()
        with writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        try:
            with Preview(self._camera, self._take, self._command) as preview:
                preview.open(timeout_s)
                self.recorded.interruptions = preview.interruptions
                while self.recorded.pictures < self._count and preview.turn(_TURN_S):
                    pass
        finally:
            if is_new and not self.recorded.pictures:
                with suppress(OSError):
                    self._folder.rmdir()

    def _take(self, frame: SharedFrame, image: Image | None) -> None:
        if image is None:
            self.recorded.undecodable += 1
        elif self.recorded.pictures < self._count and frame.t_mono_ns >= self._due_ns:
            self._due_ns = frame.t_mono_ns + self._every_ns
            self._write(frame, image)

    def _write(self, frame: SharedFrame, image: Image) -> None:
        seconds, rest_ns = divmod(frame.t_capture_ns, _NS)
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(seconds))
        path = self._folder / f"{stamp}.{rest_ns // 1_000_000:03d}Z-{frame.frame_id:06d}.png"
        put(path, cv2.imencode(".png", image)[1].tobytes())  # `fit` must not learn from half a picture
        height, width = image.shape[:2]
        self.recorded.pictures += 1
        if (width, height) not in self.recorded.sizes:
            self.recorded.sizes.append((width, height))
        self._written(self.recorded)
