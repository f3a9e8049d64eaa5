"""Detect whether a folder holds normal pictures, or is the root of a data set with faults and masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_config.errors import UsageError

NOT_NORMAL = frozenset(
    {"test", "ground_truth", "groundtruth", "gt", "mask", "masks", "anomaly", "anomalous", "bad", "defect", "defects"}
    | {"defective", "ko", "ng"}
)
"""Names of folders in data sets that hold other than normal pictures."""

GOOD = ("good", "normal", "ok")
"""Names of folders in data sets that hold the normal ones."""

_MASK = "_mask"  # at the end of the name of a mask


def refuse_layout(files: Sequence[Path], root: str) -> None:
    """Refuse the root of a data set: its faults and masks would be learnt as normal.

    Args:
        files: pictures below it.
        root: where they lie.

    Raises:
        UsageError: a folder below is named like one that holds other than normal pictures, or the normal ones have a
            folder of their own beside others, or there are masks.
    """
    folders = sorted({parent for file in files for parent in file.parents if parent.name})
    _refuse_strange(root, folders)
    _refuse_good_beside_others(root, [folder for folder in folders if folder.parent == Path()])
    masks = [file for file in files if file.stem.endswith(_MASK)]
    if masks:
        raise UsageError(
            f"{len(masks)} pictures are masks by their names, such as {masks[0]}",
            where=root,
            remedy="move them out of the folder",
        )


def _refuse_strange(root: str, folders: list[Path]) -> None:
    strange = next((folder for folder in folders if folder.name.lower() in NOT_NORMAL), None)
    if strange is None:
        return
    good = next((folder for folder in folders if _is_good(folder) and not _is_below_strange(folder)), None)
    raise UsageError(
        f"looks like the root of a data set: its folder {strange} holds other than normal pictures",
        where=root,
        remedy=f"give {root}/{good}" if good else "give the folder of the normal pictures alone",
    )


def _refuse_good_beside_others(root: str, folders: list[Path]) -> None:
    good = next((folder for folder in folders if _is_good(folder)), None)
    other = next((folder for folder in folders if not _is_good(folder)), None)
    if good and other:
        raise UsageError(
            f"has a folder {good} beside others, such as {other}, which then are not normal",
            where=root,
            remedy=f"give {root}/{good}, or rename it if all are normal",
        )


def _is_good(folder: Path) -> bool:
    return folder.name.lower() in GOOD


def _is_below_strange(folder: Path) -> bool:
    return any(part.lower() in NOT_NORMAL for part in folder.parts)
