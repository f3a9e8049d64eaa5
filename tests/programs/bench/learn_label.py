"""A label appears on every frame of a belt: how long until a device that is taught is silent, and what does it miss?

    python -m tests.programs.bench.learn_label WORK [--fps 25]

The way of a person, by the verbs: a device of the demo's bundle sees the belt with a label of 40 pixels, and an alert
begins that does not end. It is marked as false, twenty frames are taught and accepted, and the device learns on. Then
the clip with its six objects passes, with the label. The pictures and the bundle are kept in WORK.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from edge_config.wire.messages import AlertMessage
from export.demo import clip
from export.demo.camera import pictures_of
from export.demo.play import _LEARN_OPTIONS
from runtime.client.subscriber import Subscriber
from tests.programs.bench.learn_on import made, made_bundle, with_label
from tests.programs.bench.played_camera import PlayedCamera
from tests.support.fakes.http import served
from tests.support.processes import DEVICE, started

EMPTY = 145
"""Frames of the clip before the first object."""

QUIET_S = 8.0
"""Without an alert the device is silent: the empty belt has passed once."""

MAX_S = 60.0
"""From the request to silence."""

SLACK = 1.0
"""Seconds by which an alert may begin before or end after an object: network, merging and grid of time."""

GIVE_UP_S = 600.0


class Belt(PlayedCamera):
    """The empty belt again and again, until the clip is asked for.

    Attributes:
        film: the clip.
        began_s: when the clip began, monotonic; None before.
    """

    def __init__(self, film: list[bytes], fps: float) -> None:
        super().__init__(film[:EMPTY], fps)
        self.film = film
        self.began_s: float | None = None
        self.asked = False

    def shown(self) -> Iterator[bytes]:
        """Yield the empty belt; once it is asked for, the clip by the clock, and the empty belt after it."""
        for empty in super().shown():
            if self.asked and self.began_s is None:
                self.began_s = time.monotonic()
            at = len(self.film) if self.began_s is None else int((time.monotonic() - self.began_s) / self.every_s)
            yield self.film[at] if at < len(self.film) else empty


class Listener:
    """The messages of the device, by the time at which they came."""

    def __init__(self, subscriber: Subscriber) -> None:
        self._subscriber = subscriber
        self.alerts: dict[str, list[float]] = {}  # id -> first and last time
        self.alert_s = time.monotonic()  # when an alert was open last
        self._open: set[str] = set()

    def until(self, reached: Callable[[], bool]) -> None:
        """Listen until something is reached."""
        end = time.monotonic() + GIVE_UP_S
        while not reached():
            assert time.monotonic() < end, "gave up"
            received = self._subscriber.receive(0.2)
            now, said = time.monotonic(), received.message if received else None
            if isinstance(said, AlertMessage):
                self.alerts.setdefault(said.alert_id, [now, now])[1] = now
                (self._open.discard if said.phase == "end" else self._open.add)(said.alert_id)
                self.alert_s = now
            self.alert_s = now if self._open else self.alert_s

    def close(self) -> None:
        """Count alerts that are open until now."""
        for alert in self._open:
            self.alerts[alert][1] = time.monotonic()

    def quiet_s(self) -> float:
        """Return for how long no alert was open."""
        return time.monotonic() - self.alert_s


def main() -> int:
    """Play it, print what happened, and return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--fps", type=float, default=25.0)
    args = parser.parse_args()
    plain, labelled = made(args.work / "belt", lambda image: image), made(args.work / "belt-labelled", with_label)
    bundle = made_bundle(args.work / "belt.bundle", sorted((plain / clip.NORMAL).iterdir()), *_LEARN_OPTIONS)
    film = pictures_of(labelled / clip.CLIP)
    seen: dict[str, list[int]] = {}
    for place in clip.read_truth(labelled / clip.TRUTH):
        seen.setdefault(place.name, []).append(place.frame)
    camera = Belt(film, args.fps)
    with tempfile.TemporaryDirectory(prefix="label-") as folder, served(camera, camera.unplugged):
        return play(Path(folder), bundle, camera, seen, args.fps)


def play(folder: Path, bundle: Path, camera: Belt, seen: dict[str, list[int]], fps: float) -> int:
    """Run the device, and teach it."""
    events, control = f"ipc://{folder}/events", f"ipc://{folder}/control"
    settings = {
        "bundle": str(bundle.absolute()),
        "cameras": {"belt": {"source": camera.url}},
        "events": {"bind": events},
        "control": {"bind": control},
        "metrics": {"enabled": False},
        "journal": {"path": str(folder / "journal.sqlite")},
        "learning": {"folder": str(folder / "learning")},
    }
    config = folder / "device.yaml"
    config.write_text(json.dumps(settings))  # JSON is YAML
    with (
        Subscriber(events, kinds=("alert",)) as subscriber,
        started(*DEVICE, "run", "--config", config),
    ):
        heard = Listener(subscriber)
        heard.until(lambda: bool(heard.alerts))
        print(f"{len(heard.alerts)} alert begins", flush=True)
        for words in (
            ("teach", "false-alarm", "belt"),
            ("teach", "start", "belt", "--count", "20"),
            ("teach", "accept", "belt", "--all"),
        ):
            _call(*words, control)
        began_s = time.monotonic()
        _call("learn-on", "belt", control)
        served_s = time.monotonic() - began_s
        heard.alert_s = time.monotonic()
        heard.until(lambda: heard.quiet_s() > QUIET_S)
        silent_s = heard.alert_s - began_s
        _call("versions", "belt", control)
        print(f"in service {served_s:.1f} s after the request, the alert ends after {silent_s:.1f} s", flush=True)
        heard.alerts.clear()
        camera.asked = True
        length_s = (len(camera.film) + 1) / fps + 2
        heard.until(lambda: camera.began_s is not None and time.monotonic() - camera.began_s > length_s)
        assert camera.began_s is not None
        heard.close()
        spans = [[(at - camera.began_s) * fps for at in span] for span in heard.alerts.values()]
    slack = SLACK * fps

    def meets(span: list[float], numbers: list[int]) -> bool:
        return span[0] - slack <= numbers[-1] and span[1] + slack >= numbers[0]

    hits = sum(any(meets(span, numbers) for span in spans) for numbers in seen.values())
    wrong = sum(not any(meets(span, numbers) for numbers in seen.values()) for span in spans)
    places = [f"{name} {numbers[0]} to {numbers[-1]}" for name, numbers in seen.items()]
    print(f"objects in frames {', '.join(places)}; alerts in {[[round(at) for at in span] for span in spans]}")
    print(f"then the clip: {hits} of {len(seen)} objects found, {wrong} false alerts")
    return int(silent_s > MAX_S or hits < len(seen) or wrong > 0)


def _call(*words: str) -> None:
    *verb, control = words
    done = subprocess.run([*DEVICE, *verb, "--control", control], check=False, capture_output=True, text=True)
    print(f"$ patchedge {' '.join(verb)}\n{done.stdout}{done.stderr}", flush=True)
    assert done.returncode == 0, done.returncode


if __name__ == "__main__":
    sys.exit(main())
