"""patchedge-export fit: from normal pictures to a bundle."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from export.cli import exclude
from export.cli.may_vary import may_vary
from export.options import DEFAULTS, Options
from runtime.cli.arguments import between, odd, polygon, share, share_or_count, triple, whole
from runtime.learning.options import read_options

REGIONS = "learn and judge only patches inside of this polygon, pixels of the pictures; repeat it for several"
IGNORE = "neither learn nor judge patches inside of this polygon, such as a clock; repeat it for several"

ALERTS_PER_DAY = (
    "choose threshold and least duration of an alert for N false alerts a day; needs a video, or a folder of `record`"
)

TEST_SET = "pictures with truth, a folder or a CSV list: the report says what is found of them, and what int8 costs"

NAME = "fit"
HELP = "learn from normal pictures and write a bundle"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments; their names are the fields of `export.options.Options`."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="these options in YAML or TOML; arguments override it"
    )

    def option(flag: str, text: str, **more: Any) -> None:
        default = DEFAULTS.get(flag.removeprefix("--").replace("-", "_"))
        shown = text if default in (None, False, ()) else f"{text} (default: {str(default).replace('%', '%%')})"
        parser.add_argument(flag, help=shown, default=argparse.SUPPRESS, **more)

    option("--images", "folder of normal pictures, or a video", metavar="PATH")
    option("--out", "where to write the bundle", metavar="NAME.bundle")
    option("--backbone", "efficientnet-lite0, -lite1 or -lite2, the name of a timm network, or an ONNX file")
    option("--weights", "file with the weights of the network", metavar="FILE")
    option(
        "--layers", "layers to join, the finest first; for an ONNX file names of tensors", type=_names, metavar="A,B"
    )
    option(
        "--tokens-to-map",
        "of an ONNX file: layers [1, tokens, channels] become maps; N tokens come before those of the patches (without "
        "N: as many as the grid of patches leaves)",
        nargs="?",
        const="auto",
        type=_prefix,
        metavar="N",
    )
    option("--mean", "normalisation, RGB from 0 to 255 (default: the network's own)", type=triple, metavar="R,G,B")
    option("--std", "normalisation, RGB from 0 to 255 (default: the network's own)", type=triple, metavar="R,G,B")
    option("--size", "side of the network's input", type=whole(32, 2048), metavar="PX")
    option("--resize", "resize to this and crop the centre to --size", type=whole(32, 4096), metavar="PX")
    option(
        "--tiles",
        "judge overlapping tiles, each as large as the network's input, in place of the whole picture scaled down; "
        "auto: as --smallest-fault needs (default: one)",
        type=_tiles,
        metavar="ROWSxCOLS",
    )
    option(
        "--smallest-fault",
        "shorter side of the smallest fault that is to be found, in pixels of the camera; chooses the tiles",
        type=whole(1, 16384),
        metavar="PX",
    )
    option("--accept-crop", "even where that crop leaves much unseen", action="store_true")
    option("--depth", "bits that pictures of 16 bits use, 8 to 16; auto: what they need", type=_depth, metavar="BITS")
    option("--aggregation", "how a neighbourhood becomes one feature", choices=("mean", "adaptive"))
    option("--patch-size", "side of a neighbourhood, odd", type=odd, metavar="P")
    option(
        "--stride",
        "keep every S-th row and column (default: 2 with the usual layers, else 1)",
        type=whole(1, 16),
        metavar="S",
    )
    option("--layer-dim", "of `adaptive`: length for each layer", type=whole(1, 8192), metavar="D")
    option("--target-dim", "of `adaptive`: length of a feature", type=whole(1, 8192), metavar="D")
    option("--precision", "of the network", choices=("float32", "int8"))
    _add_measure_arguments(option)
    option("--projection-dim", "random projection to select in; 0: none", type=whole(0, 4096), metavar="D")
    option("--seed", "of the projection, the first entry and the synthetic faults", type=whole(0, 2**32 - 1))
    option("--score", "re-weighted, largest distance, or mean of the k largest", choices=("paper", "max", "topk"))
    option("--b", "neighbours in the re-weighting", type=whole(2, 16))
    option("--k", "distances in the mean of `topk`", type=whole(1, 1000))
    option("--alpha", "wanted false-alarm rate", type=between(0, 1), metavar="RATE")
    option("--alerts-per-day", ALERTS_PER_DAY, type=between(0, 1e6), metavar="N")
    option("--hold-out", "share of the pictures kept for calibration", type=between(0, 1), metavar="SHARE")
    option("--exclude", exclude.HELP, type=exclude.number_or_auto, metavar="N|auto")
    option("--regions", REGIONS, type=polygon, action="append", metavar="X,Y,X,Y,X,Y")
    option("--ignore", IGNORE, type=polygon, action="append", metavar="X,Y,X,Y,X,Y")
    option("--max-images", "take N pictures, spread evenly", type=whole(1, 10**9), metavar="N")
    option(
        "--may-vary",
        "what is no fault: any of light=20%%, shift=4px, rotation=5 (degrees, or any), focus, flip; or none",
        type=may_vary,
        metavar="LIST",
    )
    option(
        "--tolerance-cost",
        "measure what each tolerance costs: synthetic faults found with it and without it",
        action="store_true",
    )
    option("--skip-bad", "pass over pictures that cannot be read, and count them", action="store_true")
    option("--test-set", TEST_SET, metavar="PATH")
    option("--no-report", "write no page, and try no synthetic faults for it", action="store_true")
    option("--threads", "limit of all threads; 0: all cores", type=whole(0, 1024), metavar="N")
    option("--force", "replace a bundle that is there, once the new one is whole", action="store_true")
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")


def _add_measure_arguments(option: Callable[..., None]) -> None:
    """Declare what distances are measured in, and the bank that they are to."""
    option("--scaling", "of the features, by how much each channel varies", choices=("none", "channel"))
    option(
        "--centring",
        "share of a picture's mean feature that is taken off its patches: light of all of it counts less",
        type=share,
        metavar="SHARE",
    )
    option(
        "--position-means",
        "share of each position's mean feature that is taken off there; auto: the more, the stiller the scene",
        type=_share_or_auto,
        metavar="SHARE",
    )
    option(
        "--coreset",
        "share of the patches to keep, or from 2 on their number; auto: until more hardly changes the scores",
        type=_coreset,
        metavar="K",
    )
    option("--spacing", "what divides distances: how far apart the bank is there", choices=("none", "local"))


def run(args: argparse.Namespace) -> int:
    """Fit, and print the summary."""
    from edge_config.bundle.staging import refuse_target
    from export.report.target import refuse_page

    given = {name: value for name, value in vars(args).items() if name in Options.__struct_fields__}
    options = read_options(given, args.config, Options)
    refuse_target(Path(options.out), force=options.force)  # before torch is loaded
    refuse_page(Path(options.out), unwanted=options.no_report, force=options.force)

    from export.fit import fit
    from export.report.summary import as_text

    report = fit(options)
    if args.json:
        import msgspec

        print(msgspec.json.encode(report).decode())
    else:
        print(as_text(report, Path(options.out)))
    return 0


def _depth(text: str) -> int | str:
    """Parse `auto`, or a whole number from 8 to 16."""
    if text == "auto":
        return text
    try:
        return whole(8, 16)(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, nor auto") from error


def _share_or_auto(text: str) -> float | str:
    """Parse `auto`, or a share from 0 to 1."""
    return text if text == "auto" else share(text)


def _coreset(text: str) -> float | int | str:
    """Parse `auto`, a share between 0 and 1, or a whole number from 2."""
    return text if text == "auto" else share_or_count(text)


def _prefix(text: str) -> int | str:
    """Parse nothing, or a whole number from 0 to 1024."""
    return text if text == "auto" else whole(0, 1024)(text)


def _tiles(text: str) -> str:
    """Parse `auto`, or rows and columns such as 3x4."""
    if not re.fullmatch(r"auto|[1-9][0-9]?x[1-9][0-9]?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is neither ROWSxCOLS, such as 3x4, nor auto")
    return text


def _names(text: str) -> list[str]:
    """Parse names with commas between them."""
    return [name.strip() for name in text.split(",") if name.strip()]
