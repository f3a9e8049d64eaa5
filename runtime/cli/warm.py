"""patchedge warm: load bundles once, so that the caches of providers are built before they are needed."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

from runtime.cli import overlay

if TYPE_CHECKING:
    from edge_config.settings.device import Settings

NAME = "warm"
HELP = "load the bundles once: build engines, run the golden frames, choose providers"
TALKS = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    overlay.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Load each bundle, and print how long that took and a frame takes; choose its provider if they are `auto`."""
    from edge_config.settings.providers import AUTO
    from runtime.inference.frame_time import frame_ms
    from runtime.inference.load import load
    from runtime.process.affinity import keep_to
    from runtime.process.progress import ticking
    from runtime.process.threads import limit_threads

    settings, paths = overlay.read(args)
    keep_to(settings.affinity)  # as the worker does: it decides which provider is the fastest
    threads = limit_threads(settings.threads, blas=1)
    for path in paths:
        began = time.monotonic()
        print(f"patchedge: {path}: {_what_happens(settings)}", file=sys.stderr)
        if settings.providers == AUTO:
            _choose(path, settings, threads)
        with ticking(f"patchedge: {path}", at_terminal=True):
            bundle, scorer = load(path, threads, trust=settings.trust, providers=settings.providers)
        for line in scorer.passed_over:
            print(f"patchedge: {path}: passed over {line}", file=sys.stderr)
        took_ms = frame_ms(bundle, scorer)
        print(f"{path}: {scorer.provider}, loaded in {time.monotonic() - began:.1f} s, {took_ms:.1f} ms a golden frame")
        if settings.budget_ms is not None and took_ms > settings.budget_ms:
            print(f"patchedge: {path}: more than the budget of {settings.budget_ms:g} ms", file=sys.stderr)
    return 0


def _choose(path: str, settings: Settings, threads: int) -> None:
    """Try all providers with a bundle, keep the choice, and print how it came about."""
    from runtime.cli.bench import providers_table
    from runtime.inference.providers.choice import batches_in_words, write_choice
    from runtime.security.trust import read
    from runtime.tools.choose_provider import choose

    choice = choose(read(path, settings.trust), threads, rebuild_index=settings.trust.rebuild_index)
    kept = write_choice(choice)
    print("\n".join(providers_table(choice.tried)))
    print(f"{path}: {batches_in_words(choice)}")
    print(f"{path}: chosen: {choice.providers[0]}, kept in {kept}")


def _what_happens(settings: Settings) -> str:
    from edge_config.settings.providers import AUTO
    from runtime.inference.providers.start import building
    from runtime.tools.compare_providers import built_in

    names = building(built_in() if settings.providers == AUTO else settings.providers)
    if not names:
        return "nothing is to be built for the CPU; loading"
    return f"{' and '.join(names)}: the first start may take minutes"
