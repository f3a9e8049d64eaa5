"""patchedge bundle: verify a bundle, show its manifest, pack it into one file and unpack it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_config.bundle.files import Bundle
    from edge_config.settings.sections import Trust

NAME = "bundle"
HELP = "verify a bundle, show its manifest, pack it into one file, unpack it"

_KEY = "refuse a bundle that is not signed by this public key (ed25519:..., or a file); repeatable"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    verify, info, pack, unpack = (
        actions.add_parser(name, help=said, description=said)
        for name, said in {
            "verify": "check every file",
            "info": "check every file, and print the manifest and its signer as JSON",
            "pack": "pack a bundle into one file; equal bundles give equal bytes",
            "unpack": "unpack such a file into a bundle, once it is verified",
        }.items()
    )
    unpack.add_argument("file", type=Path, metavar="FILE", help="the packed bundle")
    for action in (verify, info, pack, unpack):
        action.add_argument("bundle", type=Path, metavar="DIR", help="the bundle, a folder")
        action.add_argument("--key", action="append", default=[], metavar="KEY", help=_KEY)
    pack.add_argument("file", type=Path, metavar="FILE", help="the file to write")
    for action in (pack, unpack):
        action.add_argument("--force", action="store_true", help="replace an existing target")


def run(args: argparse.Namespace) -> int:
    """Verify first in all cases: what is shown, packed or unpacked is what is there."""
    from edge_config.bundle import pack
    from edge_config.settings.sections import Trust
    from runtime.security.trust import Judge, read

    trust = Trust(keys=tuple(args.key))
    if args.action == "unpack":
        found = pack.unpack(args.file, args.bundle, Judge(trust), force=args.force)
    else:
        found = read(args.bundle, trust)
    match args.action:
        case "info":
            print(_info(found, trust))
        case "pack":
            pack.pack(found, args.file, force=args.force)
            print(f"{args.file}: {args.file.stat().st_size} bytes, bundle {found.id}")
        case _:
            key = signer(found)
            print(f"{args.bundle}: whole, id {found.id}, {f'signed by {key}' if key else 'not signed'}")
    return 0


def signer(bundle: Bundle) -> str | None:
    """Return the key that a bundle is signed by, checked; None if it is not signed.

    Raises:
        BundleSignatureInvalid: it is not what this key has signed.
    """
    from edge_config.bundle import files as bundles
    from edge_config.bundle import signature
    from runtime.security.trust import verify

    text = bundles.read_signature(bundle.path)
    if text is None:
        return None
    where = str(bundle.file(bundles.SIGNATURE))
    found = signature.decode(text, where)
    verify(bundles.read_manifest(bundle.path), found, where)
    return found.key


def _info(bundle: Bundle, trust: Trust) -> str:
    import msgspec

    from edge_config.bundle import manifest

    tree: dict[str, Any] = msgspec.json.decode(manifest.encode(bundle.manifest))
    tree["signature"] = {"key": signer(bundle), "trusted": bool(trust.keys)}
    return msgspec.json.format(msgspec.json.encode(tree), indent=2).decode()
