"""Requests for the clips of alerts: answered by a thread that reads the disk."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from edge_config.wire.fetch import MAX_CLIP_PART_BYTES, ClipPart, FetchClip
from runtime.app.answer_beside import AnswerBeside
from runtime.clips.read_clip import ClipReader
from runtime.events import Asked
from runtime.messaging.control_socket import Control


class ClipRequests:
    """Answers requests for clips. Use it from the main loop's thread."""

    def __init__(self, folder: str, control: Control) -> None:
        """Take the folder of clips, empty if none are made; and where the answers go."""
        self._reader = ClipReader(folder)
        self._beside = AnswerBeside(control, "read clips")

    def handle(self, _event: Any) -> bool:
        """Return False: no event is its own."""
        return False

    def answer(self, asked: Asked) -> bool:
        """Have a request for a clip answered; return whether it is one."""
        if not isinstance(asked.request, FetchClip):
            return False
        self._beside.do(asked, partial(self._read, asked.request))
        return True

    def turn(self) -> None:
        """There is no periodic work."""

    def close(self) -> None:
        """Answer what waits, for a short while."""
        self._beside.close()

    def _read(self, request: FetchClip) -> tuple[ClipPart, Sequence[bytes]]:
        part = self._reader.read(request.camera, request.clip, request.offset, MAX_CLIP_PART_BYTES)
        said = ClipPart(
            camera=request.camera, clip=request.clip, offset=request.offset, size=part.size, sha256=part.sha256
        )
        return said, [part.data]
