"""Videos that OpenCV cannot write, made by ffmpeg."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np

HW = (48, 64)


def variable_rate(path: Path, at_s: list[float]) -> Path:
    """Write a video of grey pictures, each 4 levels lighter than the one before, shown at these times.

    They are multiples of 40 ms: that is how ffmpeg counts where it reads pictures.
    """
    folder = path.with_suffix(".pictures")
    folder.mkdir()
    lines = []
    for number, at in enumerate(at_s):
        name = folder / f"{number:04d}.png"
        cv2.imwrite(str(name), np.full((*HW, 3), 60 + 4 * number, np.uint8))
        until = at_s[number + 1] if number + 1 < len(at_s) else at + 0.04
        lines.append(f"file '{name}'\nduration {until - at:.6f}\n")
    (folder / "list").write_text("".join(lines))
    rate = ["-fps_mode", "passthrough", "-enc_time_base", "1/1000", "-video_track_timescale", "1000"]
    ffmpeg(*("-f", "concat", "-safe", "0", "-i", folder / "list"), *rate, *("-c:v", "mpeg4", "-q:v", "2", path))
    return path


def ffmpeg(*words: object) -> None:
    """Run ffmpeg, and wait for its end."""
    program = shutil.which("ffmpeg") or "ffmpeg"
    subprocess.run([program, "-loglevel", "error", "-y", *map(str, words)], check=True, timeout=60)
