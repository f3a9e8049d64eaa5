"""Everything of burn-ins that may take long, in threads beside the main loop: the disk, and counting the scores."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol

import msgspec

from edge_config.errors import PatchedgeError
from edge_config.settings.sections import Alerts
from edge_config.wire.burn_in import Proposal
from runtime.burnin import kept as keeping
from runtime.burnin.kept import BurnInKept
from runtime.frame import BundleInfo
from runtime.process.background import background
from runtime.process.child import module

MEMORY_MB = 1024
"""Limit of the program that counts: it needs some 350 MB for seven million scores."""

CLOSE_S = 1.0
"""Time-out for the last writes."""

COUNT_S = 3600.0
"""Time-out of counting."""


class CountJob(msgspec.Struct, frozen=True, kw_only=True):
    """What the program that counts is told.

    Attributes:
        folder: of the camera.
        records: number of records that count.
        bundle, bundle_path: id and path of the bundle that scored.
        was: its threshold.
        wanted: number of false alerts a day.
        alerts: settings that alerts are counted with.
    """

    folder: str
    records: int
    bundle: str
    bundle_path: str
    was: float
    wanted: float
    alerts: Alerts

    @classmethod
    def of(cls, folder: str, records: int, bundle: BundleInfo, wanted: float, alerts: Alerts) -> CountJob:
        """Return the job for these records of scores, all of the bundle in service."""
        return cls(
            folder=folder,
            records=records,
            bundle=bundle.id,
            bundle_path=bundle.path,
            was=bundle.threshold,
            wanted=wanted,
            alerts=alerts,
        )


@dataclass(frozen=True, slots=True)
class BurnInStored:
    """The state of a burn-in is on the disk, or is not.

    Attributes:
        records: number of records of scores that are there, if it is one that runs.
        problem: why it is not; empty if it is.
    """

    camera: str
    records: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class BurnInCounted:
    """The scores of a burn-in are counted.

    Attributes:
        problem: why there is no proposal, in one line; empty if there is one.
    """

    camera: str
    proposal: Proposal | None
    problem: str = ""


BurnInEvent = BurnInStored | BurnInCounted


class BurnInDisk(Protocol):
    """What a burn-in needs of the disk; nothing waits for it."""

    def store(self, camera: str, kept: BurnInKept, at: int, records: bytes) -> None:
        """Store the state, and records of scores behind the first `at`; `BurnInStored` comes of it."""

    def count(self, camera: str, job: CountJob) -> None:
        """Count the scores that are stored; `BurnInCounted` comes of it."""

    def clear(self, camera: str) -> None:
        """Delete the scores."""

    def folder(self, camera: str) -> Path:
        """Return the folder of a camera."""

    def close(self) -> None:
        """Wait until all is written, for a short time."""


class FolderDisk:
    """Stores and counts in threads of its own. Any thread may call."""

    def __init__(self, folder: Path, tell: Callable[[BurnInEvent], object]) -> None:
        """Use this folder, which has one for each camera; `tell` takes events from the threads."""
        self._folder = folder
        self._tell = tell
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._unwritten: dict[str, tuple[int, bytes]] = {}  # camera -> its records that the disk did not take yet
        self._thread = threading.Thread(target=self._run, name="burn-in", daemon=True)
        self._thread.start()

    def folder(self, camera: str) -> Path:
        """As in `BurnInDisk`."""
        return self._folder / camera

    def store(self, camera: str, kept: BurnInKept, at: int, records: bytes) -> None:
        """As in `BurnInDisk`."""

        def do() -> None:
            behind, waiting = self._unwritten.pop(camera, (at, b"")) if at else (0, b"")
            try:
                if waiting or records or (kept.running is not None and not at):
                    keeping.append(self.folder(camera), behind, waiting + records)
                keeping.save(self.folder(camera), kept)
            except (OSError, PatchedgeError) as error:
                self._unwritten[camera] = behind, waiting + records
                self._tell(BurnInStored(camera, behind, str(error)))
            else:
                self._tell(BurnInStored(camera, 0 if kept.running is None else kept.running.records))

        self._jobs.put(do)

    def clear(self, camera: str) -> None:
        """As in `BurnInDisk`."""
        self._jobs.put(lambda: keeping.clear(self.folder(camera)))

    def count(self, camera: str, job: CountJob) -> None:
        """As in `BurnInDisk`."""
        self._jobs.put(lambda: threading.Thread(target=self._count, args=(camera, job), daemon=True).start())

    def close(self) -> None:
        """Wait until all is written, but not for a disk that hangs."""
        self._jobs.put(None)
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def _count(self, camera: str, job: CountJob) -> None:
        """Count in a program in the background: it takes seconds to minutes."""
        command = background(module("runtime.burnin.count_scores"), memory_mb=MEMORY_MB, threads=1)
        try:
            done = subprocess.run(
                command, input=msgspec.json.encode(job), capture_output=True, timeout=COUNT_S, check=False
            )
            told = BurnInCounted(camera, msgspec.json.decode(done.stdout, type=Proposal))
        except (OSError, subprocess.TimeoutExpired) as error:
            told = BurnInCounted(camera, None, f"the scores were not counted: {error}")
        except msgspec.DecodeError:
            told = BurnInCounted(camera, None, f"the scores were not counted: {_last_line(done)}")
        self._tell(told)


def _last_line(done: subprocess.CompletedProcess[Any]) -> str:
    """Return why a program gave up."""
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else f"exit code {done.returncode}"
