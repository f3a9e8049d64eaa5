"""patchedge-export manifest: write a list of pictures with their hashes."""

from __future__ import annotations

import argparse
from pathlib import Path

NAME = "manifest"
HELP = "write a list of pictures with their hashes, to learn from exactly these"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--images", required=True, metavar="PATH", help="folder or address of the pictures")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="the list, .csv or .jsonl; an old one is replaced"
    )


def run(args: argparse.Namespace) -> int:
    """Read all pictures, and write the list."""
    from edge_config.errors import UsageError
    from export.pictures.manifest import ENDINGS, write_manifest
    from export.pictures.where import pictures_at

    if args.out.suffix.lower() not in ENDINGS:
        raise UsageError("is no name of a list", where=str(args.out), remedy=f"end it with {' or '.join(ENDINGS)}")
    pictures = pictures_at(args.images)
    if pictures is None:
        raise UsageError("is a file", where=args.images, remedy="give a folder of pictures, or an address")
    print(f"{args.out}: {write_manifest(pictures, args.out)} pictures")
    return 0
