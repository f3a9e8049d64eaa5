"""A device that does nothing but talk: the runtime's own socket, journal and control, and scores that are made up.

    python -m tests.programs.bench.talker FOLDER

It publishes 1,000 scores a second at FOLDER/events, and now and then an alert; after SIGUSR1 no more alerts.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from contextlib import ExitStack
from queue import Empty, SimpleQueue
from typing import Any
from unittest.mock import Mock

from edge_config.settings.parse import parse
from runtime.alerts.monitored_camera import MonitoredCamera
from runtime.app.answer_requests import Requests
from runtime.app.bundle_reloads import BundleReloads
from runtime.app.channel import Channel
from runtime.events import Asked
from runtime.frame import BundleInfo, Frame, Result
from runtime.journal.journal_thread import Written
from runtime.messaging.sockets import open_wire
from runtime.monitoring.metrics import Metrics
from tests.support.fakes.parts import EVERY_RUN

RATE = 1000.0
ALERT_EVERY, ALERT_FRAMES = 200, 20
"""One alert in so many frames, and so many of them it lasts."""

HIGH_WATER_MARK = 500
"""Half a second of messages: a subscriber that is stopped misses some."""


def main(folder: str) -> None:
    """Talk until killed."""
    quiet = threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: quiet.set())
    inbox: SimpleQueue[Any] = SimpleQueue()
    tree = {
        "bundle": "none",
        "cameras": {"cam1": {"source": 0}},
        "events": {"bind": f"ipc://{folder}/events", "high_water_mark": HIGH_WATER_MARK, "heartbeat_s": 0.5},
        "control": {"bind": f"ipc://{folder}/control"},
        "journal": {"path": f"{folder}/journal.sqlite"},
    }
    with ExitStack() as stack:
        wire = open_wire(parse(tree), inbox.put, stack)
        camera = MonitoredCamera("cam1", wire.outbox, EVERY_RUN)
        camera.serve(BundleInfo("0" * 64, "none", 5.0, 0.01))
        camera.status.connect("live", "delivers pictures")
        channels, metrics = {"cam1": Channel(Mock(live=True), camera, 0, 0.0)}, Metrics()
        bundles = BundleReloads(channels, Mock(), wire.control, metrics, Mock())
        requests = Requests(channels, wire, metrics, bundles, dict)
        began_s, number, beat_s = time.monotonic(), 0, 0.0
        while True:
            number += 1
            strange = number % ALERT_EVERY < ALERT_FRAMES and not quiet.is_set()
            now_s = time.monotonic()
            frame = Frame(None, number, time.time_ns(), round(now_s * 1e9))
            camera.publish(frame, Result(value=9.0 if strange else 1.0, peak_xy=(1, 2)))
            if now_s > beat_s:
                beat_s = now_s + wire.outbox.heartbeat_s
                camera.messages.send("health")
            _serve(inbox, began_s + number / RATE, wire.outbox.written, requests.handle)
            wire.outbox.turn()


def _serve(inbox: SimpleQueue[Any], until_s: float, written: Any, answer: Any) -> None:
    """Handle events until the next frame is due; what is there also where it is due already, as on a busy machine."""
    while True:
        try:
            event = inbox.get(timeout=max(0.0, until_s - time.monotonic()))
        except Empty:
            return
        if isinstance(event, Written):
            written(event.entries)
        elif isinstance(event, Asked):
            answer(event)


if __name__ == "__main__":
    main(sys.argv[1])
