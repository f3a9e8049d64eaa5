"""A subscriber as a process: writes down what it is given, then acknowledges it, and may be killed at any moment.

    python -m tests.programs.bench.consumer EVENTS CONTROL NAME FILE

Each line of FILE is what one message brought: when it came (ns), how late it was (ms), what was lost before it, how it
came (live, snapshot, replay), alert_id, phase and key. What is in FILE at the start counts as handled.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from edge_config.wire.messages import AlertMessage
from runtime.client.received import Received
from runtime.client.subscriber import Subscriber


@dataclass(frozen=True, slots=True)
class Line:
    """One message that a consumer was given; ids and phase are empty if it is no alert."""

    at_ns: int
    late_ms: float
    missed: int
    origin: str
    alert_id: str
    phase: str
    key: str


def lines(path: Path) -> Iterator[Line]:
    """Read what a consumer wrote; a line that it was killed in does not count."""
    text = path.read_text() if path.exists() else ""
    for line in text.splitlines(keepends=True):
        if line.endswith("\n"):
            at, late, missed, origin, alert_id, phase, key = line[:-1].split("\t")
            yield Line(int(at), float(late), int(missed), origin, alert_id, phase, key)


def consume(events: str, control: str, name: str, path: Path) -> None:
    """Follow for ever."""
    handled = {line.key for line in lines(path)}
    mend(path)
    with (
        path.open("a") as file,
        Subscriber(events, control=control, name=name, kinds=["score", "alert"], handled=handled) as subscriber,
    ):
        for received in subscriber:
            write(file, received)
            if isinstance(received.message, AlertMessage):
                file.flush()
                os.fsync(file.fileno())  # it is safe now, and only now it may be acknowledged
                subscriber.acknowledge(received)


def write(file: TextIO, received: Received) -> None:
    """Write a message down."""
    said, now_ns = received.message, time.time_ns()
    alert = (said.alert_id, said.phase) if isinstance(said, AlertMessage) else ("", "")
    late_ms = (now_ns - said.t_publish_ns) / 1e6
    fields = (now_ns, f"{late_ms:.3f}", received.missed, received.origin, *alert, received.key)
    file.write("\t".join(map(str, fields)) + "\n")


def mend(path: Path) -> None:
    """Cut off a line that this program was killed in."""
    if path.exists() and (data := path.read_bytes()) and not data.endswith(b"\n"):
        path.write_bytes(data[: data.rfind(b"\n") + 1])


if __name__ == "__main__":
    consume(*sys.argv[1:4], Path(sys.argv[4]))
