"""Alerts of the real runtime to a subscriber that acknowledges, while both are killed again and again."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.programs.bench.consumer import lines
from tests.support.fakes.network import NetworkCamera, network_camera
from tests.support.processes import DEVICE
from tests.support.tiny import make_bundle

CAMERAS = 4

BLINK_S = 0.12
"""An object is there for so long, and then not: some frames each."""

PATIENCE_S = 120.0
"""What is not delivered after this time never will be."""

CALM_S = (0.3, 2.5)
"""The subscriber is left alone for so long, at least and at most, between two blows."""

STOPPED_S = (0.1, 3.0)
"""So long it is stopped."""

_QUICK = {"alerts": {"min_frames": 1, "min_ms": 0, "merge_ms": 0}, "reconnect_min_s": 0.01, "reconnect_max_s": 0.1}


@dataclass(frozen=True, slots=True)
class Storm:
    """What came of it.

    Attributes:
        alerts: in the journal.
        missing: of these, not all messages of them reached the subscriber.
        doubled: messages that it was given twice.
        unended: alerts in the journal without an end.
        restarts: of the runtime.
        killed, stopped: so often the subscriber was.
        replayed: share of the messages that had to be replayed.
    """

    alerts: int
    missing: int
    doubled: int
    unended: int
    restarts: int
    killed: int
    stopped: int
    replayed: float


def storm(folder: Path, alerts: int, restarts: int, chance: Random) -> Storm:
    """Raise so many alerts, kill the runtime so often on the way, and see that all arrive once."""
    journal, got = folder / "journal.sqlite", folder / "got.tsv"
    with ExitStack() as stack:
        cameras = [stack.enter_context(network_camera()) for _ in range(CAMERAS)]
        config = write_settings(folder, journal, cameras)
        consumer = stack.enter_context(tormented(folder, got, Random(chance.random())))  # noqa: S311 - no secret
        with blinking(cameras):
            for number in range(1, restarts + 1):
                with running(config) as device:
                    wait(lambda wanted=alerts * number // (restarts + 1): count(journal) >= wanted, "raised")
                    time.sleep(chance.uniform(0, BLINK_S))  # at any instant, and not with an alert
                    device.kill()
            device = stack.enter_context(running(config))
            wait(lambda: count(journal) >= alerts, "raised")
        consumer.leave_alone()
        wait(lambda: not unended(journal), "ended")
        wait(lambda: keys(journal) <= {line.key for line in lines(got)}, "delivered")
        device.terminate()
        device.wait(PATIENCE_S)
    return judge(journal, got, restarts, consumer.told)


def write_settings(folder: Path, journal: Path, cameras: Sequence[NetworkCamera]) -> Path:
    """Write the settings of a device with these cameras, at addresses that last over its restarts."""
    bundle = make_bundle(folder / "tiny.bundle")
    settings = {
        "bundle": str(bundle),
        "cameras": {f"cam{number}": {"source": camera.url, **_QUICK} for number, camera in enumerate(cameras)},
        "events": {"bind": f"ipc://{folder}/events", "heartbeat_s": 0.5},
        "control": {"bind": f"ipc://{folder}/control"},
        "metrics": {"bind": "127.0.0.1:0"},
        "degrade": {"thermal_root": str(folder / "no-thermal-zones"), "least_memory_mb": 0},
        "journal": {"path": str(journal)},
    }
    path = folder / "device.yaml"
    path.write_text(json.dumps(settings))  # JSON is YAML
    return path


@contextmanager
def running(config: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the device; it is gone when the block ends."""
    with (config.parent / "device.log").open("ab") as log:
        process = subprocess.Popen([*DEVICE, "run", "--config", str(config)], stderr=log, stdout=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def blinking(cameras: Sequence[NetworkCamera]) -> Iterator[None]:
    """Have objects come and go before the cameras, until the block ends."""
    over = threading.Event()

    def blink() -> None:
        while not over.wait(BLINK_S):
            for camera in cameras:
                (camera.strange.clear if camera.strange.is_set() else camera.strange.set)()

    thread = threading.Thread(target=blink)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        for camera in cameras:
            camera.strange.clear()


class Tormented:
    """A subscriber that is killed, stopped and started again.

    Attributes:
        told: how often what was done to it.
    """

    def __init__(self, start: Callable[[], subprocess.Popen[bytes]], chance: Random) -> None:
        self.told: Counter[str] = Counter()
        self._start = start
        self._chance = chance
        self._enough = threading.Event()
        self._process = start()
        self._thread = threading.Thread(target=self._torment)
        self._thread.start()

    def leave_alone(self) -> None:
        """Let it run from now on."""
        self._enough.set()
        self._thread.join()

    def end(self) -> None:
        """Let it go."""
        self.leave_alone()
        self._process.kill()
        self._process.wait()

    def _torment(self) -> None:
        while not self._enough.wait(self._chance.uniform(*CALM_S)):
            if self._chance.random() < 0.5:
                self.told["killed"] += 1
                self._process.kill()
                self._process.wait()
                self._enough.wait(self._chance.uniform(0, 1))
                self._process = self._start()
            else:
                self.told["stopped"] += 1
                self._process.send_signal(signal.SIGSTOP)
                self._enough.wait(self._chance.uniform(*STOPPED_S))
                self._process.send_signal(signal.SIGCONT)


@contextmanager
def tormented(folder: Path, got: Path, chance: Random) -> Iterator[Tormented]:
    """Have a subscriber, and torment it, until the block ends."""
    module = (
        "-m",
        "tests.programs.bench.consumer",
        f"ipc://{folder}/events",
        f"ipc://{folder}/control",
        "storm",
        str(got),
    )

    def start() -> subprocess.Popen[bytes]:
        with (folder / "consumer.log").open("ab") as log:
            return subprocess.Popen([sys.executable, *module], stderr=log)

    consumer = Tormented(start, chance)
    try:
        yield consumer
    finally:
        consumer.end()


def wait(done: Callable[[], bool], what: str) -> None:
    """Wait until something is so.

    Raises:
        TimeoutError: it never was.
    """
    end_s = time.monotonic() + PATIENCE_S
    while not done():
        if time.monotonic() > end_s:
            raise TimeoutError(f"not {what} after {PATIENCE_S:g} s")
        time.sleep(0.1)


def judge(journal: Path, got: Path, restarts: int, told: Counter[str]) -> Storm:
    """Compare what the subscriber was given with the journal."""
    alerts = [line for line in lines(got) if line.alert_id]
    given = Counter(line.key for line in alerts)
    wanted = keys(journal)
    return Storm(
        alerts=count(journal),
        missing=len({alert for key, alert in _rows(journal) if key not in given}),
        doubled=sum(times - 1 for times in given.values()) + len(given.keys() - wanted),
        unended=unended(journal),
        restarts=restarts,
        killed=told["killed"],
        stopped=told["stopped"],
        replayed=sum(line.origin == "replay" for line in alerts) / max(1, len(alerts)),
    )


def count(journal: Path) -> int:
    """Count the alerts in a journal."""
    return len({alert for _, alert in _rows(journal)})


def unended(journal: Path) -> int:
    """Count the alerts without an end."""
    return len(
        _ask(journal, "SELECT alert_id FROM entries WHERE kind = 'alert' GROUP BY 1 HAVING MAX(phase = 'end') = 0")
    )


def keys(journal: Path) -> set[str]:
    """Return the keys of all messages of alerts."""
    return {key for key, _ in _rows(journal)}


def _rows(journal: Path) -> list[tuple[str, str]]:
    return _ask(journal, "SELECT topic || epoch || '/' || seq, alert_id FROM entries WHERE kind = 'alert'")


def _ask(journal: Path, question: str) -> list[tuple[str, ...]]:
    """Ask the journal of a device that has it open; it may be so new that there is nothing in it."""
    if not journal.exists():
        return []
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as db:
        there = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'entries'").fetchone()
        return db.execute(question).fetchall() if there else []
