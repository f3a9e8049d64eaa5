"""patchedge warm: load bundles once, so that what a provider builds for them lies in its cache before it is needed."""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runtime.cli import of_settings

if TYPE_CHECKING:
    from edge_config.bundle.files import Bundle
    from edge_config.settings.device import Settings
    from runtime.scoring.scorer import Scorer

NAME = "warm"
HELP = "load the bundles once: engines of TensorRT are built and kept, and the golden frames are run"
TALKS = True

_ROUNDS = 3

_TOLD_S = 4.0
"""Where nobody looks on, the progress is told so often."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    of_settings.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Load each bundle, and say what that took and what a frame takes now."""
    from runtime.inference.load import load
    from runtime.process.threads import limit_threads

    settings, paths = of_settings.read(args)
    threads = limit_threads(settings.threads, blas=1)
    for path in paths:
        began = time.monotonic()
        with ticking(f"{path}: {_what_happens(settings)}"):
            bundle, scorer = load(path, threads, settings.search, trust=settings.trust, providers=settings.providers)
        for line in scorer.passed_over:
            print(f"patchedge: {path}: passed over {line}", file=sys.stderr)
        took_ms = frame_ms(bundle, scorer)
        print(f"{path}: {scorer.provider}, loaded in {time.monotonic() - began:.1f} s, {took_ms:.1f} ms a golden frame")
        if settings.budget_ms is not None and took_ms > settings.budget_ms:
            print(f"patchedge: {path}: more than the budget of {settings.budget_ms:g} ms", file=sys.stderr)
    return 0


def _what_happens(settings: Settings) -> str:
    from runtime.inference.providers import building

    names = building(settings.providers)
    if not names:
        return "nothing is to be built for the CPU; loading"
    return f"{' and '.join(names)}: the first start may take minutes"


def frame_ms(bundle: Bundle, scorer: Scorer) -> float:
    """Measure what a golden frame takes, from preprocessing to its score; the median, milliseconds."""
    from runtime.inference.load import golden_images

    took = []
    for image in golden_images(bundle, scorer.grid) * _ROUNDS:
        start = time.perf_counter()
        scorer(image)
        took.append(time.perf_counter() - start)
    return statistics.median(took) * 1000


@contextmanager
def ticking(what: str) -> Iterator[None]:
    """Show that something goes on, and for how long: on a terminal each second in one line, else now and then."""
    over = threading.Event()
    terminal = sys.stderr.isatty()
    print(f"patchedge: {what}", file=sys.stderr, end="" if terminal else "\n", flush=True)
    began = time.monotonic()

    def tick() -> None:
        while not over.wait(1.0 if terminal else _TOLD_S):
            line = f"patchedge: {what}, {time.monotonic() - began:.0f} s"
            print(f"\r{line}" if terminal else line, file=sys.stderr, end="" if terminal else "\n", flush=True)

    thread = threading.Thread(target=tick, name="ticking")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        if terminal:
            print(file=sys.stderr)
