"""Start the whole pipeline from settings, and shut it down."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import structlog

from edge_config.bundle import files, manifest
from edge_config.errors import BundleError
from edge_config.settings import sections
from edge_config.settings.device import Settings
from runtime.alerts.camera_state import Watched
from runtime.alerts.log import Chronicle
from runtime.app.settings_reload import Rereading
from runtime.camera.address import redact
from runtime.camera.feed import Feed
from runtime.clips.plan import ClipPlan
from runtime.events import Renew, Stop
from runtime.inference.engine import Engine
from runtime.inference.protocol import View
from runtime.messaging.wire import Wire, bind, open_wire
from runtime.monitoring.health import Health
from runtime.process.child import module
from runtime.process.log import set_up_logging
from runtime.process.signals import Termination

GRAB = module("runtime.camera.process")
"""Starts a capture process."""


def serve(
    settings: Settings,
    termination: Termination,
    grab: Sequence[str] = GRAB,
    *,
    read_again: Callable[[], Settings] | None = None,
) -> int:
    """Run the cameras until a signal comes, or all are recordings and over.

    Args:
        settings: of the device.
        termination: tells of signals.
        grab: starts a capture process.
        read_again: reads the settings once more, on SIGHUP; None: there is no file.

    Returns:
        The exit code.

    Raises:
        PatchedgeError: a bundle must not be served, an address cannot be bound, or a recording is not there.
    """
    set_up_logging()
    inbox: SimpleQueue[Any] = SimpleQueue()
    stop = threading.Event()
    with ExitStack() as stack:
        stack.callback(termination.done)
        clips = settings.clips
        depths = {name: _depth(path) for name, path in _bundles(settings).items()}
        engine = Engine(
            _bundles(settings),
            tell=inbox.put,
            threads=settings.threads,
            search=settings.search,
            trust=settings.trust,
            views=_views(settings),
            providers=settings.providers,
            affinity=settings.affinity,
        )
        feeds = {
            name: Feed(name, one, inbox.put, engine, grab, clips=clips, depth=depths[name])
            for name, one in settings.cameras.items()
        }
        engine.start()  # first of all, as loading takes longest
        stack.callback(engine.close)
        wire = open_wire(settings, inbox.put, stack)
        watched = {
            name: Watched(
                name,
                wire.outbox,
                camera.alerts,
                ClipPlan(name, clips, feeds[name]) if clips.folder else None,
                Chronicle(name),
            )
            for name, camera in settings.cameras.items()
        }
        stack.callback(_log_end, watched, feeds)
        stack.callback(_end, watched, stop)
        stack.callback(_close_feeds, feeds)
        run = _assemble(settings, stack, engine, feeds, watched, inbox, wire)
        termination.call(lambda: _stop(stop, inbox))
        rereading = None if read_again is None else Rereading(settings, read_again, inbox.put)
        termination.call_on_hup(lambda: _renew(inbox, rereading))
        run()
    return 0


def _assemble(
    settings: Settings,
    stack: ExitStack,
    engine: Engine,
    feeds: Mapping[str, Feed],
    watched: Mapping[str, Watched],
    inbox: SimpleQueue[Any],
    wire: Wire,
) -> Callable[[], None]:
    """Put the main loop and what stands beside it together; what needs closing goes on the stack."""
    from runtime.app.main_loop import Camera, Pipeline
    from runtime.app.oversight import Oversight
    from runtime.monitoring.http_server import HttpServer, Page
    from runtime.monitoring.metrics import (  # while the worker loads: prometheus-client takes its time
        CONTENT_TYPE,
        Metrics,
    )

    metrics, health = Metrics(settings.cameras), Health()
    at = {"device": settings.device}
    if settings.metrics.enabled:
        pages = {
            "/metrics": lambda: Page(metrics.text(), CONTENT_TYPE),
            "/healthz": health.alive_page,
            "/readyz": health.ready_page,
        }
        web = bind(settings.metrics, sections.Metrics(), "127.0.0.1:0", lambda at: HttpServer(at, pages))
        stack.callback(web.close)
        at["metrics"] = web.address
    stall_s = {name: camera.stall_ms / 1000 for name, camera in settings.cameras.items()}
    sources = {name: redact(str(camera.source)) for name, camera in settings.cameras.items()}
    running = {"events": wire.publisher.endpoint, "control": wire.control.endpoint, **at, "cameras": sources}
    oversight = Oversight(
        watched,
        feeds,
        stall_s,
        engine,
        wire,
        settings.degrade,
        metrics=metrics,
        health=health,
        running=running,
    )
    stack.callback(oversight.close)
    cameras = {
        name: Camera(feeds[name], watched[name], camera.max_age_ms * 1_000_000)
        for name, camera in settings.cameras.items()
    }
    wanted = settings.events.wait_subscribers
    return Pipeline(cameras, engine, inbox, oversight, lambda: wire.publisher.has_subscribers(wanted)).run


def _bundles(settings: Settings) -> dict[str, str]:
    return {name: camera.bundle or settings.bundle for name, camera in settings.cameras.items()}


def _depth(path: str) -> int:
    """Return how many bits of pictures of 16 bits a bundle uses.

    The worker looks at the bundle with more care; one that cannot be read is not served.
    """
    with suppress(BundleError):
        return manifest.decode(files.read_manifest(Path(path)), path).preprocessing.depth
    return manifest.FULL_DEPTH


def _views(settings: Settings) -> dict[str, View]:
    return {name: View.of(camera) for name, camera in settings.cameras.items()}


def _renew(inbox: SimpleQueue[Any], rereading: Rereading | None) -> None:
    inbox.put(Renew("SIGHUP"))
    if rereading is not None:
        rereading.begin()


def _stop(stop: threading.Event, inbox: SimpleQueue[Any]) -> None:
    stop.set()
    inbox.put(Stop())


def _close_feeds(feeds: Mapping[str, Feed]) -> None:
    """Tell all at first, so that none waits for another."""
    for feed in feeds.values():
        feed.stop()
    for feed in feeds.values():
        feed.close()


def _end(watched: Mapping[str, Watched], stop: threading.Event) -> None:
    """Tell subscribers that nothing more comes."""
    for camera in watched.values():
        if camera.state != "starting":
            camera.end("stopped" if stop.is_set() else "internal error", failed=not stop.is_set())


def _log_end(watched: Mapping[str, Watched], feeds: Mapping[str, Feed]) -> None:
    for name, camera in watched.items():
        if camera.state == "starting":
            continue  # nothing was ever said of it
        structlog.get_logger().info(
            "ended",
            camera=name,
            frames=camera.frames,
            not_scored=camera.undecodable,
            dropped=sum(feeds[name].dropped.values()),
            alerts=camera.alerts,
        )
