"""patchedge keygen: make the keys of a device or of a client."""

from __future__ import annotations

import argparse

NAME = "keygen"
HELP = "make a key pair for a device or a client"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", metavar="NAME", help="path of the two files, without their endings")
    parser.add_argument("--force", action="store_true", help="replace existing keys")


def run(args: argparse.Namespace) -> int:
    """Write both files, and print what to do with them."""
    from runtime.security import keys

    public, secret = keys.make(args.name, force=args.force)
    print(f"public key   {public}")
    print(f"secret key   {secret} (for nobody else to read)")
    print(
        "of a client: copy the public key into the folder `view` in security.clients of the device, or into `operate`"
    )
    print("             if it may also give orders, such as reload")
    print("of a device: set security.secret_key to the secret key, and give the public key to its clients")
    return 0
