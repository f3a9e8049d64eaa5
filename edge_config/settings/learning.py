"""The section `learning` of the device settings: pictures kept to learn from, and what is learnt on the device."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from edge_config.settings.sections import Section


class Learning(Section, frozen=True):
    """Learning on the device: stored pictures of all cameras, and learnt bundles.

    Attributes:
        folder: where pictures and learnt bundles are stored; empty: `learning/DEVICE` in $STATE_DIRECTORY,
            $XDG_STATE_HOME/patchedge or ~/.local/state/patchedge, the first of them that is set.
        keep_peaks: store the frame with the highest score of each alert, lossless, so that a false alarm can be learnt.
        most_mb: maximum size of all stored pictures together, MiB; pictures are deleted beyond it, peaks first.
        most_days: maximum age of stored pictures, days; older ones are deleted.
        versions: maximum number of learnt bundles of each camera; the oldest are deleted.
        versions_mb: maximum size of all learnt bundles together, MiB; the oldest are deleted.
        threads: number of threads of the learner.
        memory_mb: maximum memory of the learner, MiB; learning that needs more is given up.
    """

    folder: Annotated[str, Meta(max_length=4096)] = ""
    keep_peaks: bool = True
    most_mb: Annotated[int, Meta(ge=1, le=1_048_576)] = 256
    most_days: Annotated[float, Meta(gt=0, le=36_500)] = 30.0
    versions: Annotated[int, Meta(ge=1, le=1000)] = 5
    versions_mb: Annotated[int, Meta(ge=1, le=1_048_576)] = 500
    threads: Annotated[int, Meta(ge=1, le=1024)] = 1
    memory_mb: Annotated[int, Meta(ge=64, le=1_048_576)] = 1024
