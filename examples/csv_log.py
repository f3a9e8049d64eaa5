"""Append every score and alert to a CSV file, a line each: python examples/csv_log.py scores.csv.

The column `missed` says how many messages of this camera and kind were lost before the line, while this program ran.
Alerts are not lost: the device keeps them in its journal until they are acknowledged. Scores are sent once only.
"""

import csv
from argparse import ArgumentParser
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from patchedge import DEFAULT_CONTROL, DEFAULT_EVENTS, AlertMessage, Keys, Kind, Received, ScoreMessage, Subscriber

COLUMNS = [
    *("time", "device", "camera", "kind", "phase", "frame", "score", "threshold", "label"),
    *("missed", "key", "excess"),
]


def main() -> None:
    """Write lines until Ctrl-C."""
    parser = ArgumentParser(description="Append every score and alert of a device to a CSV file.")
    parser.add_argument("file", type=Path, help="made if it does not exist, else continued")
    parser.add_argument("--events", default=DEFAULT_EVENTS, help="address of its events (%(default)s)")
    parser.add_argument("--control", default=DEFAULT_CONTROL, help="address of its control socket (%(default)s)")
    parser.add_argument("--name", default="csv", help="the device remembers what this name has acknowledged")
    parser.add_argument("--keys", nargs=2, metavar=("SECRET", "DEVICE"), help="key files, if it has encryption")
    args = parser.parse_args()
    keys = Keys(*args.keys) if args.keys else None
    kinds: list[Kind] = ["score", "alert"]
    with (
        args.file.open("a", newline="", encoding="utf-8") as file,
        Subscriber(args.events, control=args.control, name=args.name, keys=keys, kinds=kinds) as messages,
    ):
        writer = csv.writer(file)
        if file.tell() == 0:
            writer.writerow(COLUMNS)
        for received in messages:
            writer.writerow(row(received))
            file.flush()
            messages.acknowledge(received)  # of an alert; it does nothing for a score


def row(received: Received) -> list[object]:
    """Return the line of a score or an alert. The score of an alert is its highest so far, and so is its excess."""
    message = received.message
    assert isinstance(message, ScoreMessage | AlertMessage)  # no other kind was asked for
    time = datetime.fromtimestamp(message.t_capture_ns / 1e9, timezone.utc).isoformat()
    phase, score = (message.phase, message.peak_score) if isinstance(message, AlertMessage) else ("", message.score)
    what = [received.kind, phase, message.frame_id, score, message.threshold, message.label, received.missed]
    excess = message.peak_excess if isinstance(message, AlertMessage) else message.excess
    return [time, message.device, message.camera, *what, received.key, excess]


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
