"""What a child has from its parent, carried on: lineage and limits of the scene."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from edge_config.bundle.lineage import HeldOutScore, LearntPicture, Lineage
from edge_config.bundle.manifest import Scene
from runtime.frame import Image
from runtime.inference.load import scene_reference
from runtime.learning.grow.job import LearningJob, SafetyReport
from runtime.learning.grow.new_pictures import PictureFile
from runtime.learning.grow.parent import Parent
from runtime.learning.learn_scene import learn, widened

MAX_NAME = 256
"""Length of a name in the manifest; of a longer one the end."""


def next_lineage(
    parent: Parent,
    report: SafetyReport,
    learnt: Sequence[PictureFile],
    held: Sequence[HeldOutScore],
    job: LearningJob,
) -> Lineage:
    """Return the lineage of a child.

    Args:
        parent: its parent.
        report: what has changed.
        learnt: the pictures that it has learnt.
        held: all held-out pictures.
        job: what was asked.
    """
    earlier = parent.manifest.lineage
    return Lineage(
        root=earlier.root if earlier else parent.bundle.id,
        parent=parent.bundle.id,
        round=earlier.round + 1 if earlier else 1,
        camera=job.camera[-MAX_NAME:],
        asked_by=job.by[-MAX_NAME:],
        root_entries=parent.root_entries,
        root_calibration=parent.root,
        pictures=tuple(LearntPicture(name=one.name[-MAX_NAME:], sha256=one.sha256) for one in learnt),
        added=report.added,
        dropped=report.dropped,
        learnt_entries=report.entries_after - parent.root_entries,
        held_out=tuple(held),
        threshold_before=parent.manifest.calibration.threshold,
    )


def widened_scene(parent: Parent, images: Iterable[Image]) -> Scene:
    """Return the limits of the scene, widened to new pictures; what shows a moved camera stays as it is.

    Few pictures say nothing of whether the scene stands still, and frames of a moved camera are not learnt.
    """
    old = parent.manifest.scene
    new, _ = learn(images, scene_reference(parent.bundle), parent.manifest.may_vary)
    return msgspec.structs.replace(widened(old, new), shift=old.shift)
