"""Real file systems that are small: they fill as a user's do."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PAGE_BYTES = 4096


@contextmanager
def small_disk(folder: Path, pages: int) -> Iterator[Path]:
    """Mount a file system of so many pages of 4 KiB at `folder`; skips the test where that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={pages * PAGE_BYTES}"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no `mount`")
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        umount = ["umount", "--lazy", str(folder)]
        subprocess.run(umount, check=True)


def fill(folder: Path) -> Path:
    """Leave no room on the disk of `folder`; give the file that takes it all."""
    path = folder / "all-the-room"
    with path.open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(bytes(PAGE_BYTES))
        except OSError:
            return path
