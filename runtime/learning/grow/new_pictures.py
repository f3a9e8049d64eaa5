"""The pictures of a job: read, hashed, split; their features are kept on disk, so that a killed run can go on."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_config.bundle import files as bundles
from edge_config.bundle.files import Bundle
from edge_config.bundle.lineage import MAX_PICTURES
from edge_config.errors import NotWritten, UnreadableImage, UsageError
from edge_config.saving import put, writing
from runtime.camera.image_files import read_picture
from runtime.frame import Image
from runtime.learning.calibrate import hold_out
from runtime.learning.pictures.sizes import SAME_SHAPE
from runtime.learning.vary.change import Change
from runtime.scoring.scorer import Scorer

HELD_OUT = 0.25
"""Share of the new pictures that is held out."""

MIN_SPLIT = 4
"""With fewer pictures all are learnt: none is held out, and the threshold stays."""

UNCHANGED = Change()

MAX_KEPT_BYTES = 256 << 20
"""Bytes of features in the folder of a job: some 200 pictures at the usual size. Others are computed again."""

_DIGEST_BYTES = 32
_SUFFIX = ".features"


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A picture.

    Attributes:
        path: of its file.
        sha256: of its file, in hex.
        depth: bits in use in pictures of 16 bits.
    """

    path: Path
    sha256: str
    depth: int

    @property
    def name(self) -> str:
        """Its name, without the folder."""
        return self.path.name

    def read(self) -> Image:
        """Return its pixels, uint8 [H, W, 3] BGR.

        Raises:
            UnreadableImage: it cannot be read.
        """
        return read_picture(self.path, self.depth)


def look_at(paths: Sequence[str], depth: int) -> list[PictureFile]:
    """Hash pictures; a copy of an earlier one is left out.

    Raises:
        UsageError: there are too many.
        UnreadableImage: a file cannot be read.
    """
    if len(paths) > MAX_PICTURES:
        remedy = "learn from fewer, spread evenly"
        raise UsageError(f"{len(paths)} pictures, at most {MAX_PICTURES} are learnt at once", remedy=remedy)
    found: dict[str, PictureFile] = {}
    for path in map(Path, paths):
        try:
            digest = bundles.file_sha256(path)
        except OSError as error:
            raise UnreadableImage(f"cannot be read ({error.strerror})", where=str(path)) from error
        found.setdefault(digest, PictureFile(path, digest, depth))
    return list(found.values())


def still_there(paths: Sequence[str], depth: int) -> tuple[list[PictureFile], list[str]]:
    """Hash pictures of earlier rounds, which may be deleted at any time; return also the names of those that are gone.

    Raises:
        UsageError: there are too many.
    """
    gone = [path for path in paths if not os.path.exists(path)]
    return look_at([path for path in paths if path not in gone], depth), [Path(path).name for path in gone]


def split(pictures: Sequence[PictureFile]) -> tuple[list[PictureFile], list[PictureFile]]:
    """Return the pictures to learn, and those to hold out: the ends of a few contiguous stretches."""
    if len(pictures) < MIN_SPLIT:
        return list(pictures), []
    held = hold_out(len(pictures), HELD_OUT).tolist()
    pairs = list(zip(pictures, held, strict=True))
    return [one for one, out in pairs if not out], [one for one, out in pairs if out]


class KeptFeatures:
    """Embeds pictures as the bundle does; what was embedded is kept in a folder until `clear`.

    A file is its own checksum and the features: one that was cut short, or is of other shape, is made again.
    """

    def __init__(self, bundle: Bundle, scorer: Scorer, folder: Path, learnt_hw: tuple[int, int]) -> None:
        """Keep the features of a bundle and its children in `folder`, which is created.

        Args:
            bundle: that makes them.
            scorer: of the bundle.
            folder: to keep them in.
            learnt_hw: height and width of a picture that it was learnt from, or their proportions.

        Raises:
            NotWritten: the folder cannot be created.
        """
        self._learnt_hw = learnt_hw
        self._scorer = scorer
        self._folder = folder
        self._made_by = _made_by(bundle, scorer)
        self._shape = math.prod(scorer.grid.hw), bundle.manifest.features.dimension
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._bytes = sum(entry.stat().st_size for entry in folder.iterdir())

    def __call__(self, picture: PictureFile, change: Change = UNCHANGED) -> NDArray[np.float32]:
        """Return the features of a picture, altered, float32 [patches, D].

        Raises:
            UsageError: it cannot be learnt from.
        """
        name = hashlib.sha256(f"{self._made_by} {picture.sha256} {picture.depth} {change}".encode()).hexdigest()
        path = self._folder / f"{name}{_SUFFIX}"
        kept = self._read(path)
        if kept is not None:
            return kept
        image = picture.read()
        self._refuse_shape(picture, image)
        features = self._scorer.embed(self._scorer.preprocess(image if change == UNCHANGED else change(image)))
        if not np.isfinite(features).all():
            raise UsageError("the network gives features that are no numbers", where=str(picture.path))
        self._keep(path, features.tobytes())
        return features

    def _keep(self, path: Path, data: bytes) -> None:
        """Write features, if there is room for them: without, they are computed again."""
        self._bytes += len(data)
        if self._bytes <= MAX_KEPT_BYTES:
            with suppress(NotWritten):
                put(path, hashlib.sha256(data).digest() + data)

    def _refuse_shape(self, picture: PictureFile, image: Image) -> None:
        height, width = image.shape[:2]
        ratio = width / height * self._learnt_hw[0] / self._learnt_hw[1]
        if max(ratio, 1 / ratio) > SAME_SHAPE:
            said = f"{width} x {height} pixels: it has other proportions than what the bundle was learnt from"
            raise UsageError(said, where=str(picture.path), remedy="take pictures of the same camera")

    def clear(self) -> None:
        """Remove what was kept, and the folder unless somebody else has files there."""
        for path in (*self._folder.glob(f"*{_SUFFIX}"), *self._folder.glob(f".*{_SUFFIX}.*")):
            path.unlink(missing_ok=True)
        with suppress(OSError):
            self._folder.rmdir()

    def _read(self, path: Path) -> NDArray[np.float32] | None:
        try:
            data = path.read_bytes()
        except OSError:
            return None
        shape = self._shape
        digest, rest = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        if hashlib.sha256(rest).digest() != digest or len(rest) != 4 * shape[0] * shape[1]:
            return None
        return np.frombuffer(rest, np.float32).reshape(shape).copy()


def _made_by(bundle: Bundle, scorer: Scorer) -> str:
    """Return what features depend on, besides the picture: the same for a bundle and all of its children."""
    manifest = bundle.manifest
    told = msgspec.json.encode((manifest.preprocessing, manifest.features, scorer.provider))
    root = manifest.lineage.root if manifest.lineage else bundle.id
    return hashlib.sha256(told + manifest.files[bundles.MODEL].sha256.encode() + root.encode()).hexdigest()
