"""Run the demo as a user would: learn, run and watch in separate processes; then check what was published."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from edge_config.errors import PatchedgeError
from edge_config.saving import put
from edge_config.wire.messages import AlertMessage, AnyMessage, ScoreMessage, decode
from export.demo import clip
from export.demo.clip import Sighting
from export.demo.picture import draw
from export.demo.show import BUNDLE, write_settings
from runtime.learning.progress import bar

MESSAGES, PICTURE = "messages.jsonl", "demo.png"

_DEVICE = (sys.executable, "-m", "runtime.cli.main")
# Gravel looks alike everywhere, so few patches will do; half of the pictures are held out to promise one false alarm in
# 200 frames.
_LEARN_OPTIONS = ("--max-images", "400", "--coreset", "2000", "--hold-out", "0.5", "--alpha", "0.005")

_END_S = 30  # for processes that have nothing left to do


@dataclass(frozen=True, slots=True)
class Span:
    """An alert from its first frame to its last."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the demo came to.

    Attributes:
        scores: one message a frame.
        alerts: the alerts that were raised.
        found: objects that an alert overlapped.
        objects: objects that came by.
        false_alerts: alerts that no object overlapped.
    """

    scores: list[ScoreMessage]
    alerts: list[Span]
    found: int
    objects: int
    false_alerts: int

    @property
    def good(self) -> bool:
        """Every object was found and no alert was false."""
        return self.found == self.objects and not self.false_alerts

    def line(self) -> str:
        """Write the line that the demo ends with."""
        p50 = float(np.median([score.age_ms for score in self.scores]))
        return (
            f"demo: {len(self.scores)} frames, objects found {self.found} of {self.objects}, "
            f"false alerts {self.false_alerts}, p50 {p50:.1f} ms"
        )


def play(folder: Path) -> Verdict:
    """Run the whole way over the clip in `folder`; draw demo.png and write device.yaml there.

    Raises:
        PatchedgeError: one of the processes failed.
    """
    learn = [*_DEVICE, "learn", "--images", str(folder / clip.NORMAL), "--out", str(folder / BUNDLE), "--force"]
    _call([*learn, *_LEARN_OPTIONS])
    truth = clip.read_truth(folder / clip.TRUTH)
    scores, alerts = _run_and_watch(folder)
    verdict = judge(scores, alerts, truth)
    draw(folder / PICTURE, folder / clip.CLIP, folder / BUNDLE, scores, truth)
    write_settings(folder)
    return verdict


def judge(scores: list[ScoreMessage], alerts: Iterable[AlertMessage], truth: list[Sighting]) -> Verdict:
    """Compare alerts with the frames in which objects can be seen."""
    spans: dict[str, Span] = {}
    for alert in alerts:
        first = spans[alert.alert_id].first if alert.alert_id in spans else alert.frame_id
        # An alert ends with the first normal frame; that one is no longer part of it.
        last = alert.frame_id - (alert.phase == "end" and alert.label == "normal")
        spans[alert.alert_id] = Span(first, last)
    seen: dict[str, set[int]] = {}
    for place in truth:
        seen.setdefault(place.name, set()).add(place.frame)
    alerted = {span: set(range(span.first, span.last + 1)) for span in spans.values()}
    return Verdict(
        scores=scores,
        alerts=list(spans.values()),
        found=sum(any(frames & during for during in alerted.values()) for frames in seen.values()),
        objects=len(seen),
        false_alerts=sum(not any(frames & during for frames in seen.values()) for during in alerted.values()),
    )


def _run_and_watch(folder: Path) -> tuple[list[ScoreMessage], list[AlertMessage]]:
    """Play the clip at the pace of a camera, and keep what a subscriber receives, in messages.jsonl too."""
    scores: list[ScoreMessage] = []
    alerts: list[AlertMessage] = []
    log: list[bytes] = []
    with tempfile.TemporaryDirectory() as sockets:
        endpoint = f"ipc://{sockets}/events"
        run = [*_DEVICE, "run", "--bundle", str(folder / BUNDLE), "--source", str(folder / clip.CLIP)]
        run += ["--camera", "belt", "--bind", endpoint, "--wait-subscribers", "1"]
        with (
            _start([*_DEVICE, "watch", endpoint, "--json"], stdout=subprocess.PIPE) as watch,
            _start(run, state=sockets) as device,
            bar("watch the belt", clip.FRAMES, "frame") as moving,
        ):
            for line in watch.stdout or ():
                log.append(line)
                message = _message(line)
                if isinstance(message, ScoreMessage):
                    scores.append(message)
                    moving(1)
                elif isinstance(message, AlertMessage):
                    alerts.append(message)
                elif message.state == "disconnected":
                    break
            watch.terminate()
            code = device.wait(_END_S)
            watch.wait(_END_S)
    put(folder / MESSAGES, b"".join(log))
    if code or not scores:
        raise PatchedgeError(f"patchedge run ended with exit code {code} after {len(scores)} frames")
    return scores, alerts


def _message(line: bytes) -> AnyMessage:
    shown = msgspec.json.decode(line)
    return decode([shown["topic"].encode(), msgspec.json.encode(shown["message"])])[1]


def _call(command: list[str]) -> None:
    with _start(command) as process:
        code = process.wait()
    if code:
        failed = PatchedgeError(f"`{shlex.join(command)}` ended with exit code {code}")
        failed.exit_code = code  # its own line says why
        raise failed


def _start(command: list[str], stdout: int | None = None, state: str = "") -> subprocess.Popen[bytes]:
    """Start a command; it keeps what outlives it in the folder `state`, if there is one."""
    print(f"$ {shlex.join(command)}", file=sys.stderr)
    kept = {"STATE_DIRECTORY": state} if state else {}
    return subprocess.Popen(command, stdout=stdout, env=os.environ | kept)
