"""A small network in an ONNX file, coloured pictures for it, and both commands without a process of their own.

Whole fits with it take a second: no torch, no download.
"""

from __future__ import annotations

import contextlib
import io
import signal
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from skimage import data

import export.cli.main
import runtime.cli.main
from runtime.frame import Image
from tests.support.processes import without_progress

CHANNELS = (8, 12, 16, 20)
LAYERS = ("map_1", "map_3")
"""Of stride 4 and 16."""

HEIGHT, WIDTH = 120, 160

PROGRESS = "patchedge-export fit: "
"""How a line of progress begins."""


class Done(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


def errors_of(said: str) -> list[str]:
    """Return the lines on stderr that are neither notes nor progress, which a slow machine prints."""
    return [line for line in said.splitlines() if ": note: " not in line and not line.startswith(PROGRESS)]


def call_export(*words: Any) -> Done:
    """Run `patchedge-export` in this process."""
    return _call(export.cli.main.main, words)


def call_device(*words: Any) -> Done:
    """Run `patchedge` in this process; not `run`, which ends with its process."""
    return _call(runtime.cli.main.main, words)


def _call(main: Callable[[list[str]], int], words: Iterable[Any]) -> Done:
    """Run a command, and put its handling of SIGTERM back."""
    handler = signal.getsignal(signal.SIGTERM)
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([str(word) for word in words])
    except SystemExit as leaving:  # argparse
        code = int(leaving.code or 0)
    finally:
        signal.signal(signal.SIGTERM, handler)
    return Done(code, out.getvalue(), without_progress(err.getvalue()))


def small_network() -> onnx.ModelProto:
    """Build four convolutions of stride 2 with fixed random weights: float32 [N, 3, H, W] RGB -> maps."""
    random = np.random.default_rng(0)
    nodes, constants, before, inputs = [], [], "picture", 3
    for number, outputs in enumerate(CHANNELS):
        weight = random.standard_normal((outputs, inputs, 3, 3)) / np.sqrt(inputs * 9)
        constants.append(numpy_helper.from_array(weight.astype(np.float32), f"weight_{number}"))
        taken = [before, f"weight_{number}"]
        nodes.append(helper.make_node("Conv", taken, [f"sum_{number}"], pads=[1] * 4, strides=[2, 2]))
        nodes.append(helper.make_node("Relu", [f"sum_{number}"], [f"map_{number}"]))
        before, inputs = f"map_{number}", outputs
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info(before, TensorProto.FLOAT, ["n", inputs, "y", "x"])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    return model


@cache
def _photograph() -> Image:
    return np.ascontiguousarray(data.coffee()[..., ::-1])


def colour_picture(number: int) -> Image:
    """Cut a piece out of a photograph in colours."""
    random, photograph = np.random.default_rng(number), _photograph()
    top, left = (
        int(random.integers(0, have - want)) for have, want in zip(photograph.shape, (HEIGHT, WIDTH), strict=False)
    )
    return photograph[top : top + HEIGHT, left : left + WIDTH].copy()


def write_colours(folder: Path, count: int, first: int = 0) -> Path:
    """Write `count` pieces."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        cv2.imwrite(str(folder / f"{number:03d}.png"), colour_picture(number))
    return folder


def small_options(folder: Path, out: Path, *, count: int = 12) -> list[str]:
    """Write pictures and network into `folder`, and give the arguments of a `fit` of a second, without a page."""
    images = write_colours(folder / "images", count)
    onnx.save(small_network(), folder / "small.onnx")
    words = ["--images", images, "--out", out, "--backbone", folder / "small.onnx", "--layers", ",".join(LAYERS)]
    return [str(word) for word in (*words, "--size", 64, "--threads", 1, "--no-report")]
