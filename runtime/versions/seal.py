"""From what a learner leaves to a version: checked against what was asked, signed, and put among the others."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edge_config.bundle import files as bundles
from edge_config.bundle import manifest as manifests
from edge_config.bundle.manifest import Manifest
from edge_config.errors import BundleError, BundleNoChild
from edge_config.saving import sync, writing
from edge_config.wire.versions import VersionReport
from runtime.learning.grow.job import LearningResult, SafetyReport, ScoredTwice, read_result
from runtime.security.children import check_child
from runtime.security.signing import write_signature
from runtime.versions.lessons import LessonPictures
from runtime.versions.records import LearningOrder, Version
from runtime.versions.shelf import Shelf

if TYPE_CHECKING:
    from nacl.signing import SigningKey

MAX_REPORTED = 100
"""Maximum number of pictures of each kind in the report that is kept: all reports of a camera fit into one reply."""


@dataclass(frozen=True, slots=True)
class Task:
    """Learning of one camera.

    Attributes:
        shelf: of the camera.
        order: what was asked.
        root_path: path of the bundle that the settings name.
        parent_path, parent: path and id of the bundle that learns.
        pictures: what is to be learnt.
        held_out: names of the pictures that set the threshold of the parent.
    """

    shelf: Shelf
    order: LearningOrder
    root_path: str
    parent_path: str
    parent: str
    pictures: LessonPictures
    held_out: tuple[str, ...] = ()

    @property
    def camera(self) -> str:
        """The name of the camera."""
        return self.shelf.camera


class Seal:
    """Makes versions; in the thread of the learners."""

    def __init__(self, key: SigningKey | None = None) -> None:
        """Sign with a key, if there is one."""
        self._key = key

    def __call__(self, task: Task) -> Version:
        """Make a version of the bundle that the learner sealed.

        Raises:
            BundleError: it is not what was asked for.
            NotWritten: the disk does not take it.
        """
        shelf = task.shelf
        result = read_result(shelf.sealed)
        text = bundles.read_manifest(shelf.sealed)
        found = manifests.decode(text, str(shelf.sealed))
        bundle_id = hashlib.sha256(text).hexdigest()
        if result is None or result.bundle_id != bundle_id or result.parent != task.parent:
            raise BundleError("is not what its learner has reported", where=str(shelf.sealed))
        root = check_child(found, Path(task.root_path), str(shelf.sealed))
        if self._key is not None:
            write_signature(shelf.sealed, text, self._key)
            with writing(shelf.sealed):
                sync(shelf.sealed)
        version = _version(task, result, found, root)
        shelf.put(version)
        return version


def _version(task: Task, result: LearningResult, found: Manifest, root: str) -> Version:
    lineage, report = found.lineage, result.report
    if lineage is None or lineage.parent != task.parent or lineage.camera != task.camera:
        raise BundleNoChild("is not a child of the bundle that learnt", where=str(task.shelf.sealed))
    return Version(
        id=result.bundle_id,
        root=root,
        parent=task.parent,
        round=lineage.round,
        number=max((one.number or one.round for one in task.shelf.versions() if one.root == root), default=0) + 1,
        at=datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        by=task.order.by,
        learnt=tuple(result.learnt),
        held_out=(*task.held_out, *result.held_out),
        added=report.added,
        dropped=report.dropped,
        entries=report.entries_after,
        threshold=report.threshold_after,
        threshold_before=report.threshold_before,
        faults=(report.faults.shown, report.faults.found_before, report.faults.found_after),
        problems=tuple(result.problems),
        report=_reported(report),
    )


def _reported(report: SafetyReport) -> VersionReport:
    """Return what is kept of a report: of long lists the pictures with the highest scores before."""

    def highest(pictures: list[ScoredTwice]) -> list[ScoredTwice]:
        return sorted(pictures, key=lambda one: -one.before)[:MAX_REPORTED]

    kept = msgspec.structs.replace(report, learnt=highest(report.learnt), peaks=highest(report.peaks))
    return msgspec.convert(msgspec.to_builtins(kept), VersionReport)
