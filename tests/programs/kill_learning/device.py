"""The device that is killed: `patchedge run` with pictures to learn from in a folder, and a chosen learner.

python -m tests.programs.kill_learning.device SETTINGS stub|real
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import runtime.app.serve
import runtime.versions.assemble
from edge_config.settings.parse import parse
from edge_config.settings.reading import read_file
from runtime.cli.main import main
from runtime.teaching.picture import learning_folder
from runtime.versions.learner_process import LearnerLimits
from runtime.versions.learner_queue import QueueOptions
from runtime.versions.lessons import LessonPictures
from tests.support.fakes.learner import COMMAND

TAUGHT = "taught"
"""Folder of the pictures to learn, in that of the camera."""


class FolderLessons:
    """The pictures of a folder are accepted, and stay so: every round learns them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def pictures(self, camera: str) -> LessonPictures:
        """Return what is to be learnt."""
        return LessonPictures(tuple(str(path) for path in sorted((self._folder / camera / TAUGHT).glob("*"))))

    def learnt(self, _camera: str, _learnt: Sequence[str], _held_out: Sequence[str]) -> None:
        """Forget nothing."""

    def taken_back(self, _camera: str, _pictures: Sequence[str]) -> None:
        """Forget nothing."""


def run() -> int:
    """Be a device."""
    config, learner = sys.argv[1:]
    lessons = FolderLessons(learning_folder(parse(read_file(config), where=config)))
    runtime.app.serve.TaughtPictures = lambda *_: lessons
    if learner == "stub":
        runtime.versions.assemble.LearnerLimits = partial(LearnerLimits, command=COMMAND)
    runtime.versions.assemble.QueueOptions = partial(QueueOptions, shortest_s=0.05, longest_s=0.1)
    return main(["run", "--config", config])


if __name__ == "__main__":
    sys.exit(run())
