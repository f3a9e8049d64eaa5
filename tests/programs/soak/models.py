"""Bundles for the soak: good ones, and those that must be refused."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import msgspec
import onnx

from edge_config.bundle import files as bundles
from edge_config.bundle import manifest
from edge_config.bundle.staging import staging
from tests.programs.soak import views
from tests.support.small import LAYERS, call_export, small_network

PICTURES = 40


def fit(folder: Path, name: str, *, layers: tuple[str, ...] = LAYERS, seed: int = 0) -> Path:
    """Learn the scene as a camera of the soak shows it; a second or two.

    Raises:
        RuntimeError: `patchedge-export fit` failed.
    """
    images, network, out = folder / "images", folder / "small.onnx", folder / name
    if not images.exists():
        images.mkdir()
        for number in range(PICTURES):
            light = 0.97 + 0.06 * number / PICTURES
            jpeg = cv2.imencode(".jpg", cv2.convertScaleAbs(views.normal(number), alpha=light))[1]
            (images / f"{number:03d}.jpg").write_bytes(jpeg.tobytes())
        onnx.save(small_network(), network)
    options = ["--images", images, "--out", out, "--backbone", network, "--layers", ",".join(layers)]
    done = call_export("fit", *options, "--size", 64, "--threads", 1, "--seed", seed, "--no-report")
    if done.code:
        raise RuntimeError(done.err)
    return out


class Site:
    """The path that a device serves its bundle from, and what can be put there.

    Attributes:
        path: of the bundle in service.
        puts: bundles that were put there so far.
    """

    def __init__(self, folder: Path) -> None:
        """Fit three good bundles into `folder`, and put the first into service."""
        self._folder = folder
        self._goods = [fit(folder, "a.bundle"), fit(folder, "b.bundle", seed=1)]
        self._other = fit(folder, "other.bundle", layers=LAYERS[:1])
        self._turn = self.puts = 0
        self.path = folder / "site.bundle"
        self.put_good()

    def put_good(self) -> str:
        """Put the next good bundle into service and give its id."""
        self._turn += 1
        return self._put(self._goods[self._turn % 2])

    def put_other_dimension(self) -> str:
        """Put a good one with features of another dimension into service and give its id."""
        return self._put(self._other)

    def put_mixed(self) -> None:
        """Put one whose bank is that of another dimension; all hashes are right."""
        self._put(self._goods[0], lambda folder: _mix(folder, self._other))

    def put_truncated(self) -> None:
        """Put one whose copy broke off."""
        self._put(self._goods[0], lambda folder: _truncate(folder / bundles.BANK))

    def put_flipped(self) -> None:
        """Put one with a single wrong bit."""
        self._put(self._goods[0], lambda folder: _flip(folder / bundles.INDEX))

    def _put(self, good: Path, spoil: Callable[[Path], None] = lambda _folder: None) -> str:
        """Rename a copy of `good`, spoilt, over the path in service, and give its id."""
        self.puts += 1
        with staging(self.path, force=True) as folder:
            shutil.copytree(good, folder, dirs_exist_ok=True)
            spoil(folder)
        return hashlib.sha256((self.path / bundles.MANIFEST).read_bytes()).hexdigest()


def _truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def _flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0x10
    file.write_bytes(data)


def _mix(folder: Path, other: Path) -> None:
    """Take the bank of another dimension, and write a manifest that vouches for it."""
    shutil.copy(other / bundles.BANK, folder / bundles.BANK)
    path = folder / bundles.MANIFEST
    found = manifest.decode(path.read_bytes(), str(path))
    path.write_bytes(manifest.encode(msgspec.structs.replace(found, files=bundles.file_table(folder))))
