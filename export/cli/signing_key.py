"""patchedge-export signing-key: make a pair of keys to sign bundles with."""

from __future__ import annotations

import argparse
from pathlib import Path

NAME = "signing-key"
HELP = "make a key pair to sign bundles: NAME.key, which is secret, NAME.pub for devices"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", type=Path, metavar="NAME", help="path of the files, without .key and .pub")


def run(args: argparse.Namespace) -> int:
    """Make them, and print what a device must know."""
    from export.signing import make_key

    public = make_key(args.name)
    print(f"secret key    {args.name}.key: keep it here, and off the devices")
    print(f"public key    {args.name}.pub: {public}")
    return 0
