"""What a burn-in keeps on the disk, beside the scores: how far it is, what it found, and what was applied."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edge_config.saving import put
from edge_config.settings.sections import Alerts
from edge_config.wire.burn_in import Applied, BurnInStatus, Proposal
from runtime.alerts.decide import MIN_MS
from runtime.burnin.scores import RECORD_BYTES
from runtime.frame import BundleInfo

STATE, SCORES = "burn_in.json", "burn_in.scores"


@dataclass(frozen=True, slots=True)
class BurnInPlan:
    """A burn-in that the settings ask for.

    Attributes:
        duration_s: time to watch, seconds; None: there is none.
        wanted: number of false alerts a day.
    """

    duration_s: float | None
    wanted: float


class BurnInRun(msgspec.Struct, frozen=True, kw_only=True):
    """A burn-in that is not over.

    Attributes:
        bundle: id of the bundle that scores.
        duration_s: time to watch, seconds.
        wanted: number of false alerts a day.
        silent: no alert is raised meanwhile, because the settings say so.
        apply: put the threshold into service at the end.
        by: key of the client that asked for it; empty: the settings, or a device without keys.
        records: number of records of scores that are safely on the disk.
        watched_s: watched time, seconds.
        lasted_s: time since its begin in which the runtime ran, seconds.
        gaps, gap_s: number of interruptions, and their time, seconds.
        last_ns: wall clock of the last frame, nanoseconds since 1970 UTC; 0 before the first.
        began_again: how often it began again, because there was another bundle.
        over: everything is watched, and the scores are to be counted.
    """

    bundle: str
    duration_s: float
    wanted: float
    silent: bool
    apply: bool
    by: str = ""
    records: int = 0
    watched_s: float = 0.0
    lasted_s: float = 0.0
    gaps: int = 0
    gap_s: float = 0.0
    last_ns: int = 0
    began_again: int = 0
    over: bool = False

    @property
    def left_s(self) -> float:
        """Watched time that is left, seconds."""
        return 0.0 if self.over else max(0.0, self.duration_s - self.watched_s)


class BurnInKept(msgspec.Struct, frozen=True, kw_only=True):
    """All that is kept of the burn-ins of a camera.

    Attributes:
        running: the one that is not over.
        proposal: what the last one found, if it is not applied.
        applied: the threshold that was set.
        settled: the burn-in of the settings is over: it does not begin again by itself.
    """

    running: BurnInRun | None = None
    proposal: Proposal | None = None
    applied: Applied | None = None
    settled: bool = False


def with_run(status: BurnInStatus, run: BurnInRun) -> BurnInStatus:
    """Return a status with what there is to say of a burn-in that runs."""
    return msgspec.structs.replace(
        status,
        phase="evaluating" if run.over else "running",
        silent=run.silent,
        wanted=run.wanted,
        watched_s=round(run.watched_s, 3),
        left_s=None if run.over else round(run.left_s, 3),
        gaps=run.gaps,
        gap_s=round(run.gap_s, 3),
    )


def effective(alerts: Alerts, bundle: BundleInfo) -> Alerts:
    """Return alert settings with the least duration that counts: of the settings, the bundle, or the default."""
    min_ms = MIN_MS if bundle.min_ms is None else bundle.min_ms
    return alerts if alerts.min_ms is not None else msgspec.structs.replace(alerts, min_ms=min_ms)


def why_not(proposal: Proposal, bundle: BundleInfo, *, of_all: bool, force: bool) -> str:
    """Return why the threshold of a proposal must not be put into service; empty if it may."""
    if proposal.bundle != bundle.id:
        return f"the proposal is for bundle {proposal.bundle[:12]}, and {bundle.id[:12]} is in service"
    against = [*proposal.problems, *(["what was set aside would raise no alert any more"] if of_all else [])]
    return f"{'; '.join(against)}; give `force` if it shall be so" if against and not force else ""


def load(folder: Path) -> tuple[BurnInKept, str]:
    """Return what is kept of a camera, and why it cannot be read; empty: it can, or there is nothing."""
    try:
        return msgspec.json.decode((folder / STATE).read_bytes(), type=BurnInKept), ""
    except FileNotFoundError:
        return BurnInKept(), ""
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        return BurnInKept(), f"{folder / STATE}: {error}"


def save(folder: Path, kept: BurnInKept) -> None:
    """Write what is kept, whole or not at all.

    Raises:
        OSError: the folder cannot be made.
        NotWritten: the disk does not take it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    put(folder / STATE, msgspec.json.encode(kept))


def append(folder: Path, at: int, records: bytes) -> None:
    """Write records of scores behind the first `at` of them; what is behind these was never confirmed.

    Raises:
        OSError: the disk does not take them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / SCORES, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    with os.fdopen(descriptor, "r+b") as stream:
        stream.truncate(at * RECORD_BYTES)
        stream.seek(0, os.SEEK_END)
        stream.write(records)
        stream.flush()
        os.fsync(stream.fileno())


def clear(folder: Path) -> None:
    """Delete the scores."""
    with contextlib.suppress(OSError):
        (folder / SCORES).unlink()
