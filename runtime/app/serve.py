"""Start the whole pipeline from settings, and shut it down."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import structlog

from edge_config.bundle import files, manifest
from edge_config.errors import BundleError
from edge_config.settings import sections
from edge_config.settings.device import Settings
from edge_config.settings.settings_file import SettingsFile
from runtime.alerts.camera_log import CameraLog
from runtime.alerts.monitored_camera import MonitoredCamera
from runtime.alerts.preview_pace import PreviewPace
from runtime.app.beside.fleet_agent import AgentChild
from runtime.app.beside.page import PageChild, refuse_keys
from runtime.app.channel import Channel
from runtime.app.settings_reload import SettingsReload
from runtime.camera.address import redact
from runtime.camera.feed import Feed
from runtime.camera.supervisor import CAPTURE_PROCESS
from runtime.clips.plan import ClipPlan
from runtime.drift.saved import NAME as DRIFT
from runtime.drift.saved import DriftFile
from runtime.drift.watch import DriftWatch
from runtime.events import ReloadBundles, Stop
from runtime.frame import BundleInfo
from runtime.inference.bundle_paths import Origins
from runtime.inference.engine import Engine
from runtime.inference.protocol import ScoringOptions
from runtime.messaging.sockets import Wire, bind, open_wire
from runtime.monitoring.health import Health
from runtime.monitoring.systemd import Notifier
from runtime.process.log import set_up_logging
from runtime.process.log_ring import LogRing
from runtime.process.signals import Termination
from runtime.teaching.picture import learning_folder
from runtime.teaching.shared_pictures import SharedPictures
from runtime.teaching.teaching import Teaching
from runtime.versions.assemble import LearntBundles, make_keeper, open_shelves
from runtime.versions.lessons import TaughtPictures
from runtime.view import View

if TYPE_CHECKING:
    from runtime.app.answer_requests import ClosingPart, Requests


def serve(
    settings: Settings,
    termination: Termination,
    grab: Sequence[str] = CAPTURE_PROCESS,
    *,
    file: SettingsFile | None = None,
    page: str | None = None,
) -> int:
    """Run the cameras until a signal comes, or all are recordings and over.

    Args:
        settings: of the device.
        termination: reports signals.
        grab: starts a capture process.
        file: the settings file, which is read once more on SIGHUP, and changed on request; None: there is none.
        page: where the page is served beside; None: there is none.

    Returns:
        The exit code.

    Raises:
        PatchedgeError: a bundle must not be served, an address cannot be bound, or a recording is not there.
    """
    log = LogRing()
    set_up_logging(log)
    if page is not None:
        refuse_keys(settings)
    inbox: SimpleQueue[Any] = SimpleQueue()
    stop = threading.Event()
    with ExitStack() as stack:
        stack.callback(termination.done)
        learnt = open_shelves(settings, {name: one.bundle or settings.bundle for name, one in settings.cameras.items()})
        stack.callback(learnt.close)
        bundles = learnt.shelves.at_start()
        options = _options(settings, learnt.public_key)
        views = {name: View.of(camera) for name, camera in settings.cameras.items()}
        origins = Origins(learnt.shelves.root_of, learnt.shelves.instead_of)
        engine = Engine(bundles, inbox.put, options, views, origins=origins)
        pictures = SharedPictures(engine)
        feeds = {
            name: Feed(name, camera, inbox.put, pictures, grab, clips=settings.clips, depth=_depth(bundles[name]))
            for name, camera in settings.cameras.items()
        }
        engine.start()  # first of all, as loading takes longest
        stack.callback(engine.close)
        wire = open_wire(settings, inbox.put, stack)
        pace = PreviewPace(wire.publisher.previews)
        channels = {name: _channel(name, settings, feed, wire, pace) for name, feed in feeds.items()}
        stack.callback(_log_end, channels)
        stack.callback(_end, channels, stop)
        stack.callback(_close_feeds, feeds)
        teaching = Teaching(settings, channels, pictures, wire.control)
        stack.callback(teaching.close)
        run = _assemble(settings, stack, engine, channels, inbox, wire, learnt, teaching, file, log)
        if page is not None:
            beside = PageChild(settings, page, wire.publisher.endpoint, wire.control.endpoint)
            stack.callback(beside.close)
            termination.call(beside.stop)
        if settings.fleet is not None:
            agent = AgentChild(settings, wire.control.endpoint)
            stack.callback(agent.close)
            termination.call(agent.stop)
        termination.call(lambda: _stop(stop, inbox))
        reload = None if file is None else SettingsReload(settings, file.read, inbox.put)
        termination.call_on_hup(lambda: _reload(inbox, reload))
        run()
    return 0


def _channel(name: str, settings: Settings, feed: Feed, wire: Wire, pace: PreviewPace) -> Channel:
    camera = settings.cameras[name]
    films = ClipPlan(name, settings.clips, feed) if settings.clips.folder else None
    drift = DriftWatch(name, _drift_file(name, settings))
    monitored = MonitoredCamera(name, wire.outbox, camera.alerts, films, CameraLog(name), drift, pace)
    return Channel(feed, monitored, max_age_ns=camera.max_age_ms * 1_000_000, stall_s=camera.stall_ms / 1000)


def _drift_file(name: str, settings: Settings) -> DriftFile | None:
    """Return where the drift of a camera is kept; None where nothing is."""
    try:
        return DriftFile(learning_folder(settings) / name / DRIFT)
    except OSError as error:
        structlog.get_logger().warning(
            "a restart forgets drift", camera=name, reason=f"no state folder: {error.strerror}"
        )
        return None


def _assemble(
    settings: Settings,
    stack: ExitStack,
    engine: Engine,
    channels: Mapping[str, Channel],
    inbox: SimpleQueue[Any],
    wire: Wire,
    learnt: LearntBundles,
    teaching: Teaching,
    file: SettingsFile | None,
    log: LogRing,
) -> Callable[[], None]:
    """Return the main loop with all its parts; what needs closing goes on the stack."""
    # While the worker loads: prometheus-client takes its time.
    from runtime.app.answer_requests import Requests
    from runtime.app.bundle_reloads import BundleReloads
    from runtime.app.burn_ins import BurnIns
    from runtime.app.candidates.assemble import make_candidates
    from runtime.app.clip_requests import ClipRequests
    from runtime.app.configure.change_file import ChangeFile
    from runtime.app.configure.kept_changes import KeptChanges
    from runtime.app.configure.settings_requests import SettingsRequests
    from runtime.app.inspect_requests import InspectRequests
    from runtime.app.main_loop import MainLoop
    from runtime.app.monitor import Monitor
    from runtime.app.upkeep.doctor_run import DoctorRun
    from runtime.app.upkeep.upkeep_requests import UpkeepRequests
    from runtime.monitoring.http_server import HttpServer, Page
    from runtime.monitoring.metrics import CONTENT_TYPE, Metrics

    metrics, health, notifier = Metrics(settings.cameras), Health(), Notifier()
    at = {"device": settings.device}
    if settings.metrics.enabled:
        pages = {
            "/metrics": lambda: Page(metrics.text(), CONTENT_TYPE),
            "/healthz": health.alive_page,
            "/readyz": health.ready_page,
        }
        web = bind(settings.metrics, sections.MetricsSettings(), "127.0.0.1:0", lambda at: HttpServer(at, pages))
        stack.callback(web.close)
        at["metrics"] = web.address
    sources = {name: redact(str(camera.source)) for name, camera in settings.cameras.items()}
    running = {"events": wire.publisher.endpoint, "control": wire.control.endpoint, **at, "cameras": sources}
    monitor = Monitor(
        channels, wire, settings.degrade, metrics=metrics, health=health, notifier=notifier, running=running
    )
    stack.callback(monitor.close)
    serving: Callable[[str], BundleInfo] = lambda name: channels[name].camera.bundle  # noqa: E731
    versions = make_keeper(settings, learnt, engine, wire.control, serving, TaughtPictures(teaching), inbox.put)
    stack.callback(versions.close)
    bundles = BundleReloads(channels, engine, wire.control, metrics, notifier, versions)
    burn_ins = BurnIns(channels, settings, wire.control, inbox.put)
    stack.callback(burn_ins.close)
    monitor.also(burn_ins.status)
    requests = Requests(channels, wire, metrics, bundles, versions, monitor.status, teaching)
    requests.add(burn_ins)
    requests.add(beside := make_candidates(settings, channels, wire.control, engine, versions))
    monitor.also(beside.status)
    _add(requests, stack, ClipRequests(settings.clips.folder, wire.control))
    change_file = ChangeFile(file, KeptChanges(settings.device), inbox.put)
    sockets = wire.control, wire.recorder
    _add(requests, stack, SettingsRequests(channels, settings.cameras, engine.views, change_file, *sockets))
    told = log, wire.publisher.epoch, metrics.text, CONTENT_TYPE, DoctorRun(settings)
    served = lambda: (settings, {name: one.camera.bundle.path for name, one in channels.items()})  # noqa: E731
    _add(requests, stack, UpkeepRequests(wire.control, *told, served))
    _add(requests, stack, InspectRequests(channels, wire.control, engine))
    wanted = settings.events.wait_subscribers
    may_start = partial(wire.publisher.has_subscribers, wanted)
    return MainLoop(channels, engine, inbox, wire.outbox, monitor, requests, may_start).run


def _add(requests: Requests, stack: ExitStack, part: ClosingPart) -> None:
    """Have a part answer its own requests, and be closed at the end."""
    requests.add(part)
    stack.callback(part.close)


def _options(settings: Settings, device_key: str) -> ScoringOptions:
    cores = tuple(settings.affinity)
    return ScoringOptions(settings.threads, settings.trust, settings.providers, cores, device_key, settings.max_batch)


def _depth(path: str) -> int:
    """Return how many bits of pictures of 16 bits a bundle uses.

    The worker looks at the bundle with more care; one that cannot be read is not served.
    """
    with suppress(BundleError):
        return manifest.decode(files.read_manifest(Path(path)), path).preprocessing.depth
    return manifest.FULL_DEPTH


def _reload(inbox: SimpleQueue[Any], settings: SettingsReload | None) -> None:
    inbox.put(ReloadBundles("SIGHUP"))
    if settings is not None:
        settings.begin()


def _stop(stop: threading.Event, inbox: SimpleQueue[Any]) -> None:
    stop.set()
    inbox.put(Stop())


def _close_feeds(feeds: Mapping[str, Feed]) -> None:
    """Stop all before any is waited for."""
    for feed in feeds.values():
        feed.stop()
    for feed in feeds.values():
        feed.close()


def _end(channels: Mapping[str, Channel], stop: threading.Event) -> None:
    """Publish the end of each camera to subscribers."""
    for channel in channels.values():
        channel.camera.drift.close()
        if channel.camera.status.state != "starting":
            channel.camera.end("stopped" if stop.is_set() else "internal error", failed=not stop.is_set())


def _log_end(channels: Mapping[str, Channel]) -> None:
    for name, channel in channels.items():
        camera = channel.camera
        if camera.status.state == "starting":
            continue  # nothing was ever said of it
        structlog.get_logger().info(
            "ended",
            camera=name,
            frames=camera.frames,
            not_scored=camera.undecodable,
            dropped=sum(channel.feed.dropped.values()),
            alerts=camera.alerts,
        )
