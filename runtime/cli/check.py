"""patchedge check: load bundles as `run` does, without a camera, and show how far this machine is from the exporter."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from runtime.cli import of_settings

if TYPE_CHECKING:
    from runtime.load import GoldenCheck

NAME = "check"
HELP = "check settings and their bundles, or a bundle: score its golden frames here, and compare with the exporter"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    of_settings.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the figures; the exit code says whether `run` would serve this here."""
    import msgspec

    from edge_config.errors import BundleParity
    from edge_config.promise import in_words
    from runtime.load import load_and_check
    from runtime.threads import limit_threads

    settings, paths = of_settings.read(args)
    threads, reports, good = limit_threads(settings.threads), [], True
    for path in paths:
        bundle, _, found = load_and_check(
            path, threads, settings.search, trust=settings.trust, providers=settings.providers
        )
        calibration = bundle.manifest.calibration
        promised = {"promised_alpha": calibration.promised_alpha, "upper_alpha": calibration.upper}
        reports.append({**msgspec.to_builtins(found), "good": found.good, "bundle": bundle.id, **promised})
        good &= found.good
        if not args.json:
            promise = in_words(calibration.promised_alpha, calibration.upper)
            print(f"{_in_words(path, found)}; false alarms {promise}")
        for line in found.passed_over:
            print(f"patchedge: {path}: passed over {line}", file=sys.stderr)
        if not found.good:
            print(f"patchedge: {path}: differs too much on this machine; `run` refuses it", file=sys.stderr)
    if args.config and not args.json:
        print(f"{args.config}: whole, {len(settings.cameras)} cameras, profile {settings.profile}")
    if args.json:
        whole: dict[str, Any] = {"profile": settings.profile, "cameras": list(settings.cameras), "bundles": reports}
        print(msgspec.json.encode(whole if args.config else reports[0]).decode())
    return 0 if good else BundleParity.exit_code


def _in_words(path: str, found: GoldenCheck) -> str:
    return (
        f"{path}: {found.frames} golden frames on {found.provider}: scores within {found.scores:.1e} "
        f"(allowed {found.tolerance.scores:.0e}), patch distances within {found.distances_mean:.1e} "
        f"(allowed {found.tolerance.distances_mean:.0e})"
    )
