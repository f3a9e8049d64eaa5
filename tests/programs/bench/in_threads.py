"""The stages of a frame in the threads of one process, as the measure that the processes are held against.

It decodes ahead, and from two threads on it embeds the next frame while this one is searched and published: what the
runtime did before cameras and inference got processes of their own. Arguments are those of `patchedge run`.
"""

from __future__ import annotations

import argparse
import threading
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from runtime.alerts.monitored_camera import MonitoredCamera
from runtime.camera.sources.in_process import open_source
from runtime.camera.sources.prefetch import Prefetch
from runtime.frame import BundleInfo, Frame, Result
from runtime.inference.load import load, scene_reference
from runtime.messaging.publisher import Publisher
from runtime.process.threads import limit_threads
from runtime.scene.inspect import Inspect

Features = NDArray[np.float32]


def main() -> None:
    """Play a source once."""
    parser = argparse.ArgumentParser()
    for name in ("--bundle", "--source", "--bind", "--pace"):
        parser.add_argument(name, required=True)
    for name in ("--threads", "--wait-subscribers"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--fps", type=float)
    args = parser.parse_args()
    threads = limit_threads(args.threads, blas=1)
    bundle, scorer = load(args.bundle, threads)
    inspect = Inspect(bundle.manifest.scene, scene_reference(bundle))
    publisher = Publisher(args.bind, device="bench")
    watched = MonitoredCamera("bench", publisher)
    calibration = bundle.manifest.calibration
    watched.serve(BundleInfo(bundle.id, args.bundle, calibration.threshold, calibration.promised_alpha))
    publisher.wait_subscribers(args.wait_subscribers, threading.Event())
    camera = open_source(args.source, pace=args.pace, fps=args.fps)

    def embedded() -> Iterator[tuple[Frame, Features]]:
        rooms: list[Features | None] = [None, None]
        while (frame := camera.read()) is not None:
            if frame.image is not None:
                inspect(frame.image, frame.t_mono_ns)
                rooms.append(scorer.embed(scorer.preprocess(frame.image), rooms.pop(0)))
                yield frame, rooms[-1]  # type: ignore[misc]

    for frame, features in Prefetch(embedded(), "embed") if threads > 1 else embedded():
        score = scorer.judge(features)
        height, width = frame.image.shape[:2]  # type: ignore[union-attr]
        peak_xy = scorer.preprocess.to_camera(score.patch, scorer.grid, (height, width))
        watched.publish(frame, Result(score.value, score.patch, score.entry, peak_xy))
    publisher.close()


if __name__ == "__main__":
    main()
