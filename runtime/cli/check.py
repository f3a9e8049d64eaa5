"""patchedge check: load bundles as `run` does, without a camera, and show how far scores are from the exporter's."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from runtime.cli import overlay

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_config.bundle.files import Bundle
    from edge_config.settings.device import Settings
    from edge_config.settings.problems import Problem
    from runtime.inference.golden_check import GoldenCheck
    from runtime.scoring.scorer import Scorer

NAME = "check"
HELP = "check settings and bundles: score the golden frames here, compare with the export"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    overlay.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the figures; the exit code says whether `run` would serve this here."""
    import msgspec

    from edge_config.bundle.promise import in_words
    from edge_config.errors import BundleParity
    from edge_config.settings.problems import refusal
    from edge_config.settings.reading import read_file
    from runtime.inference.load import load_and_check
    from runtime.process.threads import limit_threads

    settings, paths = overlay.read(args)
    threads, reports, good = limit_threads(settings.threads or len(settings.affinity)), [], True
    blind: list[Problem] = []
    for path in paths:
        bundle, scorer, found = load_and_check(path, threads, trust=settings.trust, providers=settings.providers)
        calibration = bundle.manifest.calibration
        promised = {"promised_alpha": calibration.promised_alpha, "upper_alpha": calibration.upper_alpha}
        reports.append(
            {**msgspec.to_builtins(found), "good": found.good, "bundle": bundle.id, **promised, **_judged(scorer)}
        )
        good &= found.good
        blind += _blind(settings, path, bundle, scorer)
        if not args.json:
            promise = in_words(calibration.promised_alpha, calibration.upper_alpha)
            print(f"{_in_words(path, found)}; false alarms {promise}{_looks(scorer)}")
        for line in found.passed_over:
            print(f"patchedge: {path}: passed over {line}", file=sys.stderr)
        if not found.good:
            print(f"patchedge: {path}: differs too much on this machine; `run` refuses it", file=sys.stderr)
    if blind:
        raise refusal(blind, args.config, read_file(args.config).lines)
    if args.config and not args.json:
        print(f"{args.config}: whole, {len(settings.cameras)} cameras, profile {settings.profile}")
    if args.json:
        whole: dict[str, Any] = {"profile": settings.profile, "cameras": list(settings.cameras), "bundles": reports}
        print(msgspec.json.encode(whole if args.config else reports[0]).decode())
    return 0 if good else BundleParity.exit_code


def _blind(settings: Settings, path: str, bundle: Bundle, scorer: Scorer) -> Iterator[Problem]:
    """Find regions in which nothing is seen, by the size of the pictures that the bundle was learnt from."""
    from runtime.inference.load import golden_images
    from runtime.scoring.regions import find_blind, find_unlearnt, reach_beyond
    from runtime.view import View

    frame_hw = golden_images(bundle, scorer.grid)[0].shape[:2]
    for name, camera in settings.cameras.items():
        if (camera.bundle or settings.bundle) == path:
            view = View.of(camera)
            if reach_beyond(view, frame_hw):
                size = f"{frame_hw[1]} x {frame_hw[0]}"
                said = f"regions reach beyond {size} pixels, what was learnt from: not checked, `run` will see"
                print(f"patchedge: cameras.{name}: {said}", file=sys.stderr)
            if odd := find_unlearnt(name, view, bundle.manifest, scorer.preprocess, scorer.grid):
                print(f"patchedge: {odd}", file=sys.stderr)
            yield from find_blind(("cameras", name), view, scorer.preprocess, scorer.grid, frame_hw)


def _judged(scorer: Scorer) -> dict[str, int]:
    """Return how many of the patches are in the regions of the bundle."""
    total = scorer.grid.hw[0] * scorer.grid.hw[1]
    return {"patches": total, "judged_patches": total if scorer.judged is None else int(scorer.judged.sum())}


def _looks(scorer: Scorer) -> str:
    return (
        "; judges {judged_patches} of {patches} patches".format(**_judged(scorer)) if scorer.judged is not None else ""
    )


def _in_words(path: str, found: GoldenCheck) -> str:
    return (
        f"{path}: {found.frames} golden frames on {found.provider}: scores within {found.scores:.1e} "
        f"(allowed {found.tolerance.scores:.0e}), patch distances within {found.distances_mean:.1e} "
        f"(allowed {found.tolerance.distances_mean:.0e})"
    )
