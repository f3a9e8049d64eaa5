"""The parts of the runtime that its main loop talks to, as plain objects that a test looks into."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from edge_config.settings.sections import Alerts, Camera, DegradeSettings
from edge_config.settings.settings_file import SettingsFile
from edge_config.wire.messages import Part
from runtime.alerts.monitored_camera import MonitoredCamera
from runtime.alerts.preview_pace import PreviewPace
from runtime.app.answer_requests import Requests
from runtime.app.bundle_reloads import BundleReloads
from runtime.app.channel import Channel
from runtime.app.configure.change_file import ChangeFile
from runtime.app.configure.kept_changes import KeptChanges
from runtime.app.configure.settings_requests import SettingsRequests
from runtime.app.monitor import Monitor
from runtime.events import Asked, Previewed, Reviewed, ReviewRefused, Scored
from runtime.frame import BundleInfo, Result, SharedFrame, Wanted
from runtime.journal.audit_log import Order
from runtime.monitoring.health import Health
from runtime.monitoring.metrics import Metrics
from runtime.monitoring.systemd import Notifier
from runtime.view import View

NORMAL, STRANGE, THRESHOLD = 1.0, 9.0, 5.0
HOUR_NS = 3600 * 1_000_000_000
OLD = BundleInfo(
    "a" * 64, "/bundles/old", THRESHOLD, 0.01, "CPUExecutionProvider", ("CUDAExecutionProvider: not here",)
)
NEW = BundleInfo("b" * 64, "/bundles/new", 2 * THRESHOLD, 0.01)

EVERY_RUN = Alerts(min_frames=1, min_ms=0, merge_ms=0)
"""Every run of anomalous frames is an alert, from its first frame to the first quiet one."""

_slots = itertools.count()


def frame(frame_id: int, t_mono_ns: int | None = None, *, decoded: bool = True) -> SharedFrame:
    """Make a frame; by default it was grabbed now."""
    at_ns = time.monotonic_ns() if t_mono_ns is None else t_mono_ns
    return SharedFrame(1 if decoded else 0, next(_slots), (48, 64) if decoded else None, frame_id, 0, at_ns)


class Publisher:
    """Keeps what is sent: kind, camera and fields in one dictionary each."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.sent: dict[str, int] = {}

    def send(self, kind: str, camera: str, **fields: Any) -> None:
        self.messages.append({"kind": kind, "camera": camera, **fields})

    def of(self, kind: str, *names: str, camera: str | None = None) -> list[Any]:
        """Return these fields of the messages of a kind; of one field the bare values."""
        chosen = [m for m in self.messages if m["kind"] == kind and camera in {None, m["camera"]}]
        return [tuple(m[name] for name in names) if len(names) > 1 else m[names[0]] for m in chosen]


class Feed:
    """Gives the frames that a test puts into it; of a live source the newest only.

    Attributes:
        out: frames that were taken and not given back.
        returned: frames that were given back.
        every: as `slow_down` said.
        orders: to pause and to resume.
        open: pictures can be had; `shows` are those that were asked for.
    """

    def __init__(self, *frames: SharedFrame, live: bool = False) -> None:
        self.live = live
        self.started = self.paced = False
        self.depth = 16
        self.every = 1
        self.orders: list[str] = []
        self.pauses = 0
        self.open, self.shows = True, list[tuple[int, int, int]]()
        self.dropped = {"newer": 0, "no slot": 0, "degraded": 0}
        self.reconnects: dict[str, int] = {}
        self.clips: list[tuple[str, str, int | None, str]] = []
        self.waiting: list[SharedFrame] = []
        self.out: list[SharedFrame] = []
        self.returned: list[SharedFrame] = []
        for one in frames:
            self.put(one)

    def put(self, one: SharedFrame) -> None:
        if self.live and self.waiting:
            self.waiting.clear()
            self.dropped["newer"] += 1
        self.waiting.append(one)

    def start(self) -> None:
        assert not self.started
        self.started = True

    def peek(self) -> SharedFrame | None:
        return self.waiting[0] if self.waiting else None

    def take(self) -> SharedFrame | None:
        if not self.waiting:
            return None
        self.out.append(self.waiting.pop(0))
        return self.out[-1]

    def give_back(self, one: SharedFrame) -> None:
        self.out.remove(one)
        self.returned.append(one)

    def slow_down(self, every: int) -> None:
        self.every = every

    def pause(self) -> None:
        self.pauses += 1
        self.orders.append("pause")

    def resume(self) -> None:
        self.orders.append("resume")

    def show(self, number: int, width: int, quality: int) -> bool:
        self.shows.append((number, width, quality))
        return self.open

    def begin_clip(self, name: str, t_mono_ns: int | None = None, otherwise: str = "") -> bool:
        self.clips.append(("begin", name, t_mono_ns, otherwise))
        return True

    def end_clip(self, name: str, t_mono_ns: int | None = None, otherwise: str = "") -> None:
        self.clips.append(("end", name, t_mono_ns, otherwise))


class Engine:
    """Answers every frame at once, with what `judge` says of it; it has room until `most` frames are out.

    Attributes:
        submitted: camera and frame_id.
        wanted: of each of them.
        attached: what comes with every answer.
        reloads: camera and path, as they were asked for.
        serving: camera -> path.
    """

    def __init__(self, tell: Callable[[Any], None], feeds: Mapping[str, Feed], most: int = 1) -> None:
        self.submitted: list[tuple[str, int]] = []
        self.wanted: list[Wanted] = []
        self.attached: tuple[bytes, ...] = ()
        self.reloads: list[tuple[str | None, str | None]] = []
        self.serving = dict.fromkeys(feeds, OLD.path)
        self.judge: Callable[[SharedFrame], Result | None] = lambda _frame: Result(value=NORMAL, peak_xy=(3, 4))
        self.after_submit: Callable[[], None] = lambda: None
        self._tell = tell
        self._feeds = feeds
        self._most = most

    @property
    def room(self) -> int:
        return self._most - sum(len(feed.out) for feed in self._feeds.values())

    def submit(self, camera: str, one: SharedFrame, wanted: Wanted) -> None:
        assert one.hw is not None
        self.submitted.append((camera, one.frame_id))
        self.wanted.append(wanted)
        self._tell(Scored(camera, one, self.judge(one), "as the test wants it", self.attached))
        if wanted.preview:
            self._tell(Previewed(camera, one, (), (Part(name="jpeg", media_type="image/jpeg"),), (b"picture",), 0.001))
        self.after_submit()

    def reload(self, camera: str | None = None, path: str | None = None) -> set[str]:
        self.reloads.append((camera, path))
        return {path} if path else {self.serving[name] for name in ([camera] if camera else self.serving)}


class Views:
    """Takes every view, or refuses it for `problem`; answers when a test says so.

    Attributes:
        asked: camera, view and what was asked of it.
        problem: reason for a refusal.
        lost: the worker dies over it.
        there: there is a worker.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, View, dict[str, bool]]] = []
        self.problem, self.lost, self.there = "", False, True

    def review(self, camera: str, view: View, _frame_hw: tuple[int, int] | None, **how: bool) -> int | None:
        self.asked.append((camera, view, how))
        return len(self.asked) if self.there else None

    def answer(self, number: int | None = None) -> Reviewed | ReviewRefused:
        """Return what the worker says to a review, by default the last one."""
        number = number or len(self.asked)
        camera = self.asked[number - 1][0]
        if self.problem or self.lost:
            return ReviewRefused(number, camera, self.problem, lost=self.lost)
        return Reviewed(number, camera, replace(OLD, regions_of={camera: "settings"}))


class Control:
    """Keeps the answers: number of the request, whether it was done, and what was said."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bool, Any]] = []
        self.parts: list[bytes] = []
        self.refused: dict[str, int] = {}

    def reply(self, asked: Asked, payload: Any, parts: Sequence[bytes] = ()) -> None:
        self.answers.append((asked.number, True, payload))
        self.parts = list(parts)

    def refuse(self, asked: Asked, error: str) -> None:
        self.answers.append((asked.number, False, error))


class Outbox:
    """Keeps what was written down and finished."""

    def __init__(self) -> None:
        self.heartbeat_s = 5.0
        self.entries: list[Any] = []
        self.finished: list[Any] = []

    def turn(self) -> None:
        pass

    def written(self, entries: Iterable[Any]) -> None:
        self.entries += entries

    def finish(self, entries: Iterable[Any], reason: str) -> None:
        self.finished += [(entry, reason) for entry in entries]

    def now(self, cameras: Iterable[str]) -> dict[str, Any]:
        return {"now": list(cameras)}


class Wire:
    """Sockets and journal; `admit` cuts everybody off once `gone` is set."""

    def __init__(self, publisher: Publisher) -> None:
        self.publisher = publisher
        self.control = Control()
        self.outbox = Outbox()
        self.orders: list[Order] = []
        self.recorder = SimpleNamespace(state="on", reason="", note=self.orders.append)
        self.gone = False

    def admit(self) -> bool:
        return self.gone

    def refused(self) -> dict[str, dict[str, int]]:
        return {"control": self.control.refused}


class NoVersions:
    """Nothing was learnt.

    Attributes:
        roots: what `new_roots` returns.
    """

    def __init__(self) -> None:
        self.roots: dict[str, str] = {}

    def ready(self) -> None:
        pass

    def taken(self, _event: Any) -> None:
        pass

    def refused(self, _event: Any) -> None:
        pass

    def new_roots(self, _camera: str | None = None) -> dict[str, str]:
        return self.roots

    def turn(self) -> None:
        pass

    def give_way(self, *, busy: bool) -> None:
        pass

    def watched(self) -> list[str]:
        return []

    def assigned(self) -> frozenset[str]:
        return frozenset()

    def status(self) -> dict[str, Any]:
        return {}


class Clock:
    """Stands in a module's place of `time`, and goes on when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s

    def monotonic_ns(self) -> int:
        return round(self.now_s * 1e9)


class Parts:
    """Channels with fake feeds, and what the main loop really does with them, with fakes around.

    Attributes:
        viewed: cameras of which somebody wants previews.
    """

    def __init__(
        self,
        folder: Path,
        tell: Callable[[Any], None],
        feeds: Mapping[str, Feed],
        most: int = 1,
        file: SettingsFile | None = None,
    ) -> None:
        self.feeds = feeds
        self.viewed: set[str] = set()
        pace = PreviewPace(lambda camera: camera in self.viewed)
        self.publisher = Publisher()
        self.engine = Engine(tell, feeds, most)
        self.wire = Wire(self.publisher)
        self.control = self.wire.control
        self.sent = self.publisher.sent
        self.metrics = Metrics()
        self.health = Health()
        self.cameras = {name: MonitoredCamera(name, self.publisher, EVERY_RUN, previews=pace) for name in feeds}
        self.channels = {name: Channel(feed, self.cameras[name], HOUR_NS, 5.0) for name, feed in feeds.items()}
        self.thermal = folder / "thermal_zone0" / "temp"
        self.thermal.parent.mkdir(parents=True)
        notifier = Notifier()
        self.monitor = Monitor(
            self.channels,
            self.wire,
            DegradeSettings(thermal_root=str(folder), least_memory_mb=0),
            metrics=self.metrics,
            health=self.health,
            notifier=notifier,
            running={"device": "edge"},
        )
        self.versions = NoVersions()
        self.bundles = BundleReloads(self.channels, self.engine, self.control, self.metrics, notifier, self.versions)
        reloads = (self.metrics, self.bundles, self.versions)
        self.requests = Requests(self.channels, self.wire, *reloads, self.monitor.status)
        self.views = Views()
        sections = {name: Camera(source=0, alerts=EVERY_RUN) for name in feeds}
        told = self.wire.control, self.wire.recorder
        changes = ChangeFile(file, KeptChanges("edge"), tell)
        self.changing = SettingsRequests(self.channels, sections, self.views, changes, *told)
        self.requests.add(self.changing)

    def figure(self, line: str) -> bool:
        """Return whether the metrics hold this line."""
        return f"patchedge_{line}" in self.metrics.text().decode().splitlines()
