"""`fit --plan`: learn all cameras of a plan, and write the page about them."""

from __future__ import annotations

import fcntl
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from edge_config.errors import NotWritten, UsageError
from edge_config.saving import put
from export.plan.learn_cameras import Fit, learn_cameras
from export.plan.outcome import CameraOutcome, Outcomes
from export.plan.settings import CameraPlan
from export.plan.summary import as_html
from runtime.learning.progress import say


def run_plan(plan: CameraPlan, fit: Fit) -> Outcomes:
    """Learn all cameras of a plan whose bundles are not there yet; interrupted, the next run goes on from there.

    Raises:
        UsageError: another process is at it.
    """
    begun, at = time.monotonic(), datetime.now(timezone.utc)
    cameras: list[CameraOutcome] = []
    with _alone(plan.path):
        try:
            cameras.extend(learn_cameras(plan, fit))
        except KeyboardInterrupt:
            done = sum(one.result != "failed" for one in cameras)
            say(f"{done} of {len(plan.cameras)} cameras are done; the same command goes on from there", "plan")
            raise
    results = Counter(one.result for one in cameras)
    outcomes = Outcomes(
        plan=str(plan.path),
        page=str(plan.page),
        learnt=results["learnt"],
        kept=results["in place"] + results["signed"],
        failed=results["failed"],
        seconds=round(time.monotonic() - begun, 1),
        cameras=cameras,
    )
    return _write_page(outcomes, at)


def _write_page(outcomes: Outcomes, at: datetime) -> Outcomes:
    """Write the page; the bundles are there even where it cannot be written."""
    try:
        put(Path(outcomes.page), as_html(outcomes, f"Begun {at:%Y-%m-%d %H:%M} UTC").encode())
    except NotWritten as error:
        say(str(error), "warning")
        return msgspec.structs.replace(outcomes, page="")
    return outcomes


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Refuse to learn a plan that another process is learning: both would replace the same bundles."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError("is being learnt by another process", where=str(path), remedy="wait for it") from error
        yield
