"""patchedge-export sign: sign a bundle or a network file."""

from __future__ import annotations

import argparse
from pathlib import Path

NAME = "sign"
HELP = "sign a bundle or a network file: it gets a file with the signature, no more"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="the bundle, or the network file")
    parser.add_argument("--key", type=Path, required=True, metavar="FILE", help="secret key made by `signing-key`")
    parser.add_argument("--force", action="store_true", help="replace a signature that is there")


def run(args: argparse.Namespace) -> int:
    """Verify the bundle, and sign it."""
    from runtime.security.signing import read_key, sign

    bundle_id, public = sign(args.bundle, read_key(args.key), force=args.force)
    print(f"{args.bundle}: id {bundle_id}, signed by {public}")
    return 0
