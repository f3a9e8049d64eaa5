"""What a subscriber sees of the runtime."""

from __future__ import annotations

import bisect
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from edge_config.wire.messages import AlertMessage, AnyMessage, ScoreMessage, StateMessage
from runtime.client.subscriber import Subscriber

T = TypeVar("T")

_TURN_S = 0.1


@dataclass(frozen=True, slots=True)
class Seen:
    """A message, and when it arrived, monotonic seconds."""

    at_s: float
    message: AnyMessage

    @property
    def camera(self) -> str:
        """Which camera it is about."""
        return self.message.camera

    @property
    def captured_s(self) -> float | None:
        """When its frame was grabbed, monotonic seconds; None if it is about none."""
        return None if isinstance(self.message, StateMessage) else self.message.t_mono_ns / 1e9

    @property
    def label(self) -> str:
        """Its label; empty if it is about no frame."""
        return "" if isinstance(self.message, StateMessage) else self.message.label


class Watch:
    """Listens in a thread of its own, and keeps what it heard since the last `forget`.

    Attributes:
        last: the newest score message of each camera.
        state: the newest state of each camera, from whatever said it.
        missed: messages that were lost on the way.
        frames: numbers of all frames of the camera `whole`.
    """

    def __init__(self, url: str, whole: str) -> None:
        """Connect; `whole` names the camera of which no frame may be lost."""
        self.last: dict[str, Seen] = {}
        self.state: dict[str, str] = {}
        self.missed = 0
        self.frames: list[int] = []
        self._whole = whole
        self._seen: list[Seen] = []
        self._news = threading.Condition()
        self._over = False
        self._subscriber = Subscriber(url)
        self._thread = threading.Thread(target=self._run, name="watch")
        self._thread.start()

    def wait(self, look: Callable[[], T], timeout_s: float) -> T:
        """Look after every message, and now and then, until there is something; give what was found last."""
        end_s = time.monotonic() + timeout_s
        while not (found := look()) and time.monotonic() < end_s:
            with self._news:
                self._news.wait(_TURN_S)
        return found

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        self.wait(lambda: False, seconds)

    def since(self, begin_s: float, camera: str | None = None) -> list[Seen]:
        """Return what arrived from then on, about one camera or all."""
        with self._news:
            seen = self._seen[bisect.bisect_left(self._seen, begin_s, key=lambda one: one.at_s) :]
        return [one for one in seen if camera in {None, one.camera}]

    def forget(self) -> None:
        """Forget all that was heard."""
        with self._news:
            self._seen.clear()

    def close(self) -> None:
        """Listen no longer."""
        self._over = True
        self._thread.join()
        self._subscriber.close()

    def _run(self) -> None:
        while not self._over:
            received = self._subscriber.receive(_TURN_S)
            if received is not None:
                with self._news:
                    self.missed += received.missed
                    self._take(Seen(time.monotonic(), received.message))
                    self._news.notify_all()

    def _take(self, seen: Seen) -> None:
        self._seen.append(seen)
        if not isinstance(seen.message, AlertMessage):
            self.state[seen.camera] = seen.message.state
        if isinstance(seen.message, ScoreMessage):
            self.last[seen.camera] = seen
            if seen.camera == self._whole:
                self.frames.append(seen.message.frame_id)
