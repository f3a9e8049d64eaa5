"""patchedge bundle: verify a bundle, or show what it says of itself."""

from __future__ import annotations

import argparse

NAME = "bundle"
HELP = "verify a bundle, or show its manifest"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("action", choices=("verify", "info"), help="check every file, or print the manifest as JSON")
    parser.add_argument("bundle", metavar="DIR")


def run(args: argparse.Namespace) -> int:
    """Verify first in both cases: what is shown is what is there."""
    from edge_config import bundle, manifest

    found = bundle.read(args.bundle)
    if args.action == "info":
        print(manifest.encode(found.manifest).decode(), end="")
    else:
        print(f"{args.bundle}: whole, id {found.id}")
    return 0
