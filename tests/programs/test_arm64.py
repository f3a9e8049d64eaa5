"""The judgements of `make arm64`: it takes half an hour, so what it would miss is tried here."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from edge_config.wire.messages import ScoreMessage
from tests.programs.arm64 import sizes
from tests.programs.arm64.disassembly import function, loops
from tests.programs.arm64.inside import Inside, faults
from tests.programs.arm64.scores import Played, compare, table

# As objdump prints; the loop with fmla is the inner one.
LISTING = """
0000000000001000 <hnswlib::L2Sqr(void const*, void const*, void const*)>:
    1000:\tldr\tx4, [x2]
    1004:\tcbz\tx4, 1020 <hnswlib::L2Sqr(void const*, void const*, void const*)+0x20>
    1008:\tldr\tq1, [x0, x3]
    100c:\tfsub\tv1.4s, v1.4s, v2.4s
    1010:\tfmla\tv0.4s, v1.4s, v1.4s
    1014:\tb.ne\t1008 <hnswlib::L2Sqr(void const*, void const*, void const*)+0x8>  // b.any
    1018:\tfaddp\tv0.4s, v0.4s, v0.4s
    101c:\tb.ne\t1004 <hnswlib::L2Sqr(void const*, void const*, void const*)+0x4>  // b.any
    1020:\tret

0000000000002000 <other>:
    2000:\tret
"""


def score(frame: int, value: float | None, label: str = "normal") -> ScoreMessage:
    return ScoreMessage(
        schema="patchedge.score.v1",
        device="edge",
        camera="belt",
        epoch="e",
        seq=frame,
        t_publish_ns=1,
        bundle="b",
        state="live",
        frame_id=frame,
        t_capture_ns=1,
        t_mono_ns=1,
        age_ms=1.0,
        score=value,
        threshold=2.0,
        label=label,
        peak_xy=(1, 1),
    )


def played(*scores: ScoreMessage) -> Played:
    return Played({each.frame_id: each for each in scores})


def test_differences_are_relative_to_x86() -> None:
    """A row says by what share of its score a frame differs, and whether the label does."""
    rows = compare(
        played(score(1, 1.0), score(2, 4.0, "anomalous")), played(score(1, 1.0), score(2, 4.002, "anomalous"))
    )
    assert [row.difference for row in rows] == pytest.approx([0.0, 0.0005])
    assert all(row.same_label for row in rows)
    assert "most 5.0e-04" in table(rows)[-1]


def test_another_label_is_told() -> None:
    """A label that is not the same shows in its row and in the last line."""
    rows = compare(played(score(1, 1.99)), played(score(1, 2.01, "anomalous")))
    assert not rows[0].same_label
    assert "0 of 1" in table(rows)[-1]


@pytest.mark.parametrize("other", [played(), played(score(2, 1.0)), played(score(1, 1.0), score(2, None))])
def test_frames_without_a_counterpart_are_refused(other: Played) -> None:
    """Nothing is compared where a frame is missing or was not scored."""
    with pytest.raises(ValueError, match=r"frame"):
        compare(played(score(1, 1.0), score(2, 1.0), score(3, 1.0)), other)


def test_only_the_innermost_loop_of_the_function_is_shown() -> None:
    """The loop is found from its branch backwards, without the outer one and without other functions."""
    instructions = function(LISTING, "hnswlib::L2Sqr(")
    assert len(instructions) == 9
    assert loops(instructions) == [
        [
            "1008: ldr\tq1, [x0, x3]",
            "100c: fsub\tv1.4s, v1.4s, v2.4s",
            "1010: fmla\tv0.4s, v1.4s, v1.4s",
            "1014: b.ne\t1008 <hnswlib::L2Sqr(void const*, void const*, void const*)+0x8>  // b.any",
        ]
    ]


GOOD = {
    "machine": "aarch64",
    "user": [10001, 10001, 10001],
    "groups": [],
    "capabilities": "0000000000000000",
    "no_new_privs": "1",
    "programs": {"gcc": None, "patchedge": "/opt/patchedge/bin/patchedge"},
    "modules": {"torch": False, "cv2": True},
    "writable": {"/": "Read-only file system", "/data": True},
}


def test_an_image_as_it_must_be_has_no_faults() -> None:
    """Nothing is found wrong where nothing is."""
    assert not faults(GOOD)


@pytest.mark.parametrize(
    "wrong",
    [
        {"user": [0, 0, 0]},
        {"capabilities": "00000000000000c0"},
        {"machine": "x86_64"},
        {"programs": {"gcc": "/usr/bin/gcc"}},
        {"modules": {"torch": True}},
        {"modules": {"cv2": False}},
        {"writable": {"/opt/patchedge/bin": True}},
        {"writable": {"/data": "Permission denied"}},
    ],
)
def test_what_an_image_must_not_have_is_found(wrong: dict[str, Any]) -> None:
    """Root, a capability, a compiler, torch, something missing or something writable is told."""
    assert len(faults(GOOD | wrong)) == 1


def test_a_command_runs_as_the_image_says(tmp_path: Path) -> None:
    """The root is mounted read-only, the user and the environment are those of the image."""
    config = {"User": "10001:10002", "Env": ["A=b=c"], "Entrypoint": ["patchedge"], "Cmd": ["run"]}
    image = Inside(Path("/root-of-it"), config, {"/bundles": Path("/here")}, Path("/data-here"), tmp_path)
    words = " ".join(image.command(image.entry()))
    assert "--ro-bind /root-of-it / " in words
    assert "--ro-bind /here /bundles" in words
    assert "--setenv A b=c" in words
    assert "--setenv QEMU_CPU cortex-a72" in words
    assert "0xd08" in (tmp_path / "cortex-a72" / "cpuinfo").read_text()
    assert "--reuid=10001 --regid=10002 --clear-groups" in words
    assert words.endswith("patchedge run")
    assert image.entry("check", "b") == ["patchedge", "check", "b"]


@pytest.mark.parametrize(
    ("path", "row"),
    [
        ("opt/patchedge/lib/python3.11/site-packages/cv2/cv2.abi3.so", "python: opencv"),
        ("opt/patchedge/lib/python3.11/site-packages/opencv_python_headless.libs/libavcodec.so", "python: opencv"),
        ("opt/patchedge/lib/python3.11/site-packages/numpy-2.4.6.dist-info/METADATA", "python: numpy"),
        ("opt/patchedge/lib/python3.11/site-packages/hnswlib.cpython-311-aarch64-linux-gnu.so", "python: hnswlib"),
        ("usr/lib/aarch64-linux-gnu/libc.so.6", "/usr/lib/aarch64-linux-gnu"),
        ("usr/bin/perl", "/usr/bin"),
        ("lib", "/lib"),
    ],
)
def test_files_are_counted_for_what_they_belong_to(path: str, row: str) -> None:
    """Libraries and metadata of a package count for it."""
    assert sizes.group(PurePosixPath(path)) == row


def test_a_file_with_two_names_counts_once(tmp_path: Path) -> None:
    """Sizes are those that a disk needs."""
    (tmp_path / "one").write_bytes(b"12345")
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    assert sizes.measure(tmp_path).total() == 5
