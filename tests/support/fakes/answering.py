"""A device that does what it is told: publishes, journals, answers, and falls ill on command.

`Telling` is its logic, without sockets; `Device` puts it behind a real PUB and a real ROUTER socket. It keeps to the
contract of `edge_config/wire/requests.py`, with a list for a journal.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import zmq

from edge_config.wire import messages as message
from edge_config.wire import replies, requests
from edge_config.wire.candidates import OfCandidates
from edge_config.wire.messages import (
    AlertMessage,
    AnyMessage,
    HealthMessage,
    Kind,
    Part,
    Phase,
    ScoreMessage,
    State,
    StateMessage,
)
from edge_config.wire.replies import Acknowledged, CameraNow, Kept, KeptMessages, Now
from edge_config.wire.requests import Ack, After, Pending, Replay, ReportGap, Snapshot
from tests.support.fakes.candidates import ScriptedCandidates

START_NS = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000

OF_FRAME: dict[str, Any] = {
    "frame_id": 1,
    "t_capture_ns": START_NS,
    "t_mono_ns": 1,
    "age_ms": 1.0,
    "score": 9.0,
    "threshold": 3.0,
    "label": "anomalous",
    "peak_xy": (1, 2),
}


@dataclass(frozen=True)
class Entry:
    """A message in the journal, and its row there."""

    row: int
    message: AnyMessage
    topic: str
    frames: list[bytes]

    @property
    def key(self) -> str:
        """As `Received.key`."""
        return f"{self.topic}{self.message.epoch}/{self.message.seq}"


class Telling:
    """What the device has said, and its answers.

    Attributes:
        journal: all alerts and states, in their order; take some away to see what a client does.
        page: most messages of one reply.
        refusals: so many of the next requests are refused, as there are too many.
        unwritten: so many of the last messages were published before they had a row, as a snapshot says it.
        asked: requests so far, by name.
        acks: acknowledgements, in their order.
        gaps: messages reported missing, by topic.
        candidates: bundles that are loaded beside those in service, scripted.
    """

    def __init__(self, name: str = "edge", cameras: tuple[str, ...] = ("a", "b")) -> None:
        self.name = name
        self.cameras = cameras
        self.journal: list[Entry] = []
        self._written: list[Entry] = []
        self._first_rows: dict[str, int] = {}
        self.page = 1000
        self.refusals = 0
        self.has_journal = True
        self.unwritten = 0
        self.asked: Counter[str] = Counter()
        self.acks: list[Ack] = []
        self.gaps: Counter[str] = Counter()
        self.candidates = ScriptedCandidates()
        self.epochs: list[str] = []
        self._t_ns = START_NS
        self._acknowledged: dict[str, set[str]] = {}
        self.restart()

    @property
    def epoch(self) -> str:
        """Of the present start."""
        return self.epochs[-1]

    def replace_journal(self) -> None:
        """Begin a new journal, whose rows are smaller: the clock was set back."""
        self.journal.clear()
        self._written.clear()
        self._first_rows.clear()

    def restart(self) -> None:
        """Begin a new epoch."""
        self.epochs.append(f"epoch-{len(self.epochs) + 1}")
        self._seq: Counter[str] = Counter()
        self._states: dict[str, StateMessage] = {}
        self._open: dict[str, AlertMessage] = {}

    def state(self, camera: str, reason: str = "test", state: State = "live") -> list[bytes]:
        """Make and journal a state, and give its frames."""
        return self._make("state", camera, StateMessage, reason=reason, state=state)

    def alert(
        self, camera: str, alert_id: str, phase: Phase, parts: tuple[bytes, ...] = (), excess: float | None = None
    ) -> list[bytes]:
        """Make and journal an alert, and give its frames."""
        named = tuple(Part(name="jpeg", media_type="image/jpeg") for _ in parts)
        return self._make(
            "alert",
            camera,
            AlertMessage,
            parts,
            **OF_FRAME,
            alert_id=alert_id,
            phase=phase,
            peak_score=9.0,
            peak_excess=excess,
            peak_frame_id=1,
            parts=named,
        )

    def score(self, camera: str) -> list[bytes]:
        """Make a score, and give its frames."""
        return self._make("score", camera, ScoreMessage, **OF_FRAME)

    def health(self, camera: str, heartbeat_s: float = 5.0) -> list[bytes]:
        """Make a heartbeat, and give its frames."""
        heads = {f"{kind}_seq": self._seq[message.topic(kind, self.name, camera)] for kind in message.JOURNALED}
        return self._make("health", camera, HealthMessage, heartbeat_s=heartbeat_s, journal="on", **heads)

    def answer(self, body: bytes) -> list[bytes]:
        """Answer a request, as frames."""
        request = requests.decode_request(body)
        self.asked[type(request).__struct_config__.tag] += 1
        if self.refusals:
            self.refusals -= 1
            return [replies.encode_refusal(request.id, "too many requests; retry later")]
        if isinstance(request, Snapshot):
            return [replies.encode_reply(request.id, self._now(request.camera))]
        if isinstance(request, Replay | Pending | After):
            return self._page(request)
        if isinstance(request, Ack):
            return [replies.encode_reply(request.id, Acknowledged(known=self._acknowledge(request)))]
        if isinstance(request, OfCandidates):
            return [self.candidates.reply(request)]
        if isinstance(request, ReportGap):
            self.gaps[request.topic] += request.missed
        return [replies.encode_reply(request.id, {})]

    def keys(self, topic: str) -> list[str]:
        """Return the keys of what the journal holds of a topic."""
        return [entry.key for entry in self.journal if entry.topic == topic]

    def _make(
        self, kind: Kind, camera: str, type_: type[Any], binary: tuple[bytes, ...] = (), **fields: Any
    ) -> list[bytes]:
        topic = message.topic(kind, self.name, camera)
        self._seq[topic] += 1
        self._t_ns += SECOND_NS
        made = type_(
            schema=message.schema_name(kind),
            device=self.name,
            camera=camera,
            epoch=self.epoch,
            seq=self._seq[topic],
            t_publish_ns=self._t_ns,
            bundle="",
            **{"state": "live", **fields},
        )
        frames = message.encode(topic, made, binary)
        if kind in message.JOURNALED:
            self._written.append(Entry(len(self._written) + 1, made, topic, frames))
            self._first_rows.setdefault(self.epoch, len(self._written))
            self.journal.append(self._written[-1])
        if isinstance(made, StateMessage):
            self._states[camera] = made
        if isinstance(made, AlertMessage):
            self._open[camera] = made
            if made.phase == "end":
                del self._open[camera]
        return frames

    def _now(self, only: str | None) -> Now:
        cameras = {
            camera: CameraNow(
                state=self._states.get(camera),
                alert=self._open.get(camera),
                alert_seq=self._seq[message.topic("alert", self.name, camera)],
                state_seq=self._seq[message.topic("state", self.name, camera)],
            )
            for camera in self.cameras
            if only in {None, camera}
        }
        return Now(device=self.name, epoch=self.epoch, row=len(self._written) - self.unwritten, cameras=cameras)

    def _page(self, request: Replay | Pending | After) -> list[bytes]:
        if not self.has_journal:
            return [replies.encode_refusal(request.id, "there is no journal")]
        wanted, complete = self._wanted(request)
        page = wanted[: min(self.page, request.limit)]
        more = len(page) < len(wanted)
        messages = tuple(
            Kept(topic=entry.topic, message=msgspec.Raw(entry.frames[1]), parts=len(entry.frames) - 2, row=entry.row)
            for entry in page
        )
        at = page[-1].row if page else getattr(request, "after", 0)
        at = len(self._written) if isinstance(request, After) and not more else at
        epoch = max((first, epoch) for epoch, first in [("", 0), *self._first_rows.items()] if first <= at)[1]
        reply = KeptMessages(messages=messages, more=more, next=at, epoch=epoch, complete=complete)
        return [replies.encode_reply(request.id, reply), *(part for entry in page for part in entry.frames[2:])]

    def _wanted(self, request: Replay | Pending | After) -> tuple[list[Entry], bool]:
        """Return all that a request asks for, and whether nothing of it was thrown away."""
        if isinstance(request, Replay):
            return self._replay(request)
        if isinstance(request, Pending):
            done = self._acknowledged.setdefault(request.subscriber, set())
            alerts = [entry for entry in self.journal if isinstance(entry.message, AlertMessage)]
            return [entry for entry in alerts if entry.row > request.after and entry.key not in done], True
        is_ours = not request.epoch or request.epoch in self._first_rows
        row = max(request.row, self._first_rows.get(request.epoch, 1) - 1) if is_ours else 0
        wanted = [one for one in self._written if one.row > row and one.topic.startswith(request.topics or "")]
        kept = {one.row for one in self.journal}
        left = [one for one in wanted if one.row in kept]
        return left, is_ours and len(left) == len(wanted)

    def _replay(self, request: Replay) -> tuple[list[Entry], bool]:
        """Find what follows; where nothing of the epoch is in the topic, return all, as the real journal does."""
        of_topic = [entry for entry in self.journal if entry.topic == request.topic]
        of_epoch = [entry.message.seq for entry in of_topic if entry.message.epoch == request.epoch]
        if not of_epoch:
            return of_topic, not request.epoch
        begin = self.epochs.index(request.epoch), request.from_seq
        wanted = [entry for entry in of_topic if (self.epochs.index(entry.message.epoch), entry.message.seq) >= begin]
        return wanted, min(of_epoch) <= request.from_seq

    def _acknowledge(self, ack: Ack) -> bool:
        self.acks.append(ack)
        found = False
        covered = []
        for entry in self.journal:
            if isinstance(entry.message, AlertMessage) and entry.message.alert_id == ack.alert_id:
                covered.append(entry.key)
                if (entry.message.epoch, entry.message.seq) == (ack.epoch, ack.seq):
                    found = True
                    break
        self._acknowledged.setdefault(ack.subscriber, set()).update(covered if found else ())
        return found


class Device(Telling):
    """It on the network: publish with `say`, and tell it to fall ill.

    Attributes:
        silent: requests are taken in and not answered.
        events, control: the addresses to connect to.
    """

    def __init__(self, folder: Path, **options: Any) -> None:
        self.lock = threading.RLock()
        super().__init__(**options)
        self.silent = False
        self.events, self.control = f"ipc://{folder}/events", f"ipc://{folder}/control"
        self._context = zmq.Context()
        self._publisher = self._context.socket(zmq.XPUB)
        self._publisher.set(zmq.XPUB_VERBOSE, 1)  # tell every subscription, also one that another has already
        self._publisher.bind(self.events)
        self._router = self._context.socket(zmq.ROUTER)
        self._router.set(zmq.LINGER, 0)
        self._router.bind(self.control)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fake device", daemon=True)
        self._thread.start()

    def wait_subscribed(self, prefixes: Sequence[str], timeout_s: float = 10.0) -> None:
        """Return when somebody has subscribed to all of them."""
        awaited = {b"\x01" + prefix.encode() for prefix in prefixes}
        while awaited:
            assert self._publisher.poll(timeout_s * 1000), f"nobody subscribes to {awaited}"
            awaited.discard(self._publisher.recv())

    def say(self, frames: list[bytes], times: int = 1) -> None:
        """Send what was made; what is made and not said is lost on the way."""
        for _ in range(times):
            self._publisher.send_multipart(frames)

    def count(self, request: str) -> int:
        """Tell how often it was asked for something."""
        with self.lock:
            return self.asked[request]

    def close(self) -> None:
        """End."""
        self._over.set()
        self._thread.join()
        self._context.destroy(linger=0)

    def __enter__(self) -> Device:  # noqa: PYI034 - typing.Self needs Python 3.11
        """Return itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """End."""
        self.close()

    def _run(self) -> None:
        while not self._over.is_set():
            if self._router.poll(20):
                route, body = self._router.recv_multipart()
                if not self.silent:
                    with self.lock:
                        self._router.send_multipart([route, *self.answer(body)])
