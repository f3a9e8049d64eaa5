"""Fit on pictures and score others the way a user does: `patchedge-export fit`, `patchedge run`, a subscriber."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_config.wire.messages import ScoreMessage
from runtime.client.subscriber import Subscriber
from tests.support.processes import DEVICE, EXPORT

SILENCE_S = 120.0
"""A run that publishes nothing for so long has failed."""


def link(pictures: Sequence[Path], folder: Path) -> Path:
    """Make a folder of links to pictures, named so that they are walked in this order."""
    folder.mkdir(parents=True)
    for number, picture in enumerate(pictures):
        (folder / f"{number:06d}{picture.suffix}").symlink_to(picture.resolve())
    return folder


def fit(images: Path, out: Path, *options: str) -> None:
    """Run `patchedge-export fit`; its summary goes to stdout."""
    subprocess.run([*EXPORT, "fit", "--images", str(images), "--out", str(out), *options], check=True)


def published_scores(bundle: Path, source: Path, frames: int, *options: str) -> list[ScoreMessage]:
    """Run `patchedge run --pace max` over a folder and give the score messages of all its frames.

    Raises:
        RuntimeError: a message was lost, or none came any more.
    """
    with tempfile.TemporaryDirectory() as folder:
        endpoint = f"ipc://{folder}/events"
        command: list[Any] = [*DEVICE, "run", "--bundle", bundle, "--source", source, "--bind", endpoint]
        command += ["--pace", "max", "--wait-subscribers", "1", *options]
        with subprocess.Popen(command) as process, Subscriber(endpoint, kinds=["score"]) as subscriber:
            scores = []
            while len(scores) < frames:
                received = subscriber.receive(SILENCE_S)
                if received is None or received.missed or not isinstance(received.message, ScoreMessage):
                    process.terminate()
                    raise RuntimeError(f"after {len(scores)} of {frames} messages: {received}")
                scores.append(received.message)
        if process.returncode:
            raise RuntimeError(f"patchedge run ended with {process.returncode}")
    return scores
