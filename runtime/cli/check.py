"""patchedge check: load a bundle as `run` does, and show how far this machine is from the exporter."""

from __future__ import annotations

import argparse
import sys

from runtime.cli.arguments import whole

NAME = "check"
HELP = "score the golden frames of a bundle on this machine, and compare with the exporter"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("bundle", metavar="DIR")
    parser.add_argument("--threads", type=whole(0, 1024), default=0, metavar="N", help="bound on all threads; 0: all")
    parser.add_argument("--key", action="append", default=[], metavar="KEY", help="as of `bundle verify`; repeatable")
    parser.add_argument("--rebuild-index", action="store_true", help="build the index anew, and never open the file")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the figures; the exit code says whether `run` would serve this bundle here."""
    from edge_config.errors import BundleParity
    from edge_config.sections import Trust
    from runtime.load import load_and_check
    from runtime.threads import limit_threads

    trust = Trust(keys=tuple(args.key), rebuild_index=args.rebuild_index)
    bundle, _, found = load_and_check(args.bundle, limit_threads(args.threads), trust=trust)
    if args.json:
        import msgspec

        print(msgspec.json.encode({**msgspec.to_builtins(found), "good": found.good, "bundle": bundle.id}).decode())
    else:
        print(
            f"{args.bundle}: {found.frames} golden frames on {found.provider}: scores within {found.scores:.1e} "
            f"(allowed {found.tolerance.scores:.0e}), patch distances within {found.distances_mean:.1e} "
            f"(allowed {found.tolerance.distances_mean:.0e})"
        )
    if not found.good:
        print(f"patchedge: {args.bundle}: differs too much on this machine; `run` refuses it", file=sys.stderr)
    return 0 if found.good else BundleParity.exit_code
