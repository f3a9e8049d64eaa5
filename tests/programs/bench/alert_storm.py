"""What an hour of a storm writes into the journal: the device's own alert logic, messages and journal, scores made up.

python -m tests.programs.bench.alert_storm [--hours 1]
"""

from __future__ import annotations

import argparse
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_config.settings.sections import Alerts, JournalSettings
from edge_config.wire import messages
from edge_config.wire.messages import AlertMessage, Part
from runtime.alerts.monitored_camera import MonitoredCamera
from runtime.frame import BundleInfo, Result, SharedFrame
from runtime.journal.database import Journal
from runtime.journal.entries import Entry
from runtime.scoring import heat_map
from tests.support.fakes.parts import EVERY_RUN

FPS = 25
START_NS = 1_700_000_000_000_000_000
JPEG_BYTES = 18_500
"""The office's frames, 360 x 240 pixels, quality 85."""

OLD_MAP_BYTES = 320 * 320 * 4
MEGABYTE = 1 << 20

Scores = Callable[[NDArray[np.float64], np.random.Generator], NDArray[np.float64]]
"""From times in seconds to scores, in thresholds."""

STORMS: dict[str, Scores] = {
    "noise around the threshold": lambda t, random: 1 + 0.05 * random.normal(size=len(t)),
    "flicker, 1 a second": lambda t, random: 1 + 0.05 * np.sin(2 * np.pi * t) + 0.02 * random.normal(size=len(t)),
    "an object every 4 s, for 2.6 s": lambda t, random: _passing(t, random, every_s=4.0, for_s=2.6),
    "an object every 4 s, for 0.5 s": lambda t, random: _passing(t, random, every_s=4.0, for_s=0.5),
    "a score that rises all the time": lambda t, _: 1 + t,
}


def _passing(t: NDArray[np.float64], random: np.random.Generator, every_s: float, for_s: float) -> NDArray[np.float64]:
    """Have objects pass, each strongest in the middle of its time."""
    inside = t % every_s
    score = 1.2 + 0.8 * np.sin(np.pi * np.clip(inside / for_s, 0, 1))
    return np.where(inside < for_s, score, 0.9) + 0.01 * random.normal(size=len(t))


class Kept:
    """Writes alerts into a journal, as the runtime does, and counts them."""

    def __init__(self, path: Path) -> None:
        self.journal = Journal(path, 1 << 40, JournalSettings().most_days)
        self.counted: Counter[str] = Counter()
        self.alerts: set[str] = set()
        self._entries: list[Entry] = []
        self._epoch = str(uuid.uuid4())
        self._topic = messages.topic("alert", "edge", "cam1")

    def send(self, kind: messages.Kind, camera: str, attached: Sequence[bytes] = (), **fields: Any) -> None:
        if kind != "alert":
            return
        self.counted[fields["phase"]] += 1
        self.alerts.add(fields["alert_id"])
        head = {"schema": messages.schema_name(kind), "device": "edge", "camera": camera, "epoch": self._epoch}
        seq, at_ns = self.counted.total(), fields["t_capture_ns"]
        said = AlertMessage(**head, seq=seq, t_publish_ns=at_ns, age_ms=12.3, **fields)
        body = messages.encode(self._topic, said)[1]
        entry = (kind, self._topic, self._epoch, seq, at_ns, body, tuple(attached), said.alert_id, said.phase)
        self._entries.append(Entry(*entry))
        if len(self._entries) == 16:  # as where the disk is busy
            self.flush()

    def flush(self) -> None:
        """Write what is left."""
        self.journal.write(self._entries)
        self._entries = []


def storm(scores: NDArray[np.float64], alerts: Alerts, parts: dict[str, tuple[Part, bytes]], folder: Path) -> str:
    """Have a camera see these scores, and say what the journal holds then."""
    path = folder / f"{uuid.uuid4()}.sqlite"
    kept = Kept(path)
    camera = MonitoredCamera("cam1", kept, alerts)
    camera.serve(BundleInfo("0" * 64, "none", 1.0, 0.01))
    camera.status.connect("live", "delivers pictures")
    what, along = tuple(part for part, _ in parts.values()), tuple(data for _, data in parts.values())
    boxes = tuple((120 + number, 80, 40, 56) for number in range(4))
    for number, score in enumerate(scores, start=1):
        at_ns = round(number / FPS * 1e9)
        frame = SharedFrame(1, 0, (240, 360), number, START_NS + at_ns, at_ns)
        strange = score > 1
        result = Result(float(score), peak_xy=(140, 99), boxes=boxes if strange else (), parts=what if strange else ())
        camera.publish(frame, result, along if strange else ())
    camera.end("over")
    kept.flush()
    kept.journal.close()
    size = sum(file.stat().st_size for file in folder.glob(f"{path.name}*"))
    return f"{len(kept.alerts):6} alerts {kept.counted.total():6} messages {size / MEGABYTE:8.2f} MiB"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=1.0)
    hours = parser.parse_args().hours
    random = np.random.default_rng(0)
    at_s = np.arange(round(hours * 3600 * FPS)) / FPS
    jpeg = Part(name="jpeg", media_type="image/jpeg"), random.bytes(JPEG_BYTES)
    heat = heat_map.encode(random.random((40, 40), dtype=np.float32) * 20, (0, 0, 360, 240))
    old = Part(name="heat_map", media_type="application/octet-stream", dtype="float32", shape=(320, 320))
    both = {"jpeg": jpeg, "heat_map": heat}
    before = {"jpeg": jpeg, "heat_map": (old, random.bytes(OLD_MAP_BYTES))}
    tried: dict[str, tuple[Alerts, dict[str, tuple[Part, bytes]], float]] = {
        "defaults, nothing attached": (Alerts(), {}, 1.0),
        "defaults, picture and map": (Alerts(), both, 1.0),
        "every run of frames, float32 map": (EVERY_RUN, before, 1 / 60),  # of an hour it would be 12 GB
    }
    for name, make in STORMS.items():
        for what, (alerts, parts, share) in tried.items():
            with tempfile.TemporaryDirectory() as folder:
                scores = make(at_s[: round(len(at_s) * share)], np.random.default_rng(1))
                said = storm(scores, alerts, parts, Path(folder))
                print(f"{name:32} {what:34} {hours * share:6.3f} h {said}", flush=True)


if __name__ == "__main__":
    main()
