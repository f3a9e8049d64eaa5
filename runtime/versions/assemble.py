"""Put the room together from the settings."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import structlog

from edge_config.settings.device import Settings
from edge_config.settings.sections import Trust
from runtime.frame import BundleInfo
from runtime.security.signing import public_text, read_key
from runtime.teaching.picture import learning_folder
from runtime.versions.activations import Loads
from runtime.versions.events import VersionEvent
from runtime.versions.keeper import Replier, VersionKeeper
from runtime.versions.learner_process import LearnerLimits
from runtime.versions.learner_queue import LearnerQueue, QueueOptions
from runtime.versions.lessons import Lessons
from runtime.versions.listing import Bounds
from runtime.versions.seal import Seal
from runtime.versions.shelves import Shelves

if TYPE_CHECKING:
    from nacl.signing import SigningKey

LOCK = ".versions.lock"
"""Name of the file that is locked, in the learning folder."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class LearntBundles:
    """What the rest of the runtime begins with.

    Attributes:
        shelves: versions on disk.
        key: that this device signs with; None if it has none.
        lock: keeps other runtimes out of the learning folder while it is open.
    """

    shelves: Shelves
    key: SigningKey | None
    lock: BinaryIO | None = None

    def close(self) -> None:
        """Let other runtimes use the learning folder."""
        if self.lock is not None:
            self.lock.close()

    @property
    def public_key(self) -> str:
        """The public key that this device signs with; empty if it has none."""
        return "" if self.key is None else public_text(self.key)


def open_shelves(settings: Settings, roots: Mapping[str, str]) -> LearntBundles:
    """Look for learnt versions, and remove what a power cut left behind.

    Args:
        settings: of the device.
        roots: camera -> path of the bundle that the settings name.

    Raises:
        SettingsError: the key that the device signs with cannot be used.
    """
    key = None if settings.trust.device_key is None else read_key(Path(settings.trust.device_key))
    folder, lock, off = _lock(settings)
    if off:
        _log.warning("nothing can be learnt", problem=off)
    return LearntBundles(Shelves(roots, folder, off, may_not_learn=_may_not_learn(settings.trust)), key, lock)


def _lock(settings: Settings) -> tuple[Path | None, BinaryIO | None, str]:
    """Return the learning folder and the file whose lock keeps other runtimes out of it, or why there is no folder."""
    try:
        folder = learning_folder(settings)
    except OSError as error:
        return None, None, f"learning is off: {error.strerror}; set `learning.folder`"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (folder / LOCK).open("ab")
    except OSError:  # read-only: what was learnt serves, and learning itself says what is wrong
        return folder, None, ""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None, None, f"learning is off: another runtime uses {folder}; set `learning.folder`, or `device`"
    return folder, lock, ""


def make_keeper(
    settings: Settings,
    learnt: LearntBundles,
    engine: Loads,
    control: Replier,
    serving: Callable[[str], BundleInfo],
    lessons: Lessons,
    tell: Callable[[VersionEvent], object],
) -> VersionKeeper:
    """Return what answers requests about learning on."""
    section = settings.learning
    limits = LearnerLimits(section.threads, section.memory_mb)
    queue = LearnerQueue(tell, Seal(learnt.key), QueueOptions(limits))
    bounds = Bounds(section.versions, section.versions_mb << 20)
    parts = (learnt.shelves, engine, control, serving, lessons)
    return VersionKeeper(*parts, tell=tell, queue=queue, bounds=bounds)


def _may_not_learn(trust: Trust) -> str:
    """Return why this device could not serve what it learns; empty if it could."""
    if not trust.keys or trust.device_key is not None or trust.unsigned == "allow":
        return ""
    return (
        "learning is refused: `trust.keys` is set, and this device has no key to sign what it learns; "
        "make one with `patchedge-export signing-key`, and set `trust.device_key`"
    )
