"""patchedge fleet keys: the key of a device or an operator at the NATS servers, and what it may do there."""

from __future__ import annotations

import argparse
from pathlib import Path

ACTIONS = {"keys": "make the key of a device, and print what it may do, for the configuration of nats-server"}


def add_action(_name: str, parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", metavar="NAME", help="name of the device in the fleet, or of the operator")
    parser.add_argument("--group", action="append", default=[], metavar="GROUP", help="a group of it; repeatable")
    parser.add_argument("--operator", action="store_true", help="for an operator, who may do all in the account")
    parser.add_argument("--prefix", default="patchedge", metavar="WORD", help="as in the settings of the fleet")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the secret file to write (default: NAME.nk)")


def run_alone(args: argparse.Namespace) -> int:
    """Write the secret, and print the entry."""
    import msgspec

    from edge_config.errors import TargetExists, UsageError
    from edge_config.saving import put
    from edge_config.wire.fleet import FleetName
    from runtime.fleet.store.layout import FleetLayout
    from runtime.fleet.store.permissions import device_permissions, new_seed, server_user

    names = [args.name, args.prefix, *args.group]
    try:
        msgspec.convert(names, list[FleetName])
    except msgspec.ValidationError as error:
        what = "not a name: letters, digits, _ and - only, at most 64 of them"
        raise UsageError(what, where=", ".join(names)) from error
    path = args.out or Path(f"{args.name}.nk")
    if path.exists() or path.is_symlink():
        raise TargetExists("exists already", where=str(path), remedy="name another file with --out")
    seed, public = new_seed()
    put(path, f"{seed}\n".encode(), mode=0o600)
    permissions = None if args.operator else device_permissions(FleetLayout(args.prefix), args.name, args.group)
    print(f"# {args.name}: `credentials_file: {path}`")
    print(server_user(public, permissions))
    return 0
