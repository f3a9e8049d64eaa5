"""Memory and disk of `fit`: said before the work, near what is measured, and one line where there is too little."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

import runtime.learning.learn
import runtime.learning.learn_bank
import runtime.learning.memory_needed
from edge_config.errors import BundleGraphInvalid, NotEnoughMemory, NotWritten
from runtime.learning.memory_needed import FACTOR, Needs, Work, needed, require
from runtime.process.memory_error import out_of_memory
from tests.support.processes import EXPORT
from tests.support.small import LAYERS, call_export, errors_of, small_network, small_options

WORK = Work(
    pictures=40,
    train=30,
    patches=1600,
    dimension=176,
    projected=128,
    entries=1440,
    pixels=12_000_000,
    graph_bytes=10**7,
)
SAID = re.compile(r"note: needs about ([0-9.]+) GB of memory and ([0-9.]+ GB|[1-9][0-9]* MB) of disk")
DIGIT = 0.05e9
"""Bytes by which a figure in GB with one digit may be rounded."""

UNAVAILABLE = 69


PEAK = """import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=sys.stderr)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)"""
"""Prints the peak of a command, KiB. It is a process between: a child counts the peak of its parent as its own."""


def peak_of(*words: object) -> tuple[str, int]:
    """Run a command; return what it said on stderr, and its peak of memory, bytes."""
    done = subprocess.run([sys.executable, "-c", PEAK, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr, int(done.stdout) * 1024


@pytest.mark.slow
@pytest.mark.parametrize(("hw", "count", "size"), [((120, 160), 8, 64), ((2400, 3200), 4, 64)])
def test_the_estimate_is_near_what_is_measured(tmp_path: Path, hw: tuple[int, int], count: int, size: int) -> None:
    """What `fit` says that it needs is near its peak, with small pictures and with large ones."""
    (tmp_path / "images").mkdir()
    for number in range(count):
        coarse = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "images" / f"{number:03d}.jpg"), cv2.resize(coarse, hw[::-1]))
    onnx.save(small_network(), tmp_path / "small.onnx")
    network = ("--backbone", tmp_path / "small.onnx", "--layers", ",".join(LAYERS), "--size", size, "--threads", 1)
    out = tmp_path / "x.bundle"
    said, peak = peak_of(*EXPORT, "fit", "--images", tmp_path / "images", "--out", out, *network)
    found = SAID.search(said)
    assert found, said
    memory = float(found[1]) * 1e9
    assert (memory - DIGIT) / FACTOR <= peak <= (memory + DIGIT) * FACTOR


def test_memory_does_not_grow_with_the_number_of_large_pictures() -> None:
    """A picture more costs its features, not its pixels, and features beyond a bound cost disk."""
    many = Work(**{name: getattr(WORK, name) for name in WORK.__slots__} | {"pictures": 400, "train": 300})
    few_room, many_room = needed(WORK, 0), needed(many, 0)
    assert many_room.memory - few_room.memory < 300 * 1600 * 200 * 4
    assert few_room.disk < many_room.disk
    assert many_room.disk > 400 * 1600 * 176 * 4


def test_what_cannot_fit_is_refused_with_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too little memory or disk is one line with what is needed, what is left, by which limit, and what helps."""
    monkeypatch.setattr(
        runtime.learning.memory_needed, "_left", lambda: iter([(10**8, "of a limit"), (10**10, "of another")])
    )
    huge = Work(10**6, 10**6, 1600, 176, 128, 10**5, 10**6, 10**6)
    with pytest.raises(NotEnoughMemory, match=r"needs about [0-9.]+ GB .* GB of memory are left \(of a limit\); learn"):
        require(huge, tmp_path, "normal/")
    monkeypatch.setattr(runtime.learning.memory_needed, "needed", lambda _work, _held: Needs(1, 1 << 62))
    with pytest.raises(NotWritten, match="GB of disk are free; make room"):
        require(WORK, tmp_path, "normal/")


def test_fit_is_refused_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`fit` that cannot fit ends with 69 and one line, before a picture is embedded, and leaves nothing behind."""
    words = small_options(tmp_path, tmp_path / "x.bundle")
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(runtime.learning.memory_needed, "needed", lambda _work, _held: Needs(1 << 60, 0))
    monkeypatch.setattr(runtime.learning.learn, "Source", None)
    done = call_export("fit", *words)
    assert done.code == UNAVAILABLE
    assert len(errors_of(done.err)) == 1
    assert "of memory are left" in done.err
    assert sorted(tmp_path.rglob("*")) == before


def no_memory_for_numpy() -> None:
    np.empty(1 << 58)


def fail_with(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


MISSING: dict[str, Callable[[], None]] = {
    "python": fail_with(MemoryError()),
    "numpy": no_memory_for_numpy,
    "system": fail_with(OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))),
    "opencv": fail_with(cv2.error("OpenCV(5) alloc.cpp: error: (-4:Insufficient memory) Failed to allocate 12 bytes")),
    "onnxruntime": fail_with(RuntimeError("Failed to allocate memory for requested buffer of size 1200")),
    "hnswlib": fail_with(RuntimeError("Not enough memory: loadIndex failed to allocate linklists")),
    "torch": fail_with(RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory")),
    "threads": fail_with(RuntimeError("can't start new thread")),
}


@pytest.mark.parametrize("who", MISSING)
def test_memory_that_is_missing_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, who: str) -> None:
    """However a library says that memory is missing, `fit` ends with 69 and one line, and leaves nothing behind."""
    words = small_options(tmp_path, tmp_path / "x.bundle")
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(runtime.learning.learn_bank, "make_bank", lambda *_: MISSING[who]())
    done = call_export("fit", *words)
    assert done.code == UNAVAILABLE
    lines = errors_of(done.err)
    assert len(lines) == 1
    assert "not enough memory" in lines[0]
    assert "close other programs" in lines[0]
    assert sorted(tmp_path.rglob("*")) == before


def test_a_picture_is_not_blamed_for_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture that is not decoded for want of memory is neither damaged nor skipped."""
    words = small_options(tmp_path, tmp_path / "x.bundle")
    monkeypatch.setattr(cv2, "imdecode", lambda *_: MISSING["opencv"]())
    done = call_export("fit", *words, "--skip-bad")
    assert done.code == UNAVAILABLE
    assert "not enough memory" in done.err
    assert "damaged" not in done.err


def test_a_graph_is_not_blamed_for_memory() -> None:
    """Whatever is made of an error, the first of the chain says that memory is missing."""
    refused = BundleGraphInvalid("ONNX Runtime refuses it", where="model.onnx")
    refused.__cause__ = RuntimeError("Failed to allocate memory for requested buffer of size 1200")
    assert "Failed to allocate" in str(out_of_memory(refused))
    refused.__cause__ = RuntimeError("Protobuf parsing failed")
    assert out_of_memory(refused) is None


def test_a_chain_of_errors_that_is_a_ring_has_an_end() -> None:
    """An error that was raised from itself, or from one that was raised from it, is looked at once."""
    one, other = ValueError("one"), ValueError("other")
    one.__cause__ = one
    assert out_of_memory(one) is None
    one.__cause__, other.__cause__ = other, one
    assert out_of_memory(one) is None


@pytest.mark.parametrize(
    "error", [ValueError("bad allocation"), RuntimeError("a bug"), OSError(errno.ENOENT, "no file")]
)
def test_other_errors_are_not_memory(error: Exception) -> None:
    """A bug is not called a want of memory."""
    assert out_of_memory(error) is None
