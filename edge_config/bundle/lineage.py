"""The origin of a bundle that was learnt on: section `lineage` of the manifest."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from edge_config.bundle.calibration import Calibration
from edge_config.bundle.fields import Count, ManifestPart, NonNegative, Sha256

MAX_PICTURES = 1000
"""Maximum number of pictures of a round, and of held-out pictures whose scores are kept."""

Number = Annotated[int, Meta(ge=0, le=2**31)]
ShortText = Annotated[str, Meta(max_length=256)]


class LearntPicture(ManifestPart, frozen=True):
    """A picture that this round has learnt.

    Attributes:
        name: name of its file.
        sha256: sha256 of its file, in hex.
    """

    name: ShortText
    sha256: Sha256


class HeldOutScore(ManifestPart, frozen=True):
    """A held-out picture of this round or an earlier one, which sets the threshold and was not learnt.

    Attributes:
        sha256: sha256 of its file, in hex.
        score: its score by this bundle, or an upper bound of it where the picture is gone.
    """

    sha256: Sha256
    score: NonNegative


class Lineage(ManifestPart, frozen=True, kw_only=True):
    """How a bundle grew from another one. It contains no time: the same pictures give the same bundle.

    Attributes:
        root: id of the bundle that was fitted; its entries are the beginning of the bank, and are never dropped.
        parent: id of the bundle that this round began with.
        round: number of this round, from 1.
        camera: name of the camera that the bundle belongs to; empty without a device.
        asked_by: name of the key or person that asked for this round.
        root_entries: number of entries of the root.
        root_calibration: calibration of the root: its scores remain upper bounds.
        pictures: pictures that this round has learnt.
        added: number of entries that joined in this round.
        dropped: number of learnt entries that were dropped in this round.
        learnt_entries: number of entries of all rounds together.
        held_out: held-out pictures of all rounds; this round's are the last.
        threshold_before: threshold of the parent.
    """

    root: Sha256
    parent: Sha256
    round: Count
    camera: ShortText = ""
    asked_by: ShortText = ""
    root_entries: Count
    root_calibration: Calibration
    pictures: Annotated[tuple[LearntPicture, ...], Meta(max_length=MAX_PICTURES)]
    added: Number
    dropped: Number
    learnt_entries: Number
    held_out: Annotated[tuple[HeldOutScore, ...], Meta(max_length=MAX_PICTURES)]
    threshold_before: NonNegative
