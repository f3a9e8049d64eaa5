"""Play the demo clip through `patchedge run`, listen from this machine, and compare what two processors published."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2

from edge_config.wire.messages import AlertMessage, ScoreMessage, StateMessage
from runtime.client.subscriber import Subscriber

SILENCE_S = 300.0
"""A run that publishes nothing for so long has failed; emulated, the start alone takes a minute."""

MOST = 1e-3
"""Relative difference of a score that is allowed: processors sum in other orders, and no threshold is that fine."""

ALL = sys.maxsize

_HEALTH_AFTER = 10  # frames
_END_S = 60.0


@dataclass(slots=True)
class Played:
    """What a run published: scores by frame, (frame, phase) where alerts begin and end; what the health check gave."""

    scores: dict[int, ScoreMessage] = field(default_factory=dict)
    alerts: list[tuple[int, str]] = field(default_factory=list)
    health: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A frame on both: scores, their relative difference, and whether labels and places are the same."""

    frame: int
    x86: float
    arm64: float
    label: str
    same_label: bool
    same_place: bool

    @property
    def difference(self) -> float:
        """Relative to the score of x86."""
        return abs(self.arm64 - self.x86) / abs(self.x86) if self.x86 != self.arm64 else 0.0

    def line(self) -> str:
        """Return the row of the table."""
        return (
            f"| {self.frame} | {self.x86:.6f} | {self.arm64:.6f} | {self.difference:.1e} | {self.label} "
            f"| {'yes' if self.same_label else 'NO'} | {'yes' if self.same_place else 'no'} |"
        )


def settings(bundles: str, source: str, data: str, events: int, metrics: int) -> dict[str, Any]:
    """Return the settings of a run over a source as fast as it goes.

    Args:
        bundles: folder of the source and the bundle.
        source: name of the clip, or of a folder of pictures.
        data: folder that the journal is written to.
        events: port to publish on.
        metrics: port of the health.
    """
    return {
        "bundle": f"{bundles}/belt.bundle",
        "cameras": {"belt": {"source": f"{bundles}/{source}", "pace": "max"}},
        "events": {"bind": f"tcp://127.0.0.1:{events}", "wait_subscribers": 1},
        "control": {"bind": "tcp://127.0.0.1:*"},
        "journal": {"path": f"{data}/journal.sqlite"},
        "metrics": {"bind": f"127.0.0.1:{metrics}"},
    }


def unpack(clip: Path, folder: Path, frames: int) -> None:
    """Write the first frames of a clip, as this machine decodes them, as pictures without a loss."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    video = cv2.VideoCapture(str(clip))
    for number in range(1, frames + 1):
        good, picture = video.read()
        if not good:
            break
        cv2.imwrite(str(folder / f"{number:06d}.png"), picture)
    video.release()


def play(command: Sequence[str], events: int, log: Path, frames: int = ALL, health: Sequence[str] = ()) -> Played:
    """Run a device until its clip is over or so many frames are scored; then it gets SIGTERM.

    Args:
        command: of the device, or of what runs it as its only child.
        events: port that it publishes on.
        log: for its stderr.
        frames: at which to stop it.
        health: command that asks it how it is, run while it scores.

    Raises:
        RuntimeError: a message was lost, none came any more, a frame was not scored, or it did not end with 0.
    """
    with (
        log.open("wb") as stream,
        subprocess.Popen(command, stderr=stream) as device,
        Subscriber(f"tcp://127.0.0.1:{events}", kinds=["score", "alert", "state"]) as subscriber,
    ):
        try:
            played = _listen(subscriber, frames, health)
            if len(played.scores) == frames:
                os.kill(_inside(device.pid), signal.SIGTERM)
            code = device.wait(_END_S)
        except BaseException:
            device.kill()
            raise
    if code:
        raise RuntimeError(f"patchedge run ended with {code}; see {log}")
    if any(message.score is None for message in played.scores.values()):
        raise RuntimeError(f"frames were not scored; see {log}")
    return played


def _listen(subscriber: Subscriber, frames: int, health: Sequence[str]) -> Played:
    played = Played()
    asked: subprocess.Popen[bytes] | None = None
    while len(played.scores) < frames:
        received = subscriber.receive(SILENCE_S)
        if received is None or received.missed:
            raise RuntimeError(f"after {len(played.scores)} scores: {received}")
        message = received.message
        if isinstance(message, AlertMessage):
            if message.phase != "update":  # how many of these there are is a matter of time
                played.alerts.append((message.frame_id, message.phase))
        elif isinstance(message, ScoreMessage):
            played.scores[message.frame_id] = message
        elif isinstance(message, StateMessage) and message.state == "disconnected":
            break
        if health and asked is None and len(played.scores) == _HEALTH_AFTER:
            asked = subprocess.Popen(health)
    if asked is not None:
        played.health = asked.wait(_END_S)
    return played


def _inside(pid: int) -> int:
    """Return the process that bwrap runs; a process that is not bwrap, itself."""
    if Path(f"/proc/{pid}/comm").read_text() != "bwrap\n":
        return pid
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def compare(x86: Played, arm64: Played) -> list[Row]:
    """Put the frames of arm64 beside the same ones of x86.

    Raises:
        ValueError: there are none, x86 has not all of them, one is missing, or one was not scored.
    """
    frames = range(1, len(arm64.scores) + 1)
    if not frames or set(frames) != arm64.scores.keys() or not arm64.scores.keys() <= x86.scores.keys():
        raise ValueError(f"{len(x86.scores)} frames on x86, {len(arm64.scores)} on arm64, and not the same ones")
    rows = []
    for frame in frames:
        one, other = x86.scores[frame], arm64.scores[frame]
        if one.score is None or other.score is None:
            raise ValueError(f"frame {frame} has no score: {one.score} on x86, {other.score} on arm64")
        same_label, same_place = one.label == other.label, one.peak_xy == other.peak_xy
        rows.append(Row(frame, one.score, other.score, one.label, same_label, same_place))
    return rows


def table(rows: Sequence[Row], worst: int = 10) -> list[str]:
    """Return the lines of the table: the frames that differ most, then all of them in one."""
    differences = sorted(row.difference for row in rows)
    same_labels, same_places = (sum(getattr(row, name) for row in rows) for name in ("same_label", "same_place"))
    return [
        "| frame | score x86 | score arm64 | relative difference | label | same label | same place |",
        "|--:|--:|--:|--:|---|---|---|",
        *(row.line() for row in sorted(rows, key=lambda row: -row.difference)[:worst]),
        f"| all {len(rows)} | | | median {differences[len(rows) // 2]:.1e}, most {differences[-1]:.1e} "
        f"| {sum(row.label == 'anomalous' for row in rows)} anomalous "
        f"| {same_labels} of {len(rows)} | {same_places} of {len(rows)} |",
    ]
