"""What `watch` and `replay` share: arguments, a message as a line, and its pictures as files."""

from __future__ import annotations

import argparse
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_config.errors import NotWritten, UsageError
from edge_config.saving import put, writing

if TYPE_CHECKING:
    from edge_config.wire.messages import Part
    from runtime.client.received import Received
    from runtime.security.keys import Keys

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")
_NUMBERS = ("uint8", "int16", "int32", "float16", "float32", "float64")


def add_following(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--json", action="store_true", help="JSON lines: topic, missed, message; origin with a control URL"
    )
    parser.add_argument(
        "--save", type=Path, metavar="DIR", help="write pictures (.jpg) and heat maps (.npy) of alerts here"
    )
    add_keys(parser)


def add_keys(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments that name keys."""
    parser.add_argument("--key", type=Path, metavar="FILE", help="secret key of this client (with --server-key)")
    parser.add_argument("--server-key", type=Path, metavar="FILE", help="public key of the device")


def keys_of(args: argparse.Namespace) -> Keys | None:
    """Return the keys that the arguments name.

    Raises:
        UsageError: one without the other.
    """
    from runtime.security.keys import Keys

    if (args.key is None) != (args.server_key is None):
        raise UsageError("--key needs --server-key, and it the other", remedy="name both files")
    return None if args.key is None else Keys(secret_key=args.key, server_key=args.server_key)


def as_json(received: Received, *, origin: bool) -> str:
    """Write a message as one line of JSON; `origin` tells how it came, too."""
    import msgspec

    line: dict[str, Any] = {"topic": received.topic, "missed": received.missed, "message": received.message}
    return msgspec.json.encode({**line, "origin": received.origin} if origin else line).decode()


def as_line(received: Received) -> str:
    """Write a message as a line for people, with one before it if messages were lost."""
    from datetime import datetime, timezone

    from edge_config.wire.messages import AlertMessage, HealthMessage, PreviewMessage, ScoreMessage, StateMessage

    said = received.message
    at = datetime.fromtimestamp(said.t_publish_ns / 1e9, tz=timezone.utc).astimezone()
    day = "" if received.origin == "live" else f"{at:%Y-%m-%d} "
    text = f"{day}{at:%H:%M:%S}.{at.microsecond // 1000:03d} {said.device}/{said.camera} "
    if isinstance(said, StateMessage):
        text += f"state {said.state}: {said.reason}"
    elif isinstance(said, HealthMessage):
        text += f"health {said.state}, journal {said.journal} {said.journal_reason}".rstrip()
        text += f", drift: {said.drift}" if said.drift else ""
    elif isinstance(said, (ScoreMessage, AlertMessage, PreviewMessage)):
        score = "-" if said.score is None else f"{said.score:.3f}"
        text += f"frame {said.frame_id} score {score} of {said.threshold:.3f} {said.label}"
        text += "" if said.peak_xy is None else f" at {said.peak_xy[0]},{said.peak_xy[1]}"
        text += f" age {said.age_ms:.0f} ms"
        text += " repeated" if isinstance(said, ScoreMessage) and said.repeated else ""
    if isinstance(said, PreviewMessage):
        text += f"  preview of {sum(map(len, received.parts))} bytes, {len(said.boxes)} boxes"
    if isinstance(said, AlertMessage):
        text = f"{text}  ALERT {said.phase} {said.alert_id} peak {said.peak_score:.3f} in frame {said.peak_frame_id}"
        text += "" if said.peak_excess is None else f" excess {said.peak_excess:.2f}"
    return f"! {received.missed} messages lost before this one\n{text}" if received.missed else text


class Saver:
    """Writes the pictures and heat maps of alerts into a folder; where the disk does not take them, alerts go on."""

    def __init__(self, folder: Path | None) -> None:
        """Take the folder, made when it is needed; None: nothing is written."""
        self._folder = folder
        self._lost = 0

    def close(self) -> None:
        """Report how many were not saved, if any."""
        if self._lost:
            print(f"patchedge: {self._lost} pictures and heat maps were not saved", file=sys.stderr)

    def __call__(self, received: Received) -> None:
        """Write the binary parts of a message, if there are any."""
        if self._folder is None:
            return
        for problem in save_parts(received, self._folder):
            self._lost += 1
            if self._lost == 1:  # once, and not for each of what may be thousands
                print(f"patchedge: {problem}; alerts go on without pictures", file=sys.stderr, flush=True)


def save_parts(received: Received, folder: Path) -> Iterator[NotWritten]:
    """Write the binary parts of an alert as files CAMERA-ALERT-EPOCH-SEQ-NAME; damaged ones are reported and skipped.

    Yields:
        Why a part is not saved, for each that the disk does not take.
    """
    from edge_config.wire.messages import AlertMessage

    alert = received.message
    if not isinstance(alert, AlertMessage) or not received.parts:
        return
    words = (alert.camera, alert.alert_id, alert.epoch, str(alert.seq))
    stem = "-".join(_UNSAFE.sub("_", word)[:64] for word in words)
    for number, (part, data) in enumerate(zip(alert.parts, received.parts, strict=False)):
        name = f"{stem}-{_UNSAFE.sub('_', part.name)[:32] or number}"
        try:
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
            _save(part, data, folder / name)
        except ValueError as error:
            print(f"patchedge: {name} is damaged ({error})", file=sys.stderr)
        except NotWritten as error:
            yield error


def _save(part: Part, data: bytes, path: Path) -> None:
    if part.media_type == "image/jpeg":
        put(path.with_name(path.name + ".jpg"), data)
        return
    import numpy as np

    file = io.BytesIO()
    np.save(file, _numbers(part, data), allow_pickle=False)
    put(path.with_name(path.name + ".npy"), file.getvalue())


def _numbers(part: Part, data: bytes) -> Any:
    """Return what a part holds: patch distances of a heat map, numbers of anything else, such as one of an old device.

    Raises:
        ValueError: the bytes do not match the part.
    """
    import numpy as np

    from runtime.scoring import heat_map

    if part.media_type == heat_map.PNG:
        return heat_map.decode(part, data)
    if part.dtype not in _NUMBERS or part.shape is None:
        raise ValueError(f"numbers of type {part.dtype}")
    return np.frombuffer(data, np.dtype(part.dtype).newbyteorder("<")).reshape(part.shape)
