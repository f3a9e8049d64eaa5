"""patchedge-export recalibrate: a new threshold from new normal pictures."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from runtime.cli import exclude
from runtime.cli.arguments import between, whole
from runtime.cli.learn_arguments import ALERTS_PER_DAY

NAME = "recalibrate"
HELP = "make a bundle with a new threshold from new normal pictures; the rest stays"

_FORCE = "replace a bundle that is there, and take a threshold that would miss faults"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="the bundle; it is not changed")
    parser.add_argument("--images", type=Path, required=True, metavar="PATH", help="new normal pictures, or a video")
    parser.add_argument("--out", type=Path, required=True, metavar="NAME.bundle", help="where to write the new bundle")
    parser.add_argument(
        "--alpha", type=between(0, 1), metavar="RATE", help="wanted false-alarm rate (default: as before)"
    )
    parser.add_argument("--alerts-per-day", type=between(0, 1e6), metavar="N", help=ALERTS_PER_DAY)
    parser.add_argument("--exclude", type=exclude.number_or_auto, metavar="N|auto", help=exclude.HELP)
    parser.add_argument("--max-images", type=whole(1, 10**9), metavar="N", help="take N pictures, spread evenly")
    parser.add_argument("--skip-bad", action="store_true", help="pass over pictures that cannot be read")
    parser.add_argument(
        "--threads", type=whole(0, 1024), default=0, metavar="N", help="limit of all threads; 0: all cores"
    )
    parser.add_argument("--force", action="store_true", help=_FORCE)
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Recalibrate, and print both thresholds."""
    from edge_config.bundle.may_vary import NOTHING
    from export.recalibrate import recalibrate
    from runtime.learning.summary import alert_rows, promise

    done = recalibrate(
        args.bundle,
        args.images,
        args.out,
        alpha=args.alpha,
        exclude=args.exclude,
        alerts_per_day=args.alerts_per_day,
        max_images=args.max_images,
        skip_bad=args.skip_bad,
        threads=args.threads,
        force=args.force,
    )
    if done.problem:
        print(f"patchedge-export: warning: {done.problem}", file=sys.stderr)
    if args.json:
        import msgspec

        print(msgspec.json.encode(done).decode())
        return 0
    skipped = f", {len(done.skipped)} skipped as unreadable" if done.skipped else ""
    print(f"bundle        {args.out} (id {done.bundle_id[:12]}), from {args.bundle} (id {done.recalibrated_from[:12]})")
    altered = "" if done.may_vary == NOTHING else f", altered within {done.may_vary}"
    print(f"pictures      {done.after.n} calibrated with{altered}{skipped}")
    print(f"threshold     {done.after.threshold:.4f}, was {done.before.threshold:.4f}")
    print(f"false alarms  {promise(done.after)}")
    print(f"faults        {done.faults}")
    for name, text in alert_rows(done.alerts).items():
        print(f"{name:<13} {text}")
    for note in done.survey.notes:
        print(f"note          {note}")
    for warning in [*done.warnings, *([done.problem] if done.problem else [])]:
        print(f"warning       {warning}")
    return 0
