"""patchedge-export fit: from normal pictures to a bundle."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from runtime.cli.arguments import between, odd, whole

NAME = "fit"
HELP = "learn from normal pictures and write a bundle"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments; their names are the fields of `export.seal.Options`."""
    parser.add_argument("--images", type=Path, required=True, metavar="PATH", help="folder of pictures, or a video")
    parser.add_argument("--out", type=Path, required=True, metavar="NAME.bundle", help="where to write the bundle")
    parser.add_argument("--backbone", default="efficientnet-lite0", choices=("efficientnet-lite0",), help="network")
    parser.add_argument("--size", type=whole(32, 2048), default=224, metavar="PX", help="side of the network's input")
    parser.add_argument(
        "--resize", type=whole(32, 4096), metavar="PX", help="resize to this and crop the centre to --size"
    )
    parser.add_argument("--patch-size", type=odd, default=3, metavar="P", help="side of a neighbourhood, odd")
    parser.add_argument(
        "--coreset", type=between(0, 1), default=0.1, metavar="SHARE", help="share of the patches to keep"
    )
    parser.add_argument(
        "--projection-dim", type=whole(1, 4096), default=128, metavar="D", help="random projection to select in"
    )
    parser.add_argument("--seed", type=whole(0, 2**32 - 1), default=0, help="of the projection and the first entry")
    parser.add_argument("--score", choices=("paper", "max"), default="paper", help="re-weighted, or largest distance")
    parser.add_argument("--b", type=whole(2, 16), default=9, help="neighbours in the re-weighting")
    parser.add_argument("--alpha", type=between(0, 1), default=0.01, metavar="RATE", help="wanted false-alarm rate")
    parser.add_argument(
        "--hold-out", type=between(0, 1), default=0.25, metavar="SHARE", help="pictures kept for calibration"
    )
    parser.add_argument("--max-images", type=whole(1, 10**9), metavar="N", help="take N pictures, spread evenly")
    parser.add_argument(
        "--skip-bad", action="store_true", help="pass over pictures that cannot be read, and count them"
    )
    parser.add_argument("--threads", type=whole(0, 1024), default=0, metavar="N", help="bound on all threads; 0: all")
    parser.add_argument(
        "--force", action="store_true", help="replace a bundle that is there, once the new one is whole"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Fit, and print the summary."""
    from edge_config import bundle
    from edge_config.errors import UsageError

    if args.resize is not None and args.resize < args.size:
        raise UsageError(f"--resize {args.resize} is smaller than --size {args.size}", remedy="crop from a larger one")
    bundle.refuse_target(args.out, force=args.force)  # before torch is loaded

    from export.report import as_text
    from export.seal import Options, fit

    chosen: dict[str, Any] = {name: getattr(args, name) for name in Options.__dataclass_fields__}
    report = fit(Options(**chosen))
    if args.json:
        import msgspec

        print(msgspec.json.encode(report).decode())
    else:
        print(as_text(report, args.out))
    return 0
